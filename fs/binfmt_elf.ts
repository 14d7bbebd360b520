// SPDX-License-Identifier: Apache-2.0
// ELF64 programs: checking headers, mapping segments, the auxiliary vector.
//
// Everything in the file is hostile: each offset and size is checked before use, and what Linux lets pass is let
// pass. A 64-bit field is read as a number; beyond 2^53 it is rounded, and far beyond any address either way.
// Headers and the interpreter are looked at before the point of no return (ENOEXEC, ELIBBAD, EIO); what fails while
// mapping comes after it and ends in SIGSEGV, as on Linux. Sources: elf(5), execve(2), getauxval(3).

import type { File } from "../include/linux/fs.ts";
import type { Task } from "../include/linux/sched.ts";
import type { Sleeps } from "../include/linux/wait.ts";
import {
  ELF64_EHDR_BYTES,
  ELF64_PHDR_BYTES,
  ET_DYN,
  ET_EXEC,
  PF_R,
  PF_W,
  PF_X,
  PT_GNU_STACK,
  PT_INTERP,
  PT_LOAD,
} from "../include/uapi/elf.ts";
import {
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  MAP_PRIVATE,
  PROT_EXEC,
  PROT_READ,
  PROT_WRITE,
} from "../include/uapi/mman.ts";
import { bytesToString } from "../lib/byte-string.ts";
import { EACCES, EINVAL, EIO, ELIBBAD, ENOEXEC, ENOMEM } from "../lib/errno.ts";
import type { Ram } from "../lib/ram.ts";
import type { ProcessMm } from "../mm/mm.ts";
import { pageDown, pageUp } from "../mm/mmap.ts";
import { PAGE_SIZE, pageOffset, TASK_SIZE } from "../virt/layout.ts";
import { type LayoutRandom, programBase } from "./exec-layout.ts";
import { readFully } from "./exec-file.ts";

const PATH_MAX = 4096;
/** Where position-independent programs go: two thirds of the address space. */
export const ELF_ET_DYN_BASE: number = pageDown(Math.floor(TASK_SIZE / 3) * 2);
const HEAP_RANDOM_BITS = 12;

export interface ElfHeader {
  readonly type: number;
  readonly machine: number;
  readonly entry: number;
  readonly programHeaderOffset: number;
  readonly programHeaderBytes: number;
  readonly programHeaderCount: number;
}

export interface ProgramHeader {
  readonly type: number;
  readonly flags: number;
  readonly offset: number;
  readonly address: number;
  readonly fileBytes: number;
  readonly memoryBytes: number;
  readonly align: number;
}

/** A program or interpreter whose headers have been read. */
export interface ElfImage {
  readonly file: File;
  readonly header: ElfHeader;
  readonly segments: readonly ProgramHeader[];
}

export interface ElfProgram extends ElfImage {
  readonly interpreter: ElfImage | undefined;
  readonly stackIsExecutable: boolean;
}

/** Where a program came to lie. */
export interface LoadedElf {
  readonly entry: number; // of the interpreter if there is one
  readonly programEntry: number;
  readonly programHeaders: number;
  readonly programHeaderCount: number;
  readonly interpreterBase: number;
}

export function isElf(head: Uint8Array): boolean {
  return head[0] === 0x7f && head[1] === 0x45 && head[2] === 0x4c && head[3] === 0x46;
}

function parseHeader(bytes: Uint8Array): ElfHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return {
    type: view.getUint16(16, true),
    machine: view.getUint16(18, true),
    entry: readU64(view, 24),
    programHeaderOffset: readU64(view, 32),
    programHeaderBytes: view.getUint16(54, true),
    programHeaderCount: view.getUint16(56, true),
  };
}

function readU64(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * 0x1_0000_0000;
}

/** How much of a file is read at first: the program headers of nearly every file lie within. */
export const ELF_START_BYTES: number = 1024;

/** Reads the headers of a program and of its interpreter. `start`: the file's first ELF_START_BYTES, or all of it.
 *  `openInterpreter` opens by path with execute permission. The caller owns interpreter.file. */
