// SPDX-License-Identifier: Apache-2.0
// What is noted while the guest runs: samples of its registers and stack, and what its kernel was asked for.
//
// Naming is left to the end: a sample keeps addresses, a map of the code of its address space (shared by samples with
// the same map), and of the stack only words that a call chain can be made of. When there are too many samples every
// other one goes and the period doubles, so that a short run is seen finely and a long one costs no more.

import type { File } from "../../include/linux/fs.ts";
import type { Mm, Vma } from "../../include/linux/mm_types.ts";
import type { Task } from "../../include/linux/sched.ts";
import { PROT_EXEC } from "../../include/uapi/mman.ts";
import type { Ram } from "../../lib/ram.ts";
import { CPU_BASE, CPU_STATE, PAGE_SIZE } from "../../virt/layout.ts";
import { DWARF_RSP } from "./frame-table.ts";

/** Among the kernel's functions, what is V8's. */
export const COMPILE = "compile module";
const FIRST_PERIOD = 4000;
/** Even. */
const SAMPLES_MAX = 16_384;
/** A sample is heavy when it holds so many times the mean of host time: at most a quarter of all can. */
const HEAVY_TIMES = 4;
/** How much of a stack is looked through. */
const STACK_BYTES = 16 * 1024;
/** Saved stack pointers lead at most so far up. */
const STACK_SPAN_BYTES = 1 << 20;
/** x86's encoding number of each of DWARF's first eight registers; the rest are the same. */
const ENCODING_OF_DWARF = [0, 2, 1, 3, 6, 7, 5, 4] as const;

/** Where code comes from: a file, or something of the kernel's like "[vdso]". */
export interface Module {
  readonly name: string;
  readonly file: File | undefined;
  /** The whole file, filled in when all is over. */
  bytes: Uint8Array | undefined;
}

export interface CodeRange {
  readonly start: number;
  readonly end: number;
  readonly fileOffset: number;
  readonly module: Module;
}

export interface Sample {
  readonly comm: string;
  readonly code: readonly CodeRange[];
  /** By DWARF's numbers, 0 to 16. */
  readonly registers: Float64Array;
  /** Address and value in turn, addresses rising. */
  readonly words: Float64Array;
  /** What ran since the sample before. */
  instructions: number;
  hostNs: number;
}

/** Something of the kernel's, per process name. */
export interface KernelCount {
  readonly comm: string;
  readonly name: string;
  count: number;
  /** Host time, sleep left out. */
  hostNs: number;
}

export class Recorder {
  #samples: Sample[] = [];
  #period = FIRST_PERIOD;
  readonly #modules = new Map<object | string, Module>();
  /** The last of each address space. */
  readonly #maps = new Map<number, readonly CodeRange[]>();
  /** By process name, then by function. */
  readonly #kernelCounts = new Map<string, Map<string, KernelCount>>();
  readonly #vdso: Uint8Array;
  readonly #stack = new Uint8Array(PAGE_SIZE);
  #instructions = 0;
  #hostNs = 0;
  /** Of all that ran, sampled or not. */
  totalInstructions: number = 0;
  totalHostNs: number = 0;

  constructor(vdso: Uint8Array) {
    this.#vdso = vdso;
  }

  /** Instructions between two samples. */
  get period(): number {
    return this.#period;
  }

  get samples(): readonly Sample[] {
    return this.#samples;
  }

  get modules(): Iterable<Module> {
    return this.#modules.values();
  }

  get kernelCounts(): readonly KernelCount[] {
    return [...this.#kernelCounts.values()].flatMap((counts) => [...counts.values()]);
  }

  /** The program ran. */
  ran(instructions: number, hostNs: number): void {
    this.#instructions += instructions;
    this.#hostNs += hostNs;
    this.totalInstructions += instructions;
    this.totalHostNs += hostNs;
  }

  /** What is added up of the kernel's function `name` for the processes of one name. */
  kernelCount(comm: string, name: string): KernelCount {
    let counts = this.#kernelCounts.get(comm);
    if (counts === undefined) this.#kernelCounts.set(comm, counts = new Map<string, KernelCount>());
    let count = counts.get(name);
    if (count === undefined) counts.set(name, count = { comm, name, count: 0, hostNs: 0 });
    return count;
  }

  /** Notes where the live task stands. */
  sample(task: Task, ram: Ram): void {
    const { mm } = task;
    if (mm === undefined) return;
    const code = this.#codeOf(task, mm);
    const registers = readRegisters(ram);
    this.#samples.push({
      comm: task.comm,
      code,
      registers,
      words: this.#readStack(mm, registers[DWARF_RSP]!, code),
      instructions: this.#instructions,
      hostNs: this.#hostNs,
    });
    this.#instructions = 0;
    this.#hostNs = 0;
    if (this.#samples.length >= SAMPLES_MAX) this.#thinOut();
  }

