// SPDX-License-Identifier: Apache-2.0
// .eh_frame: where functions begin and end, and how to find their caller at each instruction.
// Sources: DWARF 5, section 6.4; Linux Standard Base Core, chapter 10 (exception frames).

/** DWARF's numbers of x86-64 registers (System V ABI, AMD64 supplement, figure 3.36). */
export const DWARF_RBX = 3;
export const DWARF_RBP = 6;
export const DWARF_RSP = 7;
export const DWARF_RIP = 16;

/** How the caller's value of a register is found. */
export type RegisterRule =
  | { readonly kind: "undefined" }
  | { readonly kind: "offset" | "value-offset"; readonly offset: number }
  | { readonly kind: "register"; readonly register: number }
  | { readonly kind: "expression" | "value-expression"; readonly code: Uint8Array };

export type CfaRule =
  | { readonly kind: "register"; readonly register: number; readonly offset: number }
  | { readonly kind: "expression"; readonly code: Uint8Array };

/** The rules at one instruction; a register without a rule keeps its value. */
export interface FrameRow {
  readonly cfa: CfaRule;
  readonly registers: ReadonlyMap<number, RegisterRule>;
}

interface CommonEntry {
  readonly codeAlign: number;
  readonly dataAlign: number;
  readonly encoding: number;
  readonly hasAugmentation: boolean;
  readonly isSignalFrame: boolean;
  readonly program: Uint8Array;
}

export interface FrameEntry {
  readonly start: number;
  readonly end: number;
  /** The return address of a signal frame is the interrupted instruction itself. */
  readonly isSignalFrame: boolean;
  readonly common: CommonEntry;
  readonly program: Uint8Array;
}

const PE_OMIT = 0xff;
const PE_PC_RELATIVE = 0x10;
const PE_APPLICATION = 0x70;

/** Reads DWARF's numbers from bytes that stand at a virtual address. */
export class DwarfReader {
  readonly bytes: Uint8Array;
  readonly #view: DataView;
  readonly #address: number;
  at: number;

  constructor(bytes: Uint8Array, address: number = 0, at: number = 0) {
    this.bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#address = address;
    this.at = at;
  }

  get isAtEnd(): boolean {
    return this.at >= this.bytes.length;
  }

  u8(): number {
    return this.#view.getUint8(this.at++);
  }

  u16(): number {
    this.at += 2;
    return this.#view.getUint16(this.at - 2, true);
  }

  u32(): number {
    this.at += 4;
    return this.#view.getUint32(this.at - 4, true);
  }

  i32(): number {
    return this.u32() | 0;
  }

  /** Signed; exact within 2^53. */
  i64(): number {
    const low = this.u32();
    return low + this.i32() * 2 ** 32;
  }

  uleb(): number {
    let value = 0;
    for (let scale = 1;; scale *= 128) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
  }

  sleb(): number {
    let value = 0;
    for (let scale = 1;; scale *= 128) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return (byte & 0x40) === 0 ? value : value - scale * 128;
    }
  }

  take(length: number): Uint8Array {
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }

  text(): string {
    let text = "";
    for (let byte = this.u8(); byte !== 0; byte = this.u8()) text += String.fromCharCode(byte);
    return text;
  }

  /** A pointer as DW_EH_PE_* `encoding` says. */
  pointer(encoding: number): number {
    if (encoding === PE_OMIT) return 0;
    const base = (encoding & PE_APPLICATION) === PE_PC_RELATIVE ? this.#address + this.at : 0;
    switch (encoding & 15) {
      case 1:
        return base + this.uleb();
      case 2:
        return base + this.u16();
      case 3:
        return base + this.u32();
      case 9:
        return base + this.sleb();
      case 10:
        return base + (this.u16() << 16 >> 16);
      case 11:
        return base + this.i32();
      default:
        return base + this.i64();
    }
  }
}

export class FrameTable {
  /** By start. */
  readonly #entries: readonly FrameEntry[];
  /** Those asked for before: the same callers come again and again. */
  readonly #rows = new Map<number, FrameRow>();

