// SPDX-License-Identifier: Apache-2.0
// The guest CPU as the kernel sees it: a function that runs until something needs the kernel.
//
// The kernel knows no instruction set; it knows a Cpu and a GuestArch. Numbers instead of objects on this
// path: a trap happens for each system call.

import type { Ram } from "../../lib/ram.ts";

/** Why Cpu.run stopped. Registers are exact: those before the instruction for a fault, after it for a call. */
export const TRAP_SYSCALL = 1;
/** Page fault: trapAddress and trapAccess tell which. */
export const TRAP_FAULT = 2;
/** Undefined or privileged-in-form instruction (#UD): SIGILL. */
export const TRAP_ILLEGAL = 3;
/** #DE: SIGFPE with FPE_INTDIV. */
export const TRAP_DIVIDE = 4;
/** INT3: SIGTRAP; pc is after the instruction. */
export const TRAP_BREAKPOINT = 5;
/** The budget is used up. */
export const TRAP_PREEMPTED = 6;
/** #GP without an address (privileged instruction, non-canonical address): SIGSEGV with si_addr 0. #SS as well, for which
 *  Linux has SIGBUS. */
export const TRAP_PROTECTION = 7;
/** Unmasked x87 (#MF) or SSE (#XM) exception: SIGFPE, si_code from the status registers. */
export const TRAP_FPU = 8;
/** Single step (EFLAGS.TF) completed: SIGTRAP. */
export const TRAP_STEP = 9;
/** INT n other than 3, INTO and the like: SIGSEGV. */
export const TRAP_INTERRUPT = 10;

export const ACCESS_READ = 0;
export const ACCESS_WRITE = 1;
export const ACCESS_EXEC = 2;
export type Access = typeof ACCESS_READ | typeof ACCESS_WRITE | typeof ACCESS_EXEC;

/** A guest CPU. One exists per Kernel; its registers live in RAM (virt/layout.ts). */
export interface Cpu {
  readonly ram: Ram;
  /** Instructions retired by this CPU since it was made. */
  readonly retired: number;
  /** Faulting address and kind of access of the last TRAP_FAULT. */
  readonly trapAddress: number;
  /** That address with all 64 bits, which a number has not above 2^53. Slow (allocates). */
  readonly trapAddress64: bigint;
  readonly trapAccess: Access;
  /** Makes the tables at `root` current; `mmId` is a small number unique among live address spaces. */
  setAddressSpace(root: number, mmId: number): void;
  /** An address space is gone; its number may be used again. */
  endAddressSpace(mmId: number): void;
  /** Runs until a trap or until about `budget` instructions are retired. Returns a TRAP_*. */
  run(budget: number): number;
  /** A mapping was removed or its rights reduced or its frame changed: drops cached translations of
   *  [start, end) of the current address space. Needed even for pages that were only read. */
  flushRange(start: number, end: number): void;
  flushAll(): void;
  /** Bytes of the frame at host address `frame` changed behind the CPU, or the frame is freed: drops the
   *  code made from it. Cheap when FRAME_CODE is not set. */
  invalidateFrame(frame: number): void;
  /** Who brings private pages of the current address space around an address into a row in RAM (Mm.gatherPages): asked where translated code
   *  has met some that are not again and again. Answers whether it moved any. */
  gatherPagesBy(gather: (address: number) => boolean): void;
  /** Executes exactly one instruction (for single stepping and for stores into code). */
  step(): number;
  /** Counters by name (TLB misses, region exits, compiles, ...), for perf and tests. */
  statistics(): Record<string, number>;
}

