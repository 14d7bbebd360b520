// SPDX-License-Identifier: Apache-2.0
// Makes instances of an encoding form: prefixes, operands of every kind, immediates, and the state they need.
//
// An instance is a pure function of (seed, form, number), so any of them can be made again alone. Its code lies
// in a slot filled with INT3, which ends it wherever control arrives.

import { BASE_RIP, DECODE_OK, Decoder } from "../../../arch/x86/decode.ts";
import {
  IMM_16,
  IMM_8S,
  IMM_8U,
  IMM_ENTER,
  IMM_NONE,
  IMM_OFFSET,
  IMM_REL32,
  IMM_V,
  IMM_Z,
  KIND_CL,
  KIND_E,
  KIND_IMM,
  KIND_M,
  KIND_ONE,
  KIND_Q,
  KIND_REL,
  KIND_W,
  SIZE_V,
  SIZE_Y,
  SIZE_Z,
  type X86Form,
} from "../../../arch/x86/tables/forms.ts";
import { dependsOnHost } from "./exclusions.ts";
import { type Addressing, randomAddress, randomAddressing } from "./memory-operand.ts";
import { Random } from "./random.ts";
import { FS_BASE, GS_BASE, type Instance, SLOT_BYTES } from "./records.ts";
import { type Choice, isString, prepare, RCX } from "./setup.ts";
import { randomIntegers, randomVectors, randomX87, RSP, StartState } from "./state.ts";
import { undefinedFlags, undefinedResult } from "./undefined-flags.ts";

export interface Case {
  readonly form: X86Form | undefined;
  readonly name: string;
  /** Names the instance for --replay. */
  readonly key: string;
  readonly bytes: Uint8Array;
  /** Where the first byte lies. */
  readonly pc: number;
  readonly instance: Instance;
  readonly undefinedFlags: number;
  /** The same when a sequence ends early. */
  readonly undefinedOnFault: number;
  /** Registers and memory are not defined either: only the end is compared. */
  readonly undefinedResult: boolean;
}

const SEGMENT_NONE = 0;
const SEGMENT_FS = 0x64;
const SEGMENT_GS = 0x65;

interface Prefixes {
  operand16: boolean;
  address32: boolean;
  rexW: boolean;
  lock: boolean;
  rep: number; // 0, 0xf2, 0xf3
  segment: number;
  ignored: number[];
}

function sized(form: X86Form): boolean {
  return form.operands.some(({ size }) => size === SIZE_V || size === SIZE_Y || size === SIZE_Z);
}

function randomPrefixes(random: Random, form: X86Form): Prefixes {
  const flexible = sized(form);
  // With 66 a near branch is of 16 bits on this processor family and of 64 bits on the other: not tested.
  const operand16 = form.prefix === 1
    || (form.prefix === -1 && form.operandSize !== "f64" && random.oneIn(flexible ? 4 : 24));
  let rep = form.prefix === 2 ? 0xf3 : form.prefix === 3 ? 0xf2 : 0;
  if (isString(form.mnemonic) && random.oneIn(2)) rep = random.oneIn(2) ? 0xf3 : 0xf2;
  const segment = random.oneIn(10) ? random.pick([SEGMENT_FS, SEGMENT_GS]) : SEGMENT_NONE;
  return {
    operand16,
    address32: random.oneIn(14),
    rexW: random.oneIn(flexible || form.map === 0 ? 3 : 8),
    lock: form.lock ? random.oneIn(5) : random.oneIn(150),
    rep,
    segment,
    ignored: random.oneIn(40) ? [random.pick([0x26, 0x2e, 0x36, 0x3e])] : [],
  };
}

function operandBytes(form: X86Form, prefixes: Prefixes): number {
  if (form.operandSize === "f64") return 8;
  if (form.operandSize === "d64") return prefixes.operand16 && !prefixes.rexW ? 2 : 8;
  return prefixes.rexW ? 8 : prefixes.operand16 ? 2 : 4;
}

