// SPDX-License-Identifier: Apache-2.0
// As much of an ELF file as naming an address needs: segments, function symbols, the frame table.
// Sources: elf(5); System V ABI, AMD64 supplement.

import { FrameTable } from "./frame-table.ts";

const ELF_MAGIC = 0x464c_457f;
const CLASS_64 = 2;
const LITTLE_ENDIAN = 1;
const PT_LOAD = 1;
const PT_DYNAMIC = 2;
const DT_HASH = 4;
const DT_STRTAB = 5;
const DT_SYMTAB = 6;
const SHT_SYMTAB = 2;
const SHT_DYNSYM = 11;
const SHT_NOBITS = 8;
const SYMBOL_BYTES = 24;
const STT_NOTYPE = 0;
const STT_FUNC = 2;
const STT_GNU_IFUNC = 10;
const STB_LOCAL = 0;
const STB_WEAK = 2;

interface Segment {
  readonly type: number;
  readonly offset: number;
  readonly fileBytes: number;
  readonly address: number;
}

interface Section {
  readonly name: string;
  readonly type: number;
  readonly address: number;
  readonly offset: number;
  readonly bytes: number;
  readonly link: number;
}

export interface ElfSymbol {
  readonly name: string;
  readonly start: number;
  /** 0 when the file does not say. */
  readonly bytes: number;
  readonly binding: number;
}

export class ElfFile {
  readonly #segments: readonly Segment[];
  /** By start; one a start. */
  readonly #symbols: readonly ElfSymbol[];
  /** Procedure linkage: jumps to functions of other files. */
  readonly #linkage: readonly Section[];
  readonly frames: FrameTable;

  /** undefined when the bytes are no 64-bit little-endian ELF file; a damaged one gives what can be read. */
  static parse(bytes: Uint8Array): ElfFile | undefined {
    if (bytes.length < 64) return undefined;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const isElf = view.getUint32(0, true) === ELF_MAGIC && bytes[4] === CLASS_64
      && bytes[5] === LITTLE_ENDIAN;
    return isElf ? new ElfFile(view) : undefined;
  }

  private constructor(view: DataView) {
    this.#segments = readSegments(view);
    const named = readSections(view);
    const sections = named.length === 0 ? dynamicSections(view, this.#segments) : named;
    this.#symbols = sections.length === 0 ? [] : readSymbols(view, sections);
    this.#linkage = sections.filter((section) => section.name.startsWith(".plt"));
    const table = sections.find((section) => section.name === ".eh_frame" && section.type !== SHT_NOBITS);
    this.frames = table === undefined
      ? new FrameTable(new Uint8Array(0), 0)
      : new FrameTable(bytesOf(view, table.offset, table.bytes), table.address);
  }

  /** The virtual address of a byte of the file, as the file itself counts. */
  addressOf(fileOffset: number): number | undefined {
    const segment = this.#segments.find(({ type, offset, fileBytes }) =>
      type === PT_LOAD && fileOffset >= offset && fileOffset < offset + fileBytes
    );
    return segment === undefined ? undefined : fileOffset - segment.offset + segment.address;
  }

  /** The name of the code at a virtual address. A function without a symbol (of a stripped file) is known by its entry
   *  in the frame table: it is named by its start and the symbol that stands before it. */
  nameAt(address: number): string | undefined {
    if (
      this.#linkage.some((section) => address >= section.address && address < section.address + section.bytes)
    ) {
      return "[linkage]";
    }
    const before = this.#symbolBefore(address);
    if (before !== undefined && address < before.start + before.bytes) return before.name;
    const frame = this.frames.find(address);
    if (before !== undefined && before.bytes === 0 && before.start >= (frame?.start ?? 0)) return before.name;
    if (frame === undefined) return before === undefined ? undefined : `past ${before.name}`;
    const hex = `0x${frame.start.toString(16)}`;
    return before === undefined ? hex : `${hex} past ${before.name}`;
  }

  #symbolBefore(address: number): ElfSymbol | undefined {
    let low = 0;
    let high = this.#symbols.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#symbols[middle]!.start <= address) low = middle + 1;
      else high = middle;
    }
    return this.#symbols[low - 1];
  }
}

function u64(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32;
}

/** Cut at the end of the file. */
function bytesOf(view: DataView, offset: number, length: number): Uint8Array {
  const start = Math.min(offset, view.byteLength);
  const end = Math.min(offset + length, view.byteLength);
  return new Uint8Array(view.buffer, view.byteOffset + start, end - start);
}

