// SPDX-License-Identifier: Apache-2.0
// Runs the instances of a batch in Rookery's CPU, with page tables made by hand that map the same addresses
// as native-runner.c does, and gives results in the same form.
//
// Invariant: between instances the data frames hold the background of the batch.

import {
  ACCESS_EXEC,
  ACCESS_WRITE,
  TRAP_BREAKPOINT,
  TRAP_DIVIDE,
  TRAP_FAULT,
  TRAP_FPU,
  TRAP_ILLEGAL,
  TRAP_INTERRUPT,
  TRAP_PREEMPTED,
  TRAP_PROTECTION,
  TRAP_STEP,
} from "../../../include/linux/cpu.ts";
import { x86FrontEnd } from "../../../arch/x86/frontend.ts";
import { fxsaveImage, loadFxsaveImage } from "../../../arch/x86/x87-fxsave.ts";
import { Ram } from "../../../lib/ram.ts";
import { type CpuOptions, WasmCpu } from "../../../virt/cpu.ts";
import {
  CPU_BASE,
  CPU_STATE,
  FRAMES_START,
  PT_SHIFTS,
  PTE_EXEC,
  PTE_PRESENT,
  PTE_WRITE,
  SAVED_BYTES,
} from "../../../virt/layout.ts";
import type { Case } from "./generate.ts";
import { flagsFromState, setFlags } from "./flags.ts";
import {
  CODE_BASE,
  DATA_BASE,
  DATA_BYTES,
  DATA_PAGES,
  FS_BASE,
  FX,
  FX_MXCSR,
  FX_WORDS,
  GPR,
  GS_BASE,
  PAGE,
  READ_WRITE,
  type Result,
  RESULT_FX,
  RESULT_WORDS,
  RFLAGS,
  RIP,
  SIGNAL,
  SIGNAL_ADDRESS,
  TRAP_ERROR,
  TRAP_NUMBER,
  UNMAPPED,
} from "./records.ts";
import type { PlannedBatch } from "./plan.ts";

const SIGILL = 4;
const SIGTRAP = 5;
const SIGFPE = 8;
const SIGSEGV = 11;
const SIGALRM = 14;
/** Instructions an instance may take: sequences loop, REP retires once per element. */
const BUDGET = 20_000;
const CODE_BYTES_MAX = 4 << 20;

const SIGNALS: ReadonlyMap<number, number> = new Map([
  [TRAP_BREAKPOINT, SIGTRAP],
  [TRAP_STEP, SIGTRAP],
  [TRAP_FAULT, SIGSEGV],
  [TRAP_PROTECTION, SIGSEGV],
  [TRAP_INTERRUPT, SIGSEGV],
  [TRAP_ILLEGAL, SIGILL],
  [TRAP_DIVIDE, SIGFPE],
  [TRAP_FPU, SIGFPE],
  [TRAP_PREEMPTED, SIGALRM],
]);

/** What an instance did: registers and signal as the native runner reports them, and whether memory agreed. */
export interface Outcome {
  readonly words: Uint32Array;
  /** The first byte of data memory that differs from what the processor left, or -1. */
  readonly memoryOffset: number;
  readonly memoryText: string;
}

/** Of the image of FXSAVE. */
const IMAGE_ALIGNMENT = 16;
const MASK_AT = 28;
const HOST_MXCSR_MASK = 0x2_ffff;

export class RookeryRunner {
  readonly ram: Ram;
  readonly cpu: WasmCpu;
  #nextFrame = FRAMES_START;
  readonly #root: number;
  readonly #codeHost: number;
  readonly #dataHost: number;
  #background: Uint8Array = new Uint8Array(0);
  readonly #expected: Uint8Array = new Uint8Array(DATA_BYTES);

  readonly #stepping: boolean;

