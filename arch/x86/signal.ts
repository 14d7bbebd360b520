// SPDX-License-Identifier: Apache-2.0
// Signal frames: struct rt_sigframe with ucontext, siginfo and an FXSAVE area, as Linux builds them on an
// x86-64 processor without XSAVE.
//
// From low to high: the restorer as return address, the ucontext, the siginfo, padding, the FXSAVE area on a
// 64-byte boundary. rsp + 8 is a multiple of 16 at the handler's first instruction, as after a call. The distance from
// the frame to its FXSAVE area is always FPSTATE_OFFSET, because of the two alignments.
// Source: Linux <asm/sigcontext.h>, <asm/ucontext.h>; System V ABI, AMD64 supplement (red zone).

import type { SignalFrame, SignalStack } from "../../include/linux/cpu.ts";
import type { Ram } from "../../lib/ram.ts";
import { CPU_BASE, CPU_STATE } from "../../virt/layout.ts";
import { FLAG_TF, readRflags, writeRflags } from "./flags.ts";
import { copyWords, FXSAVE_BYTES, restoreFpu, storeFpu } from "./fpregs.ts";
import {
  getSp,
  gpr,
  initFpu,
  RAX,
  RBP,
  RBX,
  RCX,
  RDI,
  RDX,
  RSI,
  RSP,
  setPc,
  USER_CS,
  USER_DS,
} from "./registers.ts";

const RED_ZONE = 128;
const UCONTEXT = 8;
const UC_STACK = UCONTEXT + 16;
const MCONTEXT = UCONTEXT + 40;
const MC_RIP = MCONTEXT + 128;
const MC_FLAGS = MCONTEXT + 136;
const MC_SEGMENTS = MCONTEXT + 144;
const MC_ERROR = MCONTEXT + 152;
const MC_TRAP = MCONTEXT + 160;
const MC_OLDMASK = MCONTEXT + 168;
const MC_CR2 = MCONTEXT + 176;
const MC_FPSTATE = MCONTEXT + 184;
const UC_SIGMASK = MCONTEXT + 256;
const SIGINFO = UC_SIGMASK + 8;
const FRAME_BYTES = SIGINFO + 128;
/** round_up(FRAME_BYTES, 16) + 8: see the head of the file. */
const FPSTATE_OFFSET = 456;
const TOTAL_BYTES = FPSTATE_OFFSET + FXSAVE_BYTES;

/** UC_SIGCONTEXT_SS and UC_STRICT_RESTORE_SS. */
const UC_FLAGS = 6;
const FLAG_DF = 0x400;
/** The order of general registers in sigcontext. */
const MC_ORDER: readonly number[] = [8, 9, 10, 11, 12, 13, 14, 15, RDI, RSI, RBP, RBX, RDX, RAX, RCX, RSP];

export const SIGRETURN_FRAME_BYTES: number = TOTAL_BYTES;

function roundDown(value: number, unit: number): number {
  return Math.floor(value / unit) * unit;
}

/** Where the frame goes below `top`. */
function frameAddress(top: number): number {
  const fpstate = roundDown(top - FXSAVE_BYTES, 64);
  return roundDown(fpstate - FRAME_BYTES, 16) - 8;
}

export function signalFrameBytes(ram: Ram): number {
  const sp = getSp(ram);
  return sp - frameAddress(sp - RED_ZONE);
}

