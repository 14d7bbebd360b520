// SPDX-License-Identifier: Apache-2.0
// The vDSO: a small ELF shared object made in memory, with the functions C libraries look for.
//
// The clocks that only need the time are read without the kernel: the time stamp counter counts the nanoseconds of
// CLOCK_MONOTONIC, and the page before the image holds what CLOCK_REALTIME is ahead of it, one aligned 64-bit word that
// is replaced whole. Everything else makes the real system call. Every table lies in one read-only, executable segment
// at address 0; the dynamic section holds the addresses within the image. There are no section headers.
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
const CODE_BYTES = 128;
const PAGE_BYTES = 4096;
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
function callCode(number: number): number[] {
  return [0xb8, number & 0xff, number >> 8, 0, 0, 0x0f, 0x05, 0xc3];
}

// rdtsc; shl rdx, 32; or rax, rdx
const READ_TSC: readonly number[] = [0x0f, 0x31, 0x48, 0xc1, 0xe2, 0x20, 0x48, 0x09, 0xd0];

/** add rax, [the word at the start of the page before the image]; `at`: where these bytes lie in the image. */
function addWallClock(at: number): number[] {
  const distance = -PAGE_BYTES - (at + 7);
  return [0x48, 0x03, 0x05, ...[0, 8, 16, 24].map((shift) => (distance >> shift) & 0xff)];
}

// rdx = seconds of the nanoseconds in rax, rcx = the rest. A division by 10^9 is one by 2^9 and one by 5^9, which is
// the high half of a product with 2^75 / 5^9, rounded up:
// mov rcx, rax; shr rax, 9; mov rdx, 0x44b82fa09b5a53; mul rdx; shr rdx, 11; imul rax, rdx, 1000000000; sub rcx, rax
const SPLIT_SECONDS: readonly number[] = [
  ...[0x48, 0x89, 0xc1, 0x48, 0xc1, 0xe8, 0x09, 0x48, 0xba, 0x53, 0x5a, 0x9b, 0xa0, 0x2f, 0xb8, 0x44, 0x00],
  ...[0x48, 0xf7, 0xe2, 0x48, 0xc1, 0xea, 0x0b, 0x48, 0x69, 0xc2, 0x00, 0xca, 0x9a, 0x3b, 0x48, 0x29, 0xc1],
];

/** Clocks 0, 1, 4 and 7 (REALTIME, MONOTONIC, MONOTONIC_RAW, BOOTTIME) into the timespec at rsi; others are the
 *  kernel's. */
function clockGettimeCode(at: number, number: number): number[] {
  const wall = [0x85, 0xff, 0x75, 0x07]; // test edi, edi; jne over the next
  const head = [0x83, 0xff, 0x07, 0x77, 0, 0x89, 0xf9, 0xb8, 0x93, 0, 0, 0, 0xd3, 0xe8, 0xa8, 0x01, 0x74, 0];
  const before = [...head, ...READ_TSC, ...wall];
  const body = [
    ...before,
    ...addWallClock(at + before.length),
    ...SPLIT_SECONDS,
    ...[0x48, 0x89, 0x16, 0x48, 0x89, 0x4e, 0x08, 0x31, 0xc0, 0xc3], // mov [rsi], rdx; mov [rsi+8], rcx; return 0
  ];
  body[4] = body.length - 5; // ja, je to the call
  body[17] = body.length - 18;
  return [...body, ...callCode(number)];
}

/** Into the timeval at rdi; with a time zone in rsi it is the kernel's. */
function gettimeofdayCode(at: number, number: number): number[] {
  const head = [0x48, 0x85, 0xf6, 0x75, 0, 0x48, 0x85, 0xff, 0x74, 0];
  const before = [...head, ...READ_TSC];
  const body = [
    ...before,
    ...addWallClock(at + before.length),
    ...SPLIT_SECONDS,
    // mov [rdi], rdx; rcx / 1000 as rcx * 274877907 >> 38; mov [rdi+8], rcx; return 0
    ...[0x48, 0x89, 0x17, 0x48, 0x69, 0xc9, 0xd3, 0x4d, 0x62, 0x10, 0x48, 0xc1, 0xe9, 0x26],
    ...[0x48, 0x89, 0x4f, 0x08, 0x31, 0xc0, 0xc3],
  ];
  body[4] = body.length - 5; // jne, je to the call
  body[9] = body.length - 10;
  return [...body, ...callCode(number)];
}

/** Returned, and stored at rdi unless that is null. */
function timeCode(at: number): number[] {
  return [
    ...READ_TSC,
    ...addWallClock(at + READ_TSC.length),
    ...SPLIT_SECONDS,
    // mov rax, rdx; test rdi, rdi; je over the next; mov [rdi], rax; ret
    ...[0x48, 0x89, 0xd0, 0x48, 0x85, 0xff, 0x74, 0x03, 0x48, 0x89, 0x07, 0xc3],
  ];
}

/** The code of a function that lies at `at` in the image. */
function code(name: string, number: number, at: number): number[] {
  switch (name) {
    case "clock_gettime":
      return clockGettimeCode(at, number);
    case "gettimeofday":
      return gettimeofdayCode(at, number);
    case "time":
      return timeCode(at);
    default:
      return callCode(number);
  }
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
  const image = new Uint8Array(align(at.end, PAGE_BYTES));
  const view = new DataView(image.buffer);
  writeHeaders(view, at);
  hashTable(list).forEach((word, i) => view.setUint32(at.hash + 4 * i, word, true));
  image.set(text, at.dynstr);
  list.forEach((symbol, i) => writeSymbol(view, at, symbol, i + 1));
  writeVersions(view, at.verdef, soname, version);
  writeDynamic(view, at, soname, text.length);
  FUNCTIONS.forEach(([name, number], i) => {
    const start = at.text + CODE_BYTES * i;
    image.set(code(name, number, start), start);
  });
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
  put64(view, base + 16, CODE_BYTES);
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