  /** `stepping`: each instruction by Cpu.step(). */
  constructor(options: CpuOptions, stepping: boolean = false) {
    this.#stepping = stepping;
    this.ram = new Ram(256 << 20);
    this.cpu = new WasmCpu(this.ram, x86FrontEnd, options);
    this.#root = this.#frames(1);
    this.#codeHost = this.#frames(CODE_BYTES_MAX / PAGE);
    this.#dataHost = this.#frames(DATA_PAGES.length);
    for (const [n, rights] of DATA_PAGES.entries()) {
      if (rights === UNMAPPED) continue;
      const bits = rights === READ_WRITE ? PTE_PRESENT | PTE_WRITE : PTE_PRESENT;
      this.#map(DATA_BASE + n * PAGE, this.#dataHost + n * PAGE, bits);
    }
    this.cpu.setAddressSpace(this.#root, 1);
  }

  #frames(count: number): number {
    const at = this.#nextFrame;
    this.#nextFrame += count * PAGE;
    this.ram.ensure(this.#nextFrame);
    return at;
  }

  #map(address: number, frame: number, bits: number): void {
    let table = this.#root;
    for (const shift of PT_SHIFTS.slice(0, 3)) {
      const slot = (table + (Math.floor(address / 2 ** shift) % 1024) * 4) >>> 2;
      if (this.ram.u32[slot] === 0) this.ram.u32[slot] = this.#frames(1) | PTE_PRESENT;
      table = this.ram.u32[slot]! & ~4095;
    }
    this.ram.u32[(table + (Math.floor(address / PAGE) % 1024) * 4) >>> 2] = frame | bits;
  }