/** Bytes of the ModRM memory operand. */
function memoryBytes(form: X86Form, opSize: number, rexW: boolean): number {
  const operand = form.operands.find(({ kind }) =>
    kind === KIND_E || kind === KIND_M || kind === KIND_W || kind === KIND_Q
  );
  if (operand === undefined) return 0;
  if (operand.size > 0) return operand.size;
  if (operand.size === SIZE_V) return opSize;
  if (operand.size === SIZE_Y) return rexW ? 8 : 4;
  if (operand.size === SIZE_Z) return opSize === 2 ? 4 : 6; // far pointers
  const narrow = opSize === 2;
  switch (form.mnemonic) {
    case "FXSAVE":
    case "FXRSTOR":
      return 512;
    case "FLDENV":
    case "FNSTENV":
      return narrow ? 14 : 28;
    case "FRSTOR":
    case "FNSAVE":
      return narrow ? 94 : 108;
    case "CMPXCHG8B":
      return rexW ? 16 : 8;
    default:
      return 8;
  }
}

class Bytes {
  readonly list: number[] = [];
  push(...bytes: number[]): void {
    this.list.push(...bytes);
  }
  int(value: number, bytes: number): void {
    for (let n = 0; n < bytes; n++) this.list.push(Math.floor(value / 2 ** (8 * n)) & 0xff);
  }
}

export class Generator {
  readonly #decoder = new Decoder();
  readonly #seed: number;

  constructor(seed: number) {
    this.#seed = seed;
  }