export function setupSignalFrame(ram: Ram, frame: SignalFrame): { address: number; bytes: Uint8Array } {
  const top = frame.onAltStack ? frame.altStack.sp + frame.altStack.size : getSp(ram) - RED_ZONE;
  const address = frameAddress(top);
  const bytes = new Uint8Array(TOTAL_BYTES);
  const view = new DataView(bytes.buffer);
  const put = (offset: number, value: number | bigint): void => putWord(view, offset, value);
  put(0, frame.restorer);
  put(UCONTEXT, UC_FLAGS);
  put(UC_STACK, frame.altStack.sp);
  view.setInt32(UC_STACK + 8, frame.altStack.flags, true);
  put(UC_STACK + 16, frame.altStack.size);
  MC_ORDER.forEach((n, i) => copyWords(view, MCONTEXT + 8 * i, ram.view, gpr(n), 8));
  copyWords(view, MC_RIP, ram.view, CPU_BASE + CPU_STATE.pc, 8);
  const flags = readRflags(ram.view, CPU_BASE);
  put(MC_FLAGS, flags);
  view.setUint16(MC_SEGMENTS, USER_CS, true);
  view.setUint16(MC_SEGMENTS + 6, USER_DS, true);
  put(MC_ERROR, frame.errorCode);
  put(MC_TRAP, frame.trapNumber);
  view.setBigUint64(MC_OLDMASK, BigInt.asUintN(64, frame.mask), true);
  put(MC_CR2, frame.faultAddress);
  put(MC_FPSTATE, address + FPSTATE_OFFSET);
  view.setBigUint64(UC_SIGMASK, BigInt.asUintN(64, frame.mask), true);
  bytes.set(frame.info.subarray(0, 128), SIGINFO);
  storeFpu(ram.view, CPU_BASE, new DataView(bytes.buffer, FPSTATE_OFFSET));
  enterHandler(ram, frame, address, flags);
  return { address, bytes };
}

/** A number as 64 bits: its low half and its high half, each modulo 2^32. */
function putWord(view: DataView, offset: number, value: number | bigint): void {
  if (typeof value === "bigint") {
    view.setBigUint64(offset, BigInt.asUintN(64, value), true);
    return;
  }
  view.setUint32(offset, value, true);
  view.setUint32(offset + 4, Math.floor(value / 2 ** 32), true);
}

function enterHandler(ram: Ram, frame: SignalFrame, address: number, flags: number): void {
  ram.writeU64(gpr(RDI), frame.signal);
  ram.writeU64(gpr(RSI), address + SIGINFO);
  ram.writeU64(gpr(RDX), address + UCONTEXT);
  ram.writeU64(gpr(RAX), 0);
  ram.writeU64(gpr(RSP), address);
  setPc(ram, frame.handler);
  writeRflags(ram.view, CPU_BASE, flags & ~(FLAG_DF | FLAG_TF));
  initFpu(ram.view, CPU_BASE);
}

/** The restorer has popped its own address. */
export function signalFrameAddress(ram: Ram): number {
  return getSp(ram) - 8;
}

export function restoreSignalFrame(
  ram: Ram,
  bytes: Uint8Array,
): { mask: bigint; altStack: SignalStack; result: bigint } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const address = signalFrameAddress(ram);
  const number = (offset: number): number => Number(view.getBigUint64(offset, true));
  MC_ORDER.forEach((n, i) => copyWords(ram.view, gpr(n), view, MCONTEXT + 8 * i, 8));
  copyWords(ram.view, CPU_BASE + CPU_STATE.pc, view, MC_RIP, 8);
  writeRflags(ram.view, CPU_BASE, view.getUint32(MC_FLAGS, true));
  const fpstate = number(MC_FPSTATE);
  const offset = fpstate - address;
  // A handler may clear the pointer: then the FPU starts afresh. One that moves the area elsewhere keeps the
  // state the handler left, since only the frame itself has been read.
  if (fpstate === 0) initFpu(ram.view, CPU_BASE);
  else if (offset >= 0 && offset + FXSAVE_BYTES <= bytes.length) {
    restoreFpu(ram.view, CPU_BASE, bytes.subarray(offset, offset + FXSAVE_BYTES));
  }
  return {
    mask: view.getBigUint64(UC_SIGMASK, true),
    altStack: { sp: number(UC_STACK), flags: view.getInt32(UC_STACK + 8, true), size: number(UC_STACK + 16) },
    result: view.getBigInt64(MCONTEXT + 8 * MC_ORDER.indexOf(RAX), true),
  };
}