  /** `address` is where the section stands in memory. A damaged table gives the entries before the damage. */
  constructor(section: Uint8Array, address: number) {
    const entries: FrameEntry[] = [];
    try {
      for (const entry of readEntries(section, address)) entries.push(entry);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
    }
    this.#entries = entries.sort((a, b) => a.start - b.start);
  }

  /** The rules that hold at `address` of `entry`. Throws RangeError when the entry is damaged. */
  row(entry: FrameEntry, address: number): FrameRow {
    let row = this.#rows.get(address);
    if (row === undefined) this.#rows.set(address, row = new FrameMachine(entry).row(address));
    return row;
  }

  find(address: number): FrameEntry | undefined {
    let low = 0;
    let high = this.#entries.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#entries[middle]!.start <= address) low = middle + 1;
      else high = middle;
    }
    const entry = this.#entries[low - 1];
    return entry !== undefined && address < entry.end ? entry : undefined;
  }
}

function* readEntries(section: Uint8Array, address: number): Generator<FrameEntry> {
  const commons = new Map<number, CommonEntry>();
  const reader = new DwarfReader(section, address);
  while (section.length - reader.at >= 4) {
    let length = reader.u32();
    if (length === 0xffff_ffff) length = reader.i64();
    if (length === 0) return;
    const idAt = reader.at;
    const end = idAt + length;
    const id = reader.u32();
    if (id !== 0) {
      // A frame entry names its common entry by the distance back to it.
      const commonAt = idAt - id;
      const common = commons.get(commonAt) ?? readCommon(new DwarfReader(section, address, commonAt));
      commons.set(commonAt, common);
      const start = reader.pointer(common.encoding);
      const bytes = reader.pointer(common.encoding & 15);
      if (common.hasAugmentation) reader.take(reader.uleb());
      const program = section.subarray(reader.at, end);
      yield { start, end: start + bytes, isSignalFrame: common.isSignalFrame, common, program };
    }
    reader.at = end;
  }
}

function readCommon(reader: DwarfReader): CommonEntry {
  let length = reader.u32();
  if (length === 0xffff_ffff) length = reader.i64();
  const end = reader.at + length;
  reader.u32();
  const version = reader.u8();
  const augmentation = reader.text();
  const codeAlign = reader.uleb();
  const dataAlign = reader.sleb();
  if (version === 1) reader.u8();
  else reader.uleb();
  const hasAugmentation = augmentation.startsWith("z");
  let encoding = 0;
  let programAt = reader.at;
  if (hasAugmentation) {
    const bytes = reader.uleb();
    programAt = reader.at + bytes;
    for (const letter of augmentation.slice(1)) {
      if (letter === "R") encoding = reader.u8();
      else if (letter === "L") reader.u8();
      else if (letter === "P") reader.pointer(reader.u8());
    }
  }
  const program = reader.bytes.subarray(programAt, end);
  return {
    codeAlign,
    dataAlign,
    encoding,
    hasAugmentation,
    isSignalFrame: augmentation.includes("S"),
    program,
  };
}

const NO_CFA: CfaRule = { kind: "register", register: DWARF_RSP, offset: NaN };

/** Runs call frame instructions up to an address. */
class FrameMachine {
  readonly #entry: FrameEntry;
  #cfa: CfaRule = NO_CFA;
  #registers = new Map<number, RegisterRule>();
  #initial: ReadonlyMap<number, RegisterRule> = new Map();
  readonly #saved: { readonly cfa: CfaRule; readonly registers: Map<number, RegisterRule> }[] = [];
  #address: number;

  constructor(entry: FrameEntry) {
    this.#entry = entry;
    this.#address = entry.start;
  }