export function* readElf(
  task: Task,
  file: File,
  start: Uint8Array,
  openInterpreter: (path: string) => Sleeps<File>,
): Sleeps<ElfProgram> {
  const header = parseHeader(padded(start));
  if (header.type !== ET_EXEC && header.type !== ET_DYN) throw ENOEXEC;
  if (header.machine !== task.kernel.arch.elfMachine) throw ENOEXEC;
  const segments = yield* readProgramHeaders(task.kernel.ram, file, start, header, ENOEXEC);
  const stack = segments.findLast((segment) => segment.type === PT_GNU_STACK);
  const stackIsExecutable = stack !== undefined && (stack.flags & PF_X) !== 0;
  const request = segments.find((segment) => segment.type === PT_INTERP);
  if (request === undefined) return { file, header, segments, interpreter: undefined, stackIsExecutable };
  const path = yield* readInterpreterPath(task.kernel.ram, file, request);
  if (path === "") throw EACCES; // Linux opens the working directory, which is no regular file.
  const opened = yield* openInterpreter(path);
  try {
    const interpreter = yield* readInterpreter(task, opened);
    return { file, header, segments, interpreter, stackIsExecutable };
  } catch (error) {
    opened.put();
    throw error;
  }
}

function* readInterpreterPath(ram: Ram, file: File, request: ProgramHeader): Sleeps<string> {
  if (request.fileBytes > PATH_MAX || request.fileBytes < 2) throw ENOEXEC;
  const bytes = yield* readFully(ram, file, request.offset, request.fileBytes);
  if (bytes.length < request.fileBytes) throw EIO;
  if (bytes[bytes.length - 1] !== 0) throw ENOEXEC;
  return bytesToString(bytes, 0, bytes.indexOf(0));
}

function* readInterpreter(task: Task, file: File): Sleeps<ElfImage> {
  const { ram } = task.kernel;
  const start = yield* readFully(ram, file, 0, ELF_START_BYTES);
  if (start.length < ELF64_EHDR_BYTES) throw EIO;
  if (!isElf(start)) throw ELIBBAD;
  const header = parseHeader(start);
  if (header.machine !== task.kernel.arch.elfMachine) throw ELIBBAD;
  return { file, header, segments: yield* readProgramHeaders(ram, file, start, header, ELIBBAD) };
}

/** A file shorter than its header reads as one that ends in zeros. */
function padded(start: Uint8Array): Uint8Array {
  if (start.length >= ELF64_EHDR_BYTES) return start;
  const header = new Uint8Array(ELF64_EHDR_BYTES);
  header.set(start);
  return header;
}

function* readProgramHeaders(
  ram: Ram,
  file: File,
  start: Uint8Array,
  header: ElfHeader,
  error: Error,
): Sleeps<ProgramHeader[]> {
  if (header.programHeaderBytes !== ELF64_PHDR_BYTES) throw error;
  const length = header.programHeaderCount * ELF64_PHDR_BYTES;
  if (length === 0 || length > 65536 || header.programHeaderOffset > Number.MAX_SAFE_INTEGER - length) {
    throw error;
  }
  const offset = header.programHeaderOffset;
  const bytes = offset + length <= start.length
    ? start.subarray(offset, offset + length)
    : yield* readFully(ram, file, offset, length);
  if (bytes.length < length) throw error;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const segments: ProgramHeader[] = [];
  for (let at = 0; at < length; at += ELF64_PHDR_BYTES) {
    segments.push({
      type: view.getUint32(at, true),
      flags: view.getUint32(at + 4, true),
      offset: readU64(view, at + 8),
      address: readU64(view, at + 16),
      fileBytes: readU64(view, at + 32),
      memoryBytes: readU64(view, at + 40),
      align: readU64(view, at + 48),
    });
  }
  return segments;
}

/** Maps a program and its interpreter into an address space that holds nothing but the stack, sets the code, data
 *  and brk fields. Errors are those of a program that cannot live. */
