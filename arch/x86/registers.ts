// SPDX-License-Identifier: Apache-2.0
// The x86-64 register file as the kernel sees it: program start, system call conventions, ptrace layouts.
// Source: System V ABI, AMD64 supplement, appendix A.2; Linux <sys/user.h>.

import type { Ram } from "../../lib/ram.ts";
import { CPU_BASE, CPU_STATE, SAVED_BYTES } from "../../virt/layout.ts";
import { readRflags, writeRflags } from "./flags.ts";
import { MXCSR_DEFAULT } from "./mxcsr.ts";

export const USER_CS = 0x33;
export const USER_DS = 0x2b;
const FCW_DEFAULT = 0x37f;
const SYSCALL_BYTES = 2;

/** Encoding numbers. */
export const RAX = 0;
export const RCX = 1;
export const RDX = 2;
export const RBX = 3;
export const RSP = 4;
export const RBP = 5;
export const RSI = 6;
export const RDI = 7;

/** Host address of general register n of the live register file. */
export function gpr(n: number): number {
  return CPU_BASE + CPU_STATE.gpr + 8 * n;
}

/** Registers of the system call arguments. */
const ARGUMENTS: readonly number[] = [RDI, RSI, RDX, 10, 8, 9].map(gpr);

/** x87 and SSE as after FNINIT and a reset of MXCSR; the floating point mode stays. */
export function initFpu(view: DataView, base: number): void {
  for (let at = CPU_STATE.xmm; at < CPU_STATE.fdp + 8; at += 4) view.setUint32(base + at, 0);
  setFpuControl(view, base);
}

function setFpuControl(view: DataView, base: number): void {
  view.setUint32(base + CPU_STATE.fcw, FCW_DEFAULT, true);
  view.setUint32(base + CPU_STATE.mxcsr, MXCSR_DEFAULT, true);
}

export function startThread(ram: Ram, pc: number, sp: number): void {
  ram.u8.fill(0, CPU_BASE, CPU_BASE + SAVED_BYTES);
  writeRflags(ram.view, CPU_BASE, 0);
  setFpuControl(ram.view, CPU_BASE);
  const segments = CPU_BASE + CPU_STATE.segments;
  ram.view.setUint16(segments + 2, USER_CS, true);
  ram.view.setUint16(segments + 4, USER_DS, true);
  setPc(ram, pc);
  ram.writeU64(gpr(RSP), sp);
}

export function getPc(ram: Ram): number {
  return ram.readU64(CPU_BASE + CPU_STATE.pc);
}

export function setPc(ram: Ram, pc: number): void {
  ram.writeU64(CPU_BASE + CPU_STATE.pc, pc);
}

export function getSp(ram: Ram): number {
  return ram.readU64(gpr(RSP));
}

export function setSp(ram: Ram, sp: number): void {
  ram.writeU64(gpr(RSP), sp);
}

/** Linux takes the low 32 bits of rax as the number, signed. */
export function syscallNumber(ram: Ram): number {
  return ram.i32[gpr(RAX) >>> 2]!;
}

export function syscallArgument(ram: Ram, index: number): number {
  return ram.readU64(ARGUMENTS[index]!);
}

export function syscallArgumentSigned(ram: Ram, index: number): number {
  const at = ARGUMENTS[index]! >>> 2;
  return ram.u32[at]! + ram.i32[at + 1]! * 0x1_0000_0000;
}

export function syscallArgument32(ram: Ram, index: number): number {
  return ram.i32[ARGUMENTS[index]! >>> 2]!;
}

export function syscallArgument64(ram: Ram, index: number): bigint {
  return ram.view.getBigInt64(ARGUMENTS[index]!, true);
}

export function setSyscallResult(ram: Ram, value: number): void {
  ram.writeU64(gpr(RAX), value);
}

export function setSyscallResult64(ram: Ram, value: bigint): void {
  ram.view.setBigInt64(gpr(RAX), value, true);
}

export function restartSyscall(ram: Ram, number: number): void {
  setPc(ram, getPc(ram) - SYSCALL_BYTES);
  ram.writeU64(gpr(RAX), number);
}

export function setTls(ram: Ram, base: number): void {
  ram.writeU64(CPU_BASE + CPU_STATE.fsBase, base);
}

const ERROR_SUMMARY = 0x80;
/** FPE_* codes for the exception bits of MXCSR and the x87 status: invalid first, precision last. */
const FPE_CODES: ReadonlyArray<readonly [number, number]> = [[0x01, 7], [0x04, 3], [0x08, 4], [0x12, 5], [
  0x20,
  6,
]];

/** After TRAP_FPU: the si_code of the SIGFPE. */
export function fpuSignalCode(ram: Ram): number {
  const field = (offset: number): number => ram.u32[(CPU_BASE + offset) >>> 2]!;
  const fsw = field(CPU_STATE.fsw);
  const mxcsr = field(CPU_STATE.mxcsr);
  const raised = (fsw & ERROR_SUMMARY) !== 0 ? fsw & ~field(CPU_STATE.fcw) : mxcsr & ~(mxcsr >> 7);
  for (const [bits, code] of FPE_CODES) {
    if ((raised & bits) !== 0) return code;
  }
  return 0;
}

// --- ptrace ---

/** user_regs_struct: general registers by their encoding, or a name. */
const USER_REGS: ReadonlyArray<
  number | "orig_rax" | "rip" | "eflags" | "fs_base" | "gs_base" | `s${number}`
> = [
  15,
  14,
  13,
  12,
  RBP,
  RBX,
  11,
  10,
  9,
  8,
  RAX,
  RCX,
  RDX,
  RSI,
  RDI,
  "orig_rax",
  "rip",
  "s1",
  "eflags",
  RSP,
  "s2",
  "fs_base",
  "gs_base",
  "s3",
  "s0",
  "s4",
  "s5",
];

function userRegOffset(field: (typeof USER_REGS)[number]): number {
  if (typeof field === "number") return CPU_STATE.gpr + 8 * field;
  if (field === "rip") return CPU_STATE.pc;
  if (field === "fs_base") return CPU_STATE.fsBase;
  if (field === "gs_base") return CPU_STATE.gsBase;
  return -1;
}

/** `saved`: a copy of the register file. orig_rax is -1: no system call. */
export function getUserRegs(saved: Uint8Array): Uint8Array {
  const from = new DataView(saved.buffer, saved.byteOffset, saved.length);
  const bytes = new Uint8Array(USER_REGS.length * 8);
  const to = new DataView(bytes.buffer);
  USER_REGS.forEach((field, i) => {
    const offset = userRegOffset(field);
    if (offset >= 0) to.setBigUint64(8 * i, from.getBigUint64(offset, true), true);
    else if (field === "eflags") to.setBigUint64(8 * i, BigInt(readRflags(from, 0)), true);
    else if (field === "orig_rax") to.setBigInt64(8 * i, -1n, true);
    else to.setUint16(8 * i, from.getUint16(segmentOffset(field), true), true);
  });
  return bytes;
}

function segmentOffset(field: (typeof USER_REGS)[number]): number {
  return CPU_STATE.segments + 2 * Number(String(field).slice(1));
}

export function setUserRegs(saved: Uint8Array, bytes: Uint8Array): void {
  const to = new DataView(saved.buffer, saved.byteOffset, saved.length);
  const from = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  USER_REGS.forEach((field, i) => {
    const offset = userRegOffset(field);
    if (offset >= 0) to.setBigUint64(offset, from.getBigUint64(8 * i, true), true);
    else if (field === "eflags") writeRflags(to, 0, from.getUint32(8 * i, true));
  });
}