  /** Forgets the code of a batch, so that regions make room for others. */
  forgetCode(batch: PlannedBatch): void {
    for (let at = 0; at < batch.code.length; at += PAGE) this.cpu.invalidateFrame(this.#codeHost + at);
  }

  /** Places code and data of a batch. */
  load(batch: PlannedBatch): void {
    if (batch.code.length > CODE_BYTES_MAX) throw new RangeError("batch too large");
    for (let at = 0; at < CODE_BYTES_MAX; at += PAGE) {
      const inUse = at < batch.code.length;
      this.#map(CODE_BASE + at, this.#codeHost + at, inUse ? PTE_PRESENT | PTE_EXEC : 0);
      if (inUse) this.cpu.invalidateFrame(this.#codeHost + at);
    }
    this.cpu.flushAll();
    this.ram.u8.set(batch.code, this.#codeHost);
    this.#background = batch.background;
    this.#expected.set(batch.background);
    this.ram.u8.set(batch.background, this.#dataHost);
  }

  #setState(item: Case, exact: boolean): void {
    const { ram } = this;
    const { words } = item.instance;
    ram.u8.fill(0, CPU_BASE, CPU_BASE + SAVED_BYTES);
    const state = CPU_BASE >>> 2;
    for (let n = 0; n < 32; n++) ram.u32[state + (CPU_STATE.gpr >>> 2) + n] = words[GPR + n]!;
    ram.u32[state + (CPU_STATE.pc >>> 2)] = words[RIP]!;
    ram.u32[state + (CPU_STATE.pc >>> 2) + 1] = words[RIP + 1]!;
    ram.writeU64(CPU_BASE + CPU_STATE.fsBase, FS_BASE);
    ram.writeU64(CPU_BASE + CPU_STATE.gsBase, GS_BASE);
    const image = new Uint8Array(512);
    image.set(new Uint8Array(words.buffer, words.byteOffset + FX * 4, FX_WORDS * 4));
    loadFxsaveImage(ram, image, "wide");
    ram.u32[(CPU_BASE + CPU_STATE.mxcsr + 4) >>> 2] = exact ? 1 : 0;
    ram.u16[(CPU_BASE + CPU_STATE.segments + 2) >>> 1] = 0x33;
    ram.u16[(CPU_BASE + CPU_STATE.segments + 4) >>> 1] = 0x2b;
    setFlags(ram, words[RFLAGS]!);
  }

  /** Runs one instance; `native` tells what memory should hold afterwards. */
  run(item: Case, native: Result, exact: boolean): Outcome {
    this.#setState(item, exact);
    this.#applyWindow(item);
    const trap = this.#stepping ? this.#steps() : this.cpu.run(BUDGET);
    const words = this.#result(trap);
    return { words, ...this.#checkMemory(item, native) };
  }

  #steps(): number {
    for (let n = 0; n < BUDGET; n++) {
      const trap = this.cpu.step();
      if (trap !== TRAP_STEP) return trap;
    }
    return TRAP_PREEMPTED;
  }

  #applyWindow(item: Case): void {
    const { window } = item.instance;
    if (window.length === 0) return;
    const start = windowOffset(item);
    const { u8 } = this.ram;
    for (let n = 0; n < window.length; n++) {
      const offset = start + n;
      if (offset < 0 || offset >= DATA_BYTES || DATA_PAGES[offset >> 12] === UNMAPPED) continue;
      u8[this.#dataHost + offset] = window[n]!;
      this.#expected[offset] = window[n]!;
    }
  }

  #result(trap: number): Uint32Array {
    const { ram } = this;
    const words = new Uint32Array(RESULT_WORDS);
    const state = CPU_BASE >>> 2;
    for (let n = 0; n < 32; n++) words[GPR + n] = ram.u32[state + (CPU_STATE.gpr >>> 2) + n]!;
    words[RFLAGS] = flagsFromState(ram);
    words[RIP] = ram.u32[state + (CPU_STATE.pc >>> 2)]!;
    words[RIP + 1] = ram.u32[state + (CPU_STATE.pc >>> 2) + 1]!;
    words[SIGNAL] = SIGNALS.get(trap) ?? trap + 1000;
    words[TRAP_NUMBER] = trap;
    if (trap === TRAP_FAULT) {
      words[SIGNAL_ADDRESS] = ram.u32[state + (CPU_STATE.trapAddress >>> 2)]!;
      words[SIGNAL_ADDRESS + 1] = ram.u32[state + (CPU_STATE.trapAddress >>> 2) + 1]!;
      const access = this.cpu.trapAccess;
      words[TRAP_ERROR] = access === ACCESS_WRITE ? 2 : access === ACCESS_EXEC ? 16 : 0;
    }
    words.set(new Uint32Array(fxsaveImage(ram, "wide").buffer, 0, FX_WORDS), RESULT_FX);
    return words;
  }

  #checkMemory(item: Case, native: Result): { memoryOffset: number; memoryText: string } {
    const expected = this.#expected;
    for (const { offset, bytes } of native.diffs) expected.set(bytes, offset);
    if (item.form?.mnemonic === "FXSAVE") this.#hostOnlyBits(native);
    const { u8 } = this.ram;
    const now = u8.subarray(this.#dataHost, this.#dataHost + DATA_BYTES);
    const same = Buffer.compare(now, expected) === 0;
    let memoryOffset = -1;
    let memoryText = "";
    if (!same) {
      memoryOffset = now.findIndex((byte, n) => byte !== expected[n]);
      const at = memoryOffset & ~7;
      memoryText = `${hex(now.subarray(at, at + 16))} expected ${hex(expected.subarray(at, at + 16))}`;
      u8.set(this.#background, this.#dataHost);
      expected.set(this.#background);
      return { memoryOffset, memoryText };
    }
    this.#restore(windowOffset(item), item.instance.window.length);
    for (const { offset, bytes } of native.diffs) this.#restore(offset, bytes.length);
    return { memoryOffset, memoryText };
  }

  /** MXCSR_MASK of this processor has the bit of misaligned SSE, which CPUID does not promise here. It stands behind MXCSR. */
  #hostOnlyBits(native: Result): void {
    const { buffer, byteOffset, byteLength } = this.#expected;
    const view = new DataView(buffer, byteOffset, byteLength);
    const mxcsr = native.words[RESULT_FX + FX_MXCSR];
    for (const { offset, bytes } of native.diffs) {
      for (let at = offset; at + 4 <= offset + bytes.length; at += 4) {
        if (at % IMAGE_ALIGNMENT !== MASK_AT % IMAGE_ALIGNMENT) continue;
        const isMask = view.getUint32(at, true) === HOST_MXCSR_MASK && view.getUint32(at - 4, true) === mxcsr;
        if (isMask) view.setUint32(at, HOST_MXCSR_MASK & 0xffff, true);
      }
    }
  }

  #restore(start: number, length: number): void {
    const from = Math.max(0, start);
    const to = Math.min(DATA_BYTES, start + length);
    if (from >= to) return;
    const bytes = this.#background.subarray(from, to);
    this.ram.u8.set(bytes, this.#dataHost + from);
    this.#expected.set(bytes, from);
  }
}

function windowOffset(item: Case): number {
  const { words } = item.instance;
  return words[36]! + words[37]! * 0x1_0000_0000 - DATA_BASE;
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