export function* loadElf(
  task: Task,
  mm: ProcessMm,
  program: ElfProgram,
  random: LayoutRandom,
): Sleeps<LoadedElf> {
  const bias = programBias(program, random);
  const load = yield* mapImage(task, mm, program, bias);
  setBounds(mm, program, load);
  placeBreak(mm, program, random);
  let { entry } = load;
  let interpreterBase = 0;
  if (program.interpreter === undefined) {
    if (!(entry < TASK_SIZE)) throw EINVAL;
  } else {
    const { type } = program.interpreter.header;
    if (type !== ET_EXEC && type !== ET_DYN) throw EINVAL;
    const loaded = yield* mapImage(task, mm, program.interpreter, undefined);
    interpreterBase = loaded.bias;
    entry = loaded.entry;
    if (!(entry < TASK_SIZE)) throw EINVAL;
  }
  return {
    entry,
    programEntry: load.entry,
    programHeaders: headersAddress(program) + load.bias,
    programHeaderCount: program.header.programHeaderCount,
    interpreterBase,
  };
}

/** Address minus p_vaddr for the program: 0 for ET_EXEC; undefined lets mmap choose (static PIE). */
function programBias(program: ElfProgram, random: LayoutRandom): number | undefined {
  if (program.header.type !== ET_DYN) return 0;
  if (program.interpreter === undefined) return undefined;
  let base = programBase(ELF_ET_DYN_BASE, random);
  const align = maximumAlign(program.segments);
  base -= base % align;
  const first = program.segments.find((segment) => segment.type === PT_LOAD);
  return pageDown(base - pageDown(first?.address ?? 0));
}

function maximumAlign(segments: readonly ProgramHeader[]): number {
  let align = PAGE_SIZE;
  for (const segment of segments) {
    if (segment.type !== PT_LOAD || !isPowerOfTwo(segment.align)) continue;
    align = Math.max(align, segment.align);
  }
  return align;
}

function isPowerOfTwo(value: number): boolean {
  return value > 0 && value <= 2 ** 46 && Number.isInteger(Math.log2(value));
}

/** Span of all PT_LOAD in memory, from the first one's page. */
function spanBytes(segments: readonly ProgramHeader[]): number {
  let low = Infinity;
  let high = 0;
  for (const segment of segments) {
    if (segment.type !== PT_LOAD) continue;
    low = Math.min(low, pageDown(segment.address));
    high = Math.max(high, segment.address + segment.memoryBytes);
  }
  return low === Infinity ? 0 : pageUp(high - low);
}

interface MappedImage {
  readonly bias: number;
  readonly entry: number;
  readonly startCode: number;
  readonly endCode: number;
  readonly startData: number;
  readonly endData: number;
  readonly end: number;
}

/** Maps every PT_LOAD. The first mapping takes the room of all, so that nothing comes in between. */
function* mapImage(
  task: Task,
  mm: ProcessMm,
  image: ElfImage,
  biasAsked: number | undefined,
): Sleeps<MappedImage> {
  const { segments, header } = image;
  const loads = segments.filter((segment) => segment.type === PT_LOAD);
  const isFixed = header.type === ET_EXEC;
  let bias = isFixed ? 0 : biasAsked;
  if (loads.length === 0) {
    if (!isFixed) throw EINVAL;
    return {
      bias: 0,
      entry: header.entry,
      startCode: 0,
      endCode: 0,
      startData: 0,
      endData: 0,
      end: 0,
    };
  }
  const total = spanBytes(segments);
  let startCode = Infinity;
  let endCode = 0;
  let startData = 0;
  let endData = 0;
  let end = 0;
  for (const segment of loads) {
    const isFirst = segment === loads[0];
    if (isFirst && !isFixed && total === 0) throw EINVAL;
    if (isFirst && bias === undefined) bias = chooseBias(task, mm, segments, segment, total);
    const at = segment.address + (bias ?? 0);
    yield* mapSegment(task, mm, image.file, segment, at, isFirst && isFixed);
    checkSegment(segment, at);
    if ((segment.flags & PF_X) !== 0) {
      startCode = Math.min(startCode, at);
      endCode = Math.max(endCode, at + segment.fileBytes);
    }
    startData = Math.max(startData, at);
    endData = Math.max(endData, at + segment.fileBytes);
    end = Math.max(end, at + segment.memoryBytes);
  }
  return {
    bias: bias ?? 0,
    entry: header.entry + (bias ?? 0),
    startCode: startCode === Infinity ? 0 : startCode,
    endCode,
    startData,
    endData,
    end,
  };
}