  row(address: number): FrameRow {
    this.#run(this.#entry.common.program, Infinity);
    this.#initial = new Map(this.#registers);
    this.#address = this.#entry.start;
    this.#run(this.#entry.program, address);
    return { cfa: this.#cfa, registers: this.#registers };
  }

  #run(program: Uint8Array, until: number): void {
    const reader = new DwarfReader(program);
    const { codeAlign, dataAlign } = this.#entry.common;
    while (!reader.isAtEnd) {
      const code = reader.u8();
      const low = code & 63;
      switch (code >> 6) {
        case 1:
          this.#address += low * codeAlign;
          break;
        case 2:
          this.#set(low, { kind: "offset", offset: reader.uleb() * dataAlign });
          break;
        case 3:
          this.#restore(low);
          break;
        default:
          this.#extended(code, reader);
      }
      if (this.#address > until) return;
    }
  }

  #extended(code: number, reader: DwarfReader): void {
    const { codeAlign, dataAlign, encoding } = this.#entry.common;
    switch (code) {
      case 0x00:
        break;
      case 0x01:
        this.#address = reader.pointer(encoding);
        break;
      case 0x02:
        this.#address += reader.u8() * codeAlign;
        break;
      case 0x03:
        this.#address += reader.u16() * codeAlign;
        break;
      case 0x04:
        this.#address += reader.u32() * codeAlign;
        break;
      case 0x0a:
        this.#saved.push({ cfa: this.#cfa, registers: new Map(this.#registers) });
        break;
      case 0x0b: {
        const saved = this.#saved.pop();
        if (saved !== undefined) ({ cfa: this.#cfa, registers: this.#registers } = saved);
        break;
      }
      case 0x0c:
        this.#cfa = { kind: "register", register: reader.uleb(), offset: reader.uleb() };
        break;
      case 0x0d:
        this.#cfa = { kind: "register", register: reader.uleb(), offset: this.#cfaOffset };
        break;
      case 0x0e:
        this.#cfa = { kind: "register", register: this.#cfaRegister, offset: reader.uleb() };
        break;
      case 0x0f:
        this.#cfa = { kind: "expression", code: reader.take(reader.uleb()) };
        break;
      case 0x12:
        this.#cfa = { kind: "register", register: reader.uleb(), offset: reader.sleb() * dataAlign };
        break;
      case 0x13:
        this.#cfa = { kind: "register", register: this.#cfaRegister, offset: reader.sleb() * dataAlign };
        break;
      case 0x2e: // DW_CFA_GNU_args_size: of no use here
        reader.uleb();
        break;
      default:
        this.#registerRule(code, reader);
    }
  }

  #registerRule(code: number, reader: DwarfReader): void {
    const { dataAlign } = this.#entry.common;
    const register = reader.uleb();
    switch (code) {
      case 0x05:
        this.#set(register, { kind: "offset", offset: reader.uleb() * dataAlign });
        break;
      case 0x06:
        this.#restore(register);
        break;
      case 0x07:
        this.#set(register, { kind: "undefined" });
        break;
      case 0x08:
        this.#registers.delete(register);
        break;
      case 0x09:
        this.#set(register, { kind: "register", register: reader.uleb() });
        break;
      case 0x10:
        this.#set(register, { kind: "expression", code: reader.take(reader.uleb()) });
        break;
      case 0x11:
        this.#set(register, { kind: "offset", offset: reader.sleb() * dataAlign });
        break;
      case 0x14:
        this.#set(register, { kind: "value-offset", offset: reader.uleb() * dataAlign });
        break;
      case 0x15:
        this.#set(register, { kind: "value-offset", offset: reader.sleb() * dataAlign });
        break;
      case 0x16:
        this.#set(register, { kind: "value-expression", code: reader.take(reader.uleb()) });
        break;
      default:
        throw new RangeError(`call frame instruction 0x${code.toString(16)} is unknown`);
    }
  }

  get #cfaRegister(): number {
    return this.#cfa.kind === "register" ? this.#cfa.register : DWARF_RSP;
  }

  get #cfaOffset(): number {
    return this.#cfa.kind === "register" ? this.#cfa.offset : NaN;
  }

  #set(register: number, rule: RegisterRule): void {
    this.#registers.set(register, rule);
  }

  #restore(register: number): void {
    const rule = this.#initial.get(register);
    if (rule === undefined) this.#registers.delete(register);
    else this.#registers.set(register, rule);
  }
}