/** What the kernel asks of an instruction set. Implemented by arch/<isa>/index.ts. */
export interface GuestArch {
  readonly name: string; // as uname -m: "x86_64"
  readonly elfMachine: number; // EM_X86_64 is 62
  readonly platform: string; // AT_PLATFORM
  readonly hwcap: number; // AT_HWCAP
  readonly hwcap2: number;
  /** System call names by number. */
  readonly syscallNames: readonly (string | undefined)[];
  /** Registers of a fresh program: entry point and stack pointer, all else as the ABI has it. */
  startThread(ram: Ram, pc: number, sp: number): void;
  /** The register file is the live one (CPU_BASE) in all that follows. */
  getPc(ram: Ram): number;
  setPc(ram: Ram, pc: number): void;
  getSp(ram: Ram): number;
  setSp(ram: Ram, sp: number): void;
  syscallNumber(ram: Ram): number;
  /** Argument `index` (0..5) as a safe number when it is below 2^53, else rounded: pointers and sizes. */
  syscallArgument(ram: Ram, index: number): number;
  /** Argument `index` as a signed 64-bit value, exact within +-2^53: offsets. */
  syscallArgumentSigned(ram: Ram, index: number): number;
  /** Argument `index` as a signed 32-bit int: descriptors, flags. */
  syscallArgument32(ram: Ram, index: number): number;
  /** Argument `index`, all 64 bits, signed. Slow (allocates). */
  syscallArgument64(ram: Ram, index: number): bigint;
  setSyscallResult(ram: Ram, value: number): void; // negative errno or a value below 2^53
  setSyscallResult64(ram: Ram, value: bigint): void;
  /** Moves the pc back so that the call is made again; `number` replaces the call (restart_syscall) if given. */
  restartSyscall(ram: Ram, number: number): void;
  setTls(ram: Ram, base: number): void;
  /** Bytes of the frame that setupSignalFrame writes below the stack pointer, alignment and red zone included. */
  signalFrameBytes(ram: Ram): number;
  /** Builds the frame in a byte buffer and points the registers at the handler; the kernel copies it out. */
  setupSignalFrame(ram: Ram, frame: SignalFrame): { address: number; bytes: Uint8Array };
  /** Reads a frame copied in from the stack (rt_sigreturn), restores registers, returns the signal mask. */
  restoreSignalFrame(ram: Ram, bytes: Uint8Array): { mask: bigint; altStack: SignalStack; result: bigint };
  signalFrameAddress(ram: Ram): number; // for rt_sigreturn: where the frame to restore starts
  readonly sigreturnFrameBytes: number; // how much rt_sigreturn copies in
  /** user_regs_struct / user_fpregs_struct for ptrace and core notes. `saved` is a copy of the register file. */
  getRegset(saved: Uint8Array, type: "prstatus" | "fpregset"): Uint8Array;
  setRegset(saved: Uint8Array, type: "prstatus" | "fpregset", bytes: Uint8Array): void;
  /** The vDSO: an ELF image made at start-up, mapped into every process. With `readsWallClock` a page before it holds
   *  what CLOCK_REALTIME is ahead of CLOCK_MONOTONIC, as 64 bits of nanoseconds. */
  vdso(): { image: Uint8Array; readsWallClock?: boolean };
  /** arch_prctl(2), where the instruction set has segments. */
  readonly segmentBases?: {
    get(ram: Ram, segment: "fs" | "gs"): number;
    set(ram: Ram, segment: "fs" | "gs", base: number): void;
  };
  /** After TRAP_FPU: the FPE_* code that the status registers call for. */
  fpuSignalCode?(ram: Ram): number;
  /** Text of /proc/cpuinfo for one CPU. */
  cpuinfo(processor: number, mhz: number): string;
}

export interface SignalStack {
  sp: number;
  flags: number;
  size: number;
}

export interface SignalFrame {
  signal: number;
  handler: number;
  flags: number; // SA_*
  restorer: number;
  mask: bigint; // to be restored
  info: Uint8Array; // siginfo_t, 128 bytes
  altStack: SignalStack; // current one, stored in uc_stack
  onAltStack: boolean; // build the frame at the top of altStack
  trapNumber: number; // x86 vector: 14 page fault, 6 illegal ...
  errorCode: number;
  faultAddress: number | bigint; // a bigint where a number would be rounded
}