function chooseBias(
  task: Task,
  mm: ProcessMm,
  segments: readonly ProgramHeader[],
  first: ProgramHeader,
  total: number,
): number {
  const align = maximumAlign(segments);
  const room = mm.findFree(task, total + (align - PAGE_SIZE));
  const base = Math.ceil(room / align) * align;
  return base - pageDown(first.address);
}

function checkSegment(segment: ProgramHeader, at: number): void {
  if (
    !(at < TASK_SIZE) || segment.fileBytes > segment.memoryBytes || segment.memoryBytes > TASK_SIZE
    || TASK_SIZE - segment.memoryBytes < at
  ) throw EINVAL;
}

function protectionOf(flags: number): number {
  return ((flags & PF_R) !== 0 ? PROT_READ : 0) | ((flags & PF_W) !== 0 ? PROT_WRITE : 0)
    | ((flags & PF_X) !== 0 ? PROT_EXEC : 0);
}

function* mapSegment(
  task: Task,
  mm: ProcessMm,
  file: File,
  segment: ProgramHeader,
  at: number,
  isExclusive: boolean,
): Sleeps<void> {
  const within = pageOffset(at);
  const start = at - within;
  if (!(start >= 0 && at < TASK_SIZE && segment.fileBytes < TASK_SIZE && segment.memoryBytes < TASK_SIZE)) {
    throw ENOMEM;
  }
  const prot = protectionOf(segment.flags);
  const fixed = MAP_PRIVATE | (isExclusive ? MAP_FIXED_NOREPLACE : MAP_FIXED);
  const fileLength = pageUp(segment.fileBytes + within);
  const fileEnd = at + segment.fileBytes;
  if (segment.fileBytes > 0) {
    if (segment.offset < within || pageOffset(segment.offset - within) !== 0) throw EINVAL;
    yield* mm.mmap(task, start, fileLength, prot, fixed, file, segment.offset - within);
  }
  if (segment.memoryBytes <= segment.fileBytes) return;
  if (segment.fileBytes > 0 && (segment.flags & PF_W) !== 0 && pageOffset(fileEnd) !== 0) {
    yield* mm.user.clear(fileEnd, PAGE_SIZE - pageOffset(fileEnd));
  }
  const zeroStart = segment.fileBytes > 0 ? pageUp(fileEnd) : start;
  const zeroEnd = pageUp(at + segment.memoryBytes);
  if (zeroEnd <= zeroStart) return;
  // Linux makes these pages as brk(2) does: writable whatever the segment says.
  const zeroProt = PROT_READ | PROT_WRITE | (prot & PROT_EXEC);
  yield* mm.mmap(task, zeroStart, zeroEnd - zeroStart, zeroProt, fixed | MAP_ANONYMOUS, undefined, 0);
}

/** Address (before the bias) of the program headers in memory: where a PT_LOAD holds their file offset. */
function headersAddress(program: ElfProgram): number {
  const at = program.header.programHeaderOffset;
  for (const segment of program.segments) {
    if (segment.type !== PT_LOAD) continue;
    if (segment.offset <= at && at < segment.offset + segment.fileBytes) {
      return at - segment.offset + segment.address;
    }
  }
  return 0;
}

function setBounds(mm: ProcessMm, program: ElfProgram, load: MappedImage): void {
  mm.startCode = load.startCode;
  mm.endCode = load.endCode;
  mm.startData = load.startData;
  mm.endData = load.endData;
  mm.startBrk = mm.brk = pageUp(load.end);
}

/** The heap starts up to 16 MiB above the program (Linux: 32; see exec-layout.ts). A static PIE lies among the mappings, so its heap goes to where
 *  other programs lie. */
function placeBreak(mm: ProcessMm, program: ElfProgram, random: LayoutRandom): void {
  const isStaticPie = program.header.type === ET_DYN && program.interpreter === undefined;
  if (isStaticPie && random.isActive) mm.brk = ELF_ET_DYN_BASE;
  mm.startBrk = mm.brk = mm.brk + random.bits(HEAP_RANDOM_BITS) * PAGE_SIZE;
}