  /** Every other sample gives its weight to the next one, but those that took long by the host's clock stay: code that
   *  runs for the first time takes much time for few instructions. */
  #thinOut(): void {
    const samples = this.#samples;
    const heavyNs = HEAVY_TIMES * samples.reduce((sum, { hostNs }) => sum + hostNs, 0) / samples.length;
    const isHeavy = ({ hostNs }: Sample): boolean => hostNs > heavyNs;
    const kept: Sample[] = [];
    for (let n = 1; n < samples.length; n += 2) {
      const first = samples[n - 1]!;
      const second = samples[n]!;
      if (isHeavy(first) || isHeavy(second)) kept.push(first);
      else {
        second.instructions += first.instructions;
        second.hostNs += first.hostNs;
      }
      kept.push(second);
    }
    this.#samples = kept;
    this.#period *= 2;
  }

  #codeOf(task: Task, mm: Mm): readonly CodeRange[] {
    const areas: Vma[] = [];
    for (const vma of mm.vmas()) if ((vma.prot & PROT_EXEC) !== 0) areas.push(vma);
    const code = areas.map((vma) => ({
      start: vma.start,
      end: vma.end,
      fileOffset: vma.offset,
      module: this.#moduleOf(task, vma),
    }));
    const known = this.#maps.get(mm.id);
    if (known !== undefined && isSameCode(known, code)) return known;
    this.#maps.set(mm.id, code);
    return code;
  }

  #moduleOf(task: Task, vma: Vma): Module {
    const { file } = vma;
    const key = file === undefined ? vma.name ?? "[anon]" : vma.mapping?.inode ?? file;
    const known = this.#modules.get(key);
    if (known !== undefined) return known;
    const module: Module = file === undefined
      ? {
        name: vma.name ?? "[anon]",
        file,
        bytes: vma.name === "[vdso]" ? this.#vdso : undefined,
      }
      : {
        name: file.path === undefined ? file.anonymousName : task.kernel.vfs.pathName(task, file.path),
        file: file.get(),
        bytes: undefined,
      };
    this.#modules.set(key, module);
    return module;
  }

  /** Words of the stack that may be return addresses or saved stack and frame pointers. */
  #readStack(mm: Mm, sp: number, code: readonly CodeRange[]): Float64Array {
    const lowest = code[0]?.start ?? 0;
    const highest = code.at(-1)?.end ?? 0;
    const words: number[] = [];
    const end = sp + STACK_BYTES;
    for (let at = sp - (sp % 8); at < end;) {
      const length = Math.min(PAGE_SIZE - (at % PAGE_SIZE), end - at);
      const bytes = this.#stack.subarray(0, length - (length % 8));
      if (bytes.length === 0 || !mm.user.tryCopyIn(at, bytes)) break;
      const view = new DataView(bytes.buffer, 0, bytes.length);
      for (let n = 0; n < bytes.length; n += 8) {
        const high = view.getUint32(n + 4, true);
        if (high > 0x7fff) continue;
        const value = view.getUint32(n, true) + high * 2 ** 32;
        const isStack = value >= sp && value < sp + STACK_SPAN_BYTES;
        const isCode = value >= lowest && value < highest && findRange(code, value) !== undefined;
        if (isStack || isCode) words.push(at + n, value);
      }
      at += length;
    }
    return Float64Array.from(words);
  }
}

function isSameCode(a: readonly CodeRange[], b: readonly CodeRange[]): boolean {
  return a.length === b.length && a.every((range, n) => {
    const other = b[n]!;
    return range.start === other.start && range.end === other.end && range.module === other.module
      && range.fileOffset === other.fileOffset;
  });
}

function readRegisters(ram: Ram): Float64Array {
  const registers = new Float64Array(17);
  for (let n = 0; n < 16; n++) {
    registers[n] = ram.readU64(CPU_BASE + CPU_STATE.gpr + 8 * (ENCODING_OF_DWARF[n] ?? n));
  }
  registers[16] = ram.readU64(CPU_BASE + CPU_STATE.pc);
  return registers;
}

/** The range that holds `address`; ranges are in order. */
export function findRange(code: readonly CodeRange[], address: number): CodeRange | undefined {
  let low = 0;
  let high = code.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (code[middle]!.start <= address) low = middle + 1;
    else high = middle;
  }
  const range = code[low - 1];
  return range !== undefined && address < range.end ? range : undefined;
}

/** The value kept for a stack address. */
export function findWord(words: Float64Array, address: number): number | undefined {
  let low = 0;
  let high = words.length >> 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (words[2 * middle]! < address) low = middle + 1;
    else high = middle;
  }
  return words[2 * low] === address ? words[2 * low + 1] : undefined;
}