  /** Instance `n` of a form, in the slot at `slot`. */
  make(form: X86Form, n: number, slot: number): Case {
    const random = new Random(this.#seed, (form.id << 20) + n);
    for (let attempt = 0; attempt < 50; attempt++) {
      const made = this.#attempt(random, form, slot);
      if (made !== undefined) return { ...made, key: `${this.#seed}/${form.id}/${n}` };
    }
    throw new Error(`cannot encode ${form.name}`);
  }

  #attempt(random: Random, form: X86Form, slot: number): Omit<Case, "key"> | undefined {
    const state = new StartState();
    randomIntegers(state, random);
    randomVectors(state, random);
    randomX87(state, random);
    const pc = slot + 40 + random.below(24);
    const bytes = this.instruction(random, form, state, pc, landing(random, slot));
    if (bytes === undefined || dependsOnHost(this.#decoder.insn, (n) => state.gprLow(n))) return undefined;
    state.setEntry(pc);
    const { mnemonic } = form;
    const shift = this.#shift(form, state);
    return {
      form,
      name: form.name,
      bytes,
      pc,
      instance: { words: state.words, window: state.window },
      undefinedFlags: undefinedFlags(mnemonic, shift),
      undefinedOnFault: 0,
      undefinedResult: undefinedResult(mnemonic, shift),
    };
  }

  #shift(form: X86Form, state: StartState): { width: number; count: number } | undefined {
    const last = form.operands.at(-1);
    if (last === undefined) return undefined;
    const { insn } = this.#decoder;
    const first = form.operands[0]!;
    const width = 8 * (first.size > 0 ? first.size : insn.opSize);
    if (last.kind === KIND_CL) return { width, count: state.gprLow(RCX) & 0xff };
    if (last.kind === KIND_IMM) return { width, count: insn.imm & 0xff };
    return last.kind === KIND_ONE ? { width, count: 1 } : undefined;
  }

  /** Encodes one instruction at `pc` and prepares the state; undefined when the choice does not decode to the form. */
  instruction(
    random: Random,
    form: X86Form,
    state: StartState,
    pc: number,
    target: number,
  ): Uint8Array | undefined {
    const prefixes = randomPrefixes(random, form);
    const isMemory = form.mod === "mem"
      || (form.mod === "any" && form.hasModrm && form.rm < 0 && this.#takesMemory(form) && random.oneIn(2));
    const opSize = operandBytes(form, prefixes);
    const choice: Choice = {
      form,
      opSize,
      rexW: prefixes.rexW,
      addressBits: prefixes.address32 ? 32 : 64,
      isMemory,
      target,
      memoryBytes: memoryBytes(form, opSize, prefixes.rexW),
    };
    const prepared = prepare(random, state, choice);
    const modrm = this.#modrm(random, form, state, prefixes, choice, prepared.address, prepared.avoid);
    if (modrm === undefined && form.hasModrm) return undefined;
    const bytes = encode(random, form, prefixes, modrm, choice, pc);
    if (bytes.length > 15 || !this.#resolves(bytes, form, pc)) return undefined;
    return bytes;
  }

  #takesMemory(form: X86Form): boolean {
    return form.operands.some(({ kind }) =>
      kind === KIND_E || kind === KIND_M || kind === KIND_W || kind === KIND_Q
    );
  }

  #modrm(
    random: Random,
    form: X86Form,
    state: StartState,
    prefixes: Prefixes,
    choice: Choice,
    address: number,
    avoid: ReadonlySet<number>,
  ): ModRm | undefined {
    if (!form.hasModrm) return undefined;
    const reg = form.digit >= 0 ? form.digit : random.below(8);
    const rexR = random.oneIn(2) ? 1 : 0;
    if (!choice.isMemory) {
      const rm = form.rm >= 0 ? form.rm : random.below(8);
      const rexB = random.oneIn(2) ? 1 : 0;
      if (choice.form.mnemonic === "JMP" || choice.form.mnemonic === "CALL") {
        const register = rm | rexB << 3;
        if (register !== RSP) state.setGprNumber(register, choice.target);
      }
      return {
        modrm: 0xc0 | reg << 3 | rm,
        addressing: undefined,
        rexR,
        rexX: random.oneIn(8) ? 1 : 0,
        rexB,
      };
    }
    const base = prefixes.segment === SEGMENT_FS ? FS_BASE : prefixes.segment === SEGMENT_GS ? GS_BASE : 0;
    // Operands that wrap round at 4 GiB are left out.
    if (choice.addressBits === 32 && (address - base + choice.memoryBytes) % 2 ** 32 < choice.memoryBytes) {
      return undefined;
    }
    const addressing = randomAddressing(random, state, address - base, avoid, choice.addressBits);
    const bitTest = form.mnemonic.startsWith("BT") && form.map === 1 && form.digit < 0;
    if (bitTest && !random.oneIn(6)) boundBitOffset(random, state, reg | rexR << 3, choice, addressing);
    return {
      modrm: addressing.modrm | reg << 3,
      addressing,
      rexR,
      rexX: addressing.rexX,
      rexB: addressing.rexB,
    };
  }

  #resolves(bytes: Uint8Array, form: X86Form, pc: number): boolean {
    const fetch = { byte: (at: number): number => bytes[at - pc] ?? 0xcc };
    const status = this.#decoder.decode(fetch, pc);
    const { insn } = this.#decoder;
    if (status !== DECODE_OK) return insn.lock; // LOCK where it is not allowed
    return insn.form === form && insn.length === bytes.length && (insn.base !== BASE_RIP || !insn.addr32);
  }
}

interface ModRm {
  readonly modrm: number;
  readonly addressing: Addressing | undefined;
  readonly rexR: number;
  readonly rexX: number;
  readonly rexB: number;
}

/** Bit offsets in a register reach far from the operand: mostly near ones here. */
function boundBitOffset(
  random: Random,
  state: StartState,
  register: number,
  choice: Choice,
  addressing: Addressing,
): void {
  const { sib, modrm } = addressing;
  const base = sib >= 0 ? (sib & 7) | addressing.rexB << 3 : (modrm & 7) | addressing.rexB << 3;
  const index = sib >= 0 ? (sib >> 3 & 7) | addressing.rexX << 3 : -1;
  if (register === base || register === index || register === RSP) return;
  const value = random.below(choice.opSize === 2 ? 2000 : 8000) - 1000;
  state.setGprNumber(register, value);
}