function readSegments(view: DataView): Segment[] {
  const at = u64(view, 32);
  const entryBytes = view.getUint16(54, true);
  const segments: Segment[] = [];
  for (let n = 0; n < view.getUint16(56, true); n++) {
    const entry = at + n * entryBytes;
    if (entry + 56 > view.byteLength) break;
    segments.push({
      type: view.getUint32(entry, true),
      offset: u64(view, entry + 8),
      address: u64(view, entry + 16),
      fileBytes: u64(view, entry + 32),
    });
  }
  return segments;
}

function readSections(view: DataView): Section[] {
  const at = u64(view, 40);
  const entryBytes = view.getUint16(58, true);
  const count = view.getUint16(60, true);
  if (at === 0 || at + count * entryBytes > view.byteLength) return [];
  const entry = (n: number): number => at + n * entryBytes;
  const namesAt = u64(view, entry(view.getUint16(62, true)) + 24);
  return Array.from({ length: count }, (_, n) => ({
    name: stringAt(view, namesAt + view.getUint32(entry(n), true)),
    type: view.getUint32(entry(n) + 4, true),
    address: u64(view, entry(n) + 16),
    offset: u64(view, entry(n) + 24),
    bytes: u64(view, entry(n) + 32),
    link: view.getUint32(entry(n) + 40, true),
  }));
}

/** The symbol table and its strings as the dynamic segment tells of them, for a file without sections. */
function dynamicSections(view: DataView, segments: readonly Segment[]): Section[] {
  const dynamic = segments.find((segment) => segment.type === PT_DYNAMIC);
  if (dynamic === undefined) return [];
  const offsets = new Map<number, number>();
  const end = Math.min(dynamic.offset + dynamic.fileBytes, view.byteLength) - 16;
  for (let at = dynamic.offset; at <= end; at += 16) {
    const address = u64(view, at + 8);
    const holder = segments.find(({ type, address: start, fileBytes }) =>
      type === PT_LOAD && address >= start && address < start + fileBytes
    );
    if (holder !== undefined) offsets.set(u64(view, at), address - holder.address + holder.offset);
  }
  const [hash, names, symbols] = [DT_HASH, DT_STRTAB, DT_SYMTAB].map((tag) => offsets.get(tag));
  if (hash === undefined || names === undefined || symbols === undefined) return [];
  if (hash + 8 > view.byteLength) return [];
  // The second word of the hash table is the number of symbols.
  const bytes = view.getUint32(hash + 4, true) * SYMBOL_BYTES;
  const common = { name: "", address: 0, link: 1 };
  return [
    { ...common, type: SHT_DYNSYM, offset: symbols, bytes },
    { ...common, type: 0, offset: names, bytes: view.byteLength - names },
  ];
}

function stringAt(view: DataView, at: number): string {
  let end = at;
  while (end < view.byteLength && view.getUint8(end) !== 0) end++;
  return new TextDecoder().decode(bytesOf(view, at, end - at));
}

function readSymbols(view: DataView, sections: readonly Section[]): ElfSymbol[] {
  const best = new Map<number, ElfSymbol>();
  for (const table of sections) {
    if (table.type !== SHT_SYMTAB && table.type !== SHT_DYNSYM) continue;
    const names = sections[table.link]?.offset ?? 0;
    const end = Math.min(table.offset + table.bytes, view.byteLength) - SYMBOL_BYTES;
    for (let at = table.offset; at <= end; at += SYMBOL_BYTES) {
      const type = view.getUint8(at + 4) & 15;
      const isDefined = view.getUint16(at + 6, true) !== 0;
      const start = u64(view, at + 8);
      const isCode = type === STT_FUNC || type === STT_GNU_IFUNC || type === STT_NOTYPE;
      if (!isCode || !isDefined || start === 0) continue;
      const name = stringAt(view, names + view.getUint32(at, true));
      const symbol = { name, start, bytes: u64(view, at + 16), binding: view.getUint8(at + 4) >> 4 };
      if (name !== "" && isBetter(symbol, best.get(start))) best.set(start, symbol);
    }
  }
  return [...best.values()].sort((a, b) => a.start - b.start);
}

/** Of several names for one function, the one that people know: sized, global before weak before local, then the one
 *  with the fewest underscores before it, then the shortest. */
function isBetter(symbol: ElfSymbol, than: ElfSymbol | undefined): boolean {
  if (than === undefined) return true;
  const rank = ({ name, bytes, binding }: ElfSymbol): number[] => [
    bytes > 0 ? 0 : 1,
    binding === STB_LOCAL ? 2 : binding === STB_WEAK ? 1 : 0,
    /^_*/.exec(name)![0].length,
    name.length,
  ];
  const [a, b] = [rank(symbol), rank(than)];
  const differs = a.findIndex((value, n) => value !== b[n]);
  return differs >= 0 && a[differs]! < b[differs]!;
}
