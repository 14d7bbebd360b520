// SPDX-License-Identifier: Apache-2.0
// The vDSO: a small ELF shared object made in memory, with the functions C libraries look for.
//
// Each function makes the real system call. Every table lies in one read-only, executable segment at address
// 0; the dynamic section holds the addresses within the image. There are no section headers.
// Source: vdso(7); System V ABI, chapters 4 and 5; Linux Standard Base, symbol versioning.

const SONAME = "linux-vdso.so.1";
const VERSION = "LINUX_2.6";

/** Function, system call number. Each is exported as __vdso_<name> and, weakly, as <name>. */
const FUNCTIONS: ReadonlyArray<readonly [string, number]> = [
  ["clock_gettime", 228],
  ["gettimeofday", 96],
  ["time", 201],
  ["clock_getres", 229],
  ["getcpu", 309],
];

const EHDR_BYTES = 64;
const PHDR_BYTES = 56;
const SYMBOL_BYTES = 24;
const CODE_BYTES = 16;
const SEGMENTS = 3;

// ELF numbers.
const EM_X86_64 = 62;
const PT_LOAD = 1;
const PT_DYNAMIC = 2;
const PT_GNU_STACK = 0x6474_e551;
const DT_HASH = 4;
const DT_STRTAB = 5;
const DT_SYMTAB = 6;
const DT_STRSZ = 10;
const DT_SYMENT = 11;
const DT_SONAME = 14;
const DT_VERDEF = 0x6fff_fffc;
const DT_VERDEFNUM = 0x6fff_fffd;
const DT_VERSYM = 0x6fff_fff0;
const SYMBOL_GLOBAL_FUNCTION = 0x12;
const SYMBOL_WEAK_FUNCTION = 0x22;

/** The hash of DT_HASH and of version names. */
function elfHash(name: string): number {
  let h = 0;
  for (let i = 0; i < name.length; i++) {
    h = ((h << 4) + name.charCodeAt(i)) >>> 0;
    const high = h & 0xf000_0000;
    h = (h ^ (high >>> 24)) & ~high;
  }
  return h >>> 0;
}

class Strings {
  #text = "\0";

  add(text: string): number {
    const at = this.#text.length;
    this.#text += `${text}\0`;
    return at;
  }