/** A place in the slot, away from the instruction in its middle. */
function landing(random: Random, slot: number): number {
  return random.oneIn(2) ? slot + random.below(30) : slot + 90 + random.below(SLOT_BYTES - 92);
}

function encode(
  random: Random,
  form: X86Form,
  prefixes: Prefixes,
  modrm: ModRm | undefined,
  choice: Choice,
  pc: number,
): Uint8Array {
  const out = new Bytes();
  const legacy = [...prefixes.ignored];
  if (prefixes.operand16) legacy.push(0x66);
  if (prefixes.address32) legacy.push(0x67);
  if (prefixes.lock) legacy.push(0xf0);
  if (prefixes.rep !== 0) legacy.push(prefixes.rep);
  if (prefixes.segment !== SEGMENT_NONE) legacy.push(prefixes.segment);
  out.push(...legacy);
  const opcodeB = form.span > 1 && random.oneIn(2) ? 1 : 0;
  const fields = modrm ?? { rexR: 0, rexX: 0, rexB: form.span === 8 ? opcodeB : 0 };
  const rex = (prefixes.rexW ? 8 : 0) | fields.rexR << 2 | fields.rexX << 1 | fields.rexB;
  if (rex !== 0 || random.oneIn(6)) out.push(0x40 | rex);
  if (form.map > 0) out.push(0x0f);
  if (form.map > 1) out.push(form.map === 2 ? 0x38 : 0x3a);
  out.push(form.opcode + random.below(form.span));
  const immediate = immediateBytes(form, choice);
  if (modrm !== undefined) putModrm(out, modrm, pc, immediate);
  putImmediate(out, random, form, choice, pc, immediate);
  return Uint8Array.from(out.list);
}

function putModrm(out: Bytes, { modrm, addressing }: ModRm, pc: number, immediate: number): void {
  out.push(modrm);
  if (addressing === undefined) return;
  if (addressing.sib >= 0) out.push(addressing.sib);
  const next = pc + out.list.length + addressing.dispBytes + immediate;
  out.int(addressing.ripRelative ? addressing.disp - next : addressing.disp, addressing.dispBytes);
}

function immediateBytes(form: X86Form, choice: Choice): number {
  switch (form.imm) {
    case IMM_NONE:
      return 0;
    case IMM_8S:
    case IMM_8U:
      return 1;
    case IMM_16:
      return 2;
    case IMM_ENTER:
      return 3;
    case IMM_OFFSET:
      return choice.addressBits / 8;
    case IMM_V:
      return choice.opSize;
    case IMM_Z:
      return choice.opSize === 2 ? 2 : 4;
    default:
      return 4;
  }
}

function putImmediate(
  out: Bytes,
  random: Random,
  form: X86Form,
  choice: Choice,
  pc: number,
  bytes: number,
): void {
  if (form.imm === IMM_NONE) return;
  const next = pc + out.list.length + bytes;
  if (form.imm === IMM_OFFSET) {
    out.int(randomAddress(random, 8), bytes);
  } else if (form.imm === IMM_REL32 || form.operands.some(({ kind }) => kind === KIND_REL)) {
    out.int(choice.target - next, bytes);
  } else if (form.imm === IMM_ENTER) {
    out.int(random.below(256), 2);
    out.push(random.pick([0, 0, 1, 2, 3, random.below(256)]));
  } else if (form.mnemonic === "RET") {
    out.int(random.below(65536), 2);
  } else if (bytes === 1) {
    const value = random.oneIn(2) ? random.below(256) : random.word32() & 0xff;
    // INT 80h enters the kernel.
    out.push(form.mnemonic === "INT" && value === 0x80 ? 0x81 : value);
  } else {
    const words = new Uint32Array(2);
    random.word64(words, 0);
    out.int(words[0]!, Math.min(4, bytes));
    if (bytes === 8) out.int(words[1]!, 4);
  }
}
