// SPDX-License-Identifier: Apache-2.0
// FXSAVE and FXRSTOR as `ext` functions, and the FXSAVE image of a register file (signal frames, ptrace).
//
// Arguments: 0 the address (aligned by the lifter's check), 1 nonzero for the REX.W form with 64-bit pointers.
// As on AMD processors the instruction and data pointers are saved as zero while no exception is pending.
// Source: AMD64 Architecture Programmer's Manual, volume 2, section 11.4.4 (FXSAVE image).

import {
  type Access,
  ACCESS_READ,
  ACCESS_WRITE,
  TRAP_FAULT,
  TRAP_PROTECTION,
} from "../../include/linux/cpu.ts";
import type { Ram } from "../../lib/ram.ts";
import { EXT_LEAVE, type ExtFunction, type GuestAccess } from "../../virt/frontend.ts";
import { CPU_BASE, CPU_STATE } from "../../virt/layout.ts";
import { loadStack } from "./x87-memory.ts";
import { ERROR_SUMMARY, X87 } from "./x87-state.ts";

/** Bytes that FXSAVE writes and FXRSTOR reads; the area is 512 bytes, the rest is the program's. */
const WRITTEN_BYTES = 416;
export const FXSAVE_BYTES = 512;
/** Bits of MXCSR that may be set. */
export const MXCSR_MASK = 0xffff;
/** Of the stack, from its top on, and of the vector registers. */
export const ST_OFFSET = 32;
export const XMM_OFFSET = 160;

/** The first 416 bytes of an image. `pointers`: 64-bit as with REX.W, or 32-bit with selectors. */
export function fxsaveImage(ram: Ram, pointers: "wide" | "narrow"): Uint8Array {
  const unit = new X87(ram);
  const bytes = new Uint8Array(WRITTEN_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, unit.control, true);
  view.setUint16(2, unit.statusWord, true);
  bytes[4] = unit.tags;
  if ((unit.status & ERROR_SUMMARY) !== 0) writePointers(ram, view, pointers);
  view.setUint32(24, ram.u32[(CPU_BASE + CPU_STATE.mxcsr) >>> 2]!, true);
  view.setUint32(28, MXCSR_MASK, true);
  for (let i = 0; i < 8; i++) {
    view.setBigUint64(ST_OFFSET + 16 * i, unit.significand(i), true);
    view.setUint16(ST_OFFSET + 16 * i + 8, unit.signExponent(i), true);
  }
  const xmm = CPU_BASE + CPU_STATE.xmm;
  bytes.set(ram.u8.subarray(xmm, xmm + 256), XMM_OFFSET);
  return bytes;
}

function writePointers(ram: Ram, view: DataView, pointers: "wide" | "narrow"): void {
  const word = (offset: number): number => ram.u32[(CPU_BASE + offset) >>> 2]!;
  view.setUint16(6, word(CPU_STATE.fop), true);
  view.setUint32(8, word(CPU_STATE.fip), true);
  view.setUint32(
    12,
    pointers === "wide" ? word(CPU_STATE.fip + 4) : word(CPU_STATE.fselectors) & 0xffff,
    true,
  );
  view.setUint32(16, word(CPU_STATE.fdp), true);
  view.setUint32(20, pointers === "wide" ? word(CPU_STATE.fdp + 4) : word(CPU_STATE.fselectors) >>> 16, true);
}

/** Pointers are kept to the 48 bits of an address that CPUID promises, and sign-extended. */
function pointerHigh(word: number): number {
  return (word << 16) >> 16;
}

/** Loads an image whose MXCSR is valid. */
export function loadFxsaveImage(ram: Ram, bytes: Uint8Array, pointers: "wide" | "narrow"): void {
  const unit = new X87(ram);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const setWord = (offset: number, value: number): void => {
    ram.u32[(CPU_BASE + offset) >>> 2] = value;
  };
  unit.setStatusWord(view.getUint16(2, true));
  unit.setControl(view.getUint16(0, true));
  unit.tags = bytes[4]!;
  setWord(CPU_STATE.fop, view.getUint16(6, true) & 0x7ff);
  setWord(CPU_STATE.fip, view.getUint32(8, true));
  setWord(CPU_STATE.fip + 4, pointers === "wide" ? pointerHigh(view.getInt32(12, true)) : 0);
  setWord(CPU_STATE.fdp, view.getUint32(16, true));
  setWord(CPU_STATE.fdp + 4, pointers === "wide" ? pointerHigh(view.getInt32(20, true)) : 0);
  const selectors = view.getUint16(12, true) | view.getUint16(20, true) << 16;
  setWord(CPU_STATE.fselectors, pointers === "wide" ? 0 : selectors);
  setWord(CPU_STATE.mxcsr, view.getUint32(24, true));
  loadStack(unit, bytes, ST_OFFSET, 16);
  ram.u8.set(bytes.subarray(XMM_OFFSET, XMM_OFFSET + 256), CPU_BASE + CPU_STATE.xmm);
}

function argument(memory: GuestAccess, n: number, half: number): number {
  return memory.ram.u32[(CPU_BASE + CPU_STATE.scratch + 16 * n + 4 * half) >>> 2]!;
}
function addressOf(memory: GuestAccess): number {
  return argument(memory, 0, 1) * 0x1_0000_0000 + argument(memory, 0, 0);
}

/** The last byte of the area is touched first, which shows in the address of a fault. */
function probeArea(memory: GuestAccess, access: Access): boolean {
  return memory.translate(addressOf(memory) + FXSAVE_BYTES - 1, access) >= 0;
}

export const fxsave: ExtFunction = (memory) => {
  if (!probeArea(memory, ACCESS_WRITE)) return TRAP_FAULT;
  const bytes = fxsaveImage(memory.ram, argument(memory, 1, 0) !== 0 ? "wide" : "narrow");
  return memory.write(addressOf(memory), bytes) ? 0 : TRAP_FAULT;
};

export const fxrstor: ExtFunction = (memory) => {
  const bytes = new Uint8Array(FXSAVE_BYTES);
  if (!probeArea(memory, ACCESS_READ)) return TRAP_FAULT;
  if (!memory.read(addressOf(memory), bytes)) return TRAP_FAULT;
  const mxcsr = new DataView(bytes.buffer).getUint32(24, true);
  if ((mxcsr & ~MXCSR_MASK) !== 0) return TRAP_PROTECTION;
  loadFxsaveImage(memory.ram, bytes, argument(memory, 1, 0) !== 0 ? "wide" : "narrow");
  return EXT_LEAVE; // the floating point mode may have changed
};