  bytes(): Uint8Array {
    return Uint8Array.from(this.#text, (c) => c.charCodeAt(0));
  }
}

interface VdsoSymbol {
  readonly name: string;
  readonly nameOffset: number;
  readonly info: number;
  readonly index: number; // of the function
}

function symbols(strings: Strings): VdsoSymbol[] {
  return FUNCTIONS.flatMap(([name], index) => [
    {
      name: `__vdso_${name}`,
      nameOffset: strings.add(`__vdso_${name}`),
      info: SYMBOL_GLOBAL_FUNCTION,
      index,
    },
    { name, nameOffset: strings.add(name), info: SYMBOL_WEAK_FUNCTION, index },
  ]);
}

/** mov eax, number; syscall; ret */
function code(number: number): number[] {
  return [0xb8, number & 0xff, number >> 8, 0, 0, 0x0f, 0x05, 0xc3];
}

function hashTable(list: readonly VdsoSymbol[]): Uint32Array {
  const buckets = new Uint32Array(8);
  const chains = new Uint32Array(list.length + 1);
  list.forEach((symbol, i) => {
    const bucket = elfHash(symbol.name) % buckets.length;
    chains[i + 1] = buckets[bucket]!;
    buckets[bucket] = i + 1;
  });
  return Uint32Array.of(buckets.length, chains.length, ...buckets, ...chains);
}

/** Places for the tables, one after another. */
interface Layout {
  readonly hash: number;
  readonly dynsym: number;
  readonly dynstr: number;
  readonly versym: number;
  readonly verdef: number;
  readonly dynamic: number;
  readonly text: number;
  readonly end: number;
}

function align(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}

function layOut(symbolCount: number, stringBytes: number): Layout {
  const hash = EHDR_BYTES + SEGMENTS * PHDR_BYTES;
  const dynsym = align(hash + 4 * (2 + 8 + symbolCount + 1), 8);
  const dynstr = dynsym + SYMBOL_BYTES * (symbolCount + 1);
  const versym = align(dynstr + stringBytes, 2);
  const verdef = align(versym + 2 * (symbolCount + 1), 8);
  const dynamic = align(verdef + 2 * 28, 8);
  const text = align(dynamic + 16 * 10, 64);
  return { hash, dynsym, dynstr, versym, verdef, dynamic, text, end: text + CODE_BYTES * FUNCTIONS.length };
}

export function buildVdso(): Uint8Array {
  const strings = new Strings();
  const soname = strings.add(SONAME);
  const version = strings.add(VERSION);
  const list = symbols(strings);
  const text = strings.bytes();
  const at = layOut(list.length, text.length);
  const image = new Uint8Array(align(at.end, 4096));
  const view = new DataView(image.buffer);
  writeHeaders(view, at);
  hashTable(list).forEach((word, i) => view.setUint32(at.hash + 4 * i, word, true));
  image.set(text, at.dynstr);
  list.forEach((symbol, i) => writeSymbol(view, at, symbol, i + 1));
  writeVersions(view, at.verdef, soname, version);
  writeDynamic(view, at, soname, text.length);
  FUNCTIONS.forEach(([, number], i) => image.set(code(number), at.text + CODE_BYTES * i));
  return image;
}

function put64(view: DataView, offset: number, value: number): void {
  view.setUint32(offset, value >>> 0, true);
  view.setUint32(offset + 4, Math.floor(value / 0x1_0000_0000), true);
}

function writeHeaders(view: DataView, at: Layout): void {
  [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1].forEach((byte, i) => view.setUint8(i, byte));
  view.setUint16(16, 3, true); // ET_DYN
  view.setUint16(18, EM_X86_64, true);
  view.setUint32(20, 1, true);
  put64(view, 24, at.text);
  put64(view, 32, EHDR_BYTES);
  view.setUint16(52, EHDR_BYTES, true);
  view.setUint16(54, PHDR_BYTES, true);
  view.setUint16(56, SEGMENTS, true);
  view.setUint16(58, 64, true); // size of the section headers that are not there
  const segments: ReadonlyArray<readonly [number, number, number, number, number]> = [
    [PT_LOAD, 5, 0, at.end, 4096],
    [PT_DYNAMIC, 4, at.dynamic, 160, 8],
    [PT_GNU_STACK, 6, 0, 0, 16],
  ];
  segments.forEach(([type, flags, offset, bytes, alignment], i) => {
    const base = EHDR_BYTES + PHDR_BYTES * i;
    view.setUint32(base, type, true);
    view.setUint32(base + 4, flags, true);
    [offset, offset, offset, bytes, bytes, alignment].forEach((value, n) =>
      put64(view, base + 8 + 8 * n, value)
    );
  });
}

function writeSymbol(view: DataView, at: Layout, symbol: VdsoSymbol, index: number): void {
  const base = at.dynsym + SYMBOL_BYTES * index;
  view.setUint32(base, symbol.nameOffset, true);
  view.setUint8(base + 4, symbol.info);
  view.setUint16(base + 6, 1, true); // any section that is defined
  put64(view, base + 8, at.text + CODE_BYTES * symbol.index);
  put64(view, base + 16, 8);
  view.setUint16(at.versym + 2 * index, 2, true);
}

/** The base definition (the object itself) and LINUX_2.6. */
function writeVersions(view: DataView, base: number, soname: number, version: number): void {
  const definitions: ReadonlyArray<readonly [number, number, number, string]> = [
    [1, 1, soname, SONAME],
    [0, 2, version, VERSION],
  ];
  definitions.forEach(([flags, index, name, text], i) => {
    const entry = base + 28 * i;
    view.setUint16(entry, 1, true);
    view.setUint16(entry + 2, flags, true);
    view.setUint16(entry + 4, index, true);
    view.setUint16(entry + 6, 1, true);
    view.setUint32(entry + 8, elfHash(text), true);
    view.setUint32(entry + 12, 20, true);
    view.setUint32(entry + 16, i === 0 ? 28 : 0, true);
    view.setUint32(entry + 20, name, true);
  });
}

function writeDynamic(view: DataView, at: Layout, soname: number, stringBytes: number): void {
  const entries: ReadonlyArray<readonly [number, number]> = [
    [DT_SONAME, soname],
    [DT_HASH, at.hash],
    [DT_STRTAB, at.dynstr],
    [DT_SYMTAB, at.dynsym],
    [DT_STRSZ, stringBytes],
    [DT_SYMENT, SYMBOL_BYTES],
    [DT_VERDEF, at.verdef],
    [DT_VERDEFNUM, 2],
    [DT_VERSYM, at.versym],
    [0, 0],
  ];
  entries.forEach(([tag, value], i) => {
    put64(view, at.dynamic + 16 * i, tag);
    put64(view, at.dynamic + 16 * i + 8, value);
  });
}
