// SPDX-License-Identifier: Apache-2.0
// System instructions done in TypeScript: CPUID, RDTSC, segment registers, MXCSR, MASKMOV.
// Operands and results: CPU_STATE.scratch, slots of 16 bytes (lift/system.ts, lift/sse-move.ts).

import { ACCESS_WRITE, TRAP_FAULT, TRAP_PROTECTION } from "../../include/linux/cpu.ts";
import { EXT_LEAVE, EXT_YIELD, type GuestAccess } from "../../virt/frontend.ts";
import { CPU_BASE, CPU_STATE } from "../../virt/layout.ts";
import { cpuid } from "./cpuid.ts";
import { enterExactMode, floatingPointMode, isDefaultMxcsr, isExact, MXCSR_MASK } from "./mxcsr.ts";

const SCRATCH = CPU_BASE + CPU_STATE.scratch;
const TWO_32 = 0x1_0000_0000;

function slot(memory: GuestAccess, n: number): number {
  return memory.ram.u32[(SCRATCH + 16 * n) >>> 2]!;
}

function answer(memory: GuestAccess, n: number, value: number): void {
  memory.ram.i32[(SCRATCH + 16 * n) >>> 2] = value;
}

export function cpuidExt(memory: GuestAccess): number {
  const result = cpuid(slot(memory, 0), slot(memory, 1));
  answer(memory, 0, result.eax);
  answer(memory, 1, result.ebx);
  answer(memory, 2, result.ecx);
  answer(memory, 3, result.edx);
  return 0;
}

/** RDTSC and RDTSCP: the time stamp, and the number of the processor. */
export function readTsc(memory: GuestAccess, stamp: number): number {
  const high = Math.floor(stamp / TWO_32);
  answer(memory, 0, stamp - high * TWO_32);
  answer(memory, 1, high);
  answer(memory, 2, 0);
  return 0;
}

// Selectors of Linux's GDT that user code may name: kind of segment and its limit.
const USER_CS32 = 0x23;
const USER_DS = 0x2b;
const USER_CS = 0x33;
/** Linux keeps the processor number in the limit of this segment. */
const CPU_NUMBER = 0x7b;
const DATA_SELECTORS: ReadonlySet<number> = new Set([3, USER_CS32, USER_DS, USER_CS, CPU_NUMBER]);

export function loadSegmentExt(memory: GuestAccess): number {
  const { ram } = memory;
  const segment = slot(memory, 0);
  const selector = slot(memory, 1) & 0xffff;
  // The stack needs the privilege of the code; data may be named with any requested privilege, or be null.
  if (segment === 2 ? selector !== USER_DS : !DATA_SELECTORS.has(selector | 3)) return TRAP_PROTECTION;
  ram.u16[(CPU_BASE + CPU_STATE.segments + 2 * segment) >>> 1] = selector;
  if (segment === 4) ram.writeU64(CPU_BASE + CPU_STATE.fsBase, 0);
  if (segment === 5) ram.writeU64(CPU_BASE + CPU_STATE.gsBase, 0);
  return 0;
}

interface Descriptor {
  readonly rights: number; // as LAR gives them
  readonly limit: number; // as LSL gives it
  readonly readable: boolean;
  readonly writable: boolean;
}

function descriptor(selector: number): Descriptor | undefined {
  switch (selector | 3) {
    case USER_CS32:
      return { rights: 0xcff300 | 0x800, limit: 0xffff_ffff, readable: true, writable: false };
    case USER_DS:
      return { rights: 0xcff300, limit: 0xffff_ffff, readable: true, writable: true };
    case USER_CS:
      return { rights: 0xaffb00, limit: 0xffff_ffff, readable: true, writable: false };
    case CPU_NUMBER:
      return { rights: 0x40f500, limit: 0, readable: true, writable: false };
    default:
      return undefined;
  }
}

/** 0 VERR, 1 VERW, 2 LAR, 3 LSL. Slot 0: ZF, slot 1: the value. */
export function selectorQueryExt(memory: GuestAccess): number {
  const query = slot(memory, 0);
  const found = descriptor(slot(memory, 1) & 0xffff);
  let ok = found !== undefined;
  if (query === 0) ok = found?.readable ?? false;
  if (query === 1) ok = found?.writable ?? false;
  answer(memory, 0, ok ? 1 : 0);
  answer(memory, 1, query === 3 ? (found?.limit ?? 0) : (found?.rights ?? 0));
  return 0;
}

/** Reading the flags is what makes a process exact: from now on they are kept. */
export function stmxcsrExt(memory: GuestAccess): number {
  const { ram } = memory;
  if (isExact(ram)) return 0;
  enterExactMode(ram);
  return EXT_LEAVE;
}

export function ldmxcsrExt(memory: GuestAccess): number {
  const { ram } = memory;
  const value = slot(memory, 0);
  if ((value & ~MXCSR_MASK) !== 0) return TRAP_PROTECTION;
  const before = floatingPointMode(ram);
  ram.u32[(CPU_BASE + CPU_STATE.mxcsr) >>> 2] = value;
  if (!isDefaultMxcsr(value)) enterExactMode(ram);
  return floatingPointMode(ram) === before ? 0 : EXT_LEAVE;
}

/** MASKMOVDQU and MASKMOVQ: slot 0 address, 1 bytes, 2 mask, 3 how many. */
export function maskMoveExt(memory: GuestAccess): number {
  const { ram } = memory;
  const address = ram.readU64(SCRATCH);
  const count = slot(memory, 3);
  const hosts: number[] = [];
  for (let i = 0; i < count; i++) {
    if ((ram.u8[SCRATCH + 32 + i]! & 0x80) === 0) {
      hosts.push(-1);
      continue;
    }
    const host = memory.translate(address + i, ACCESS_WRITE);
    if (host < 0) return TRAP_FAULT;
    hosts.push(host);
  }
  hosts.forEach((host, i) => {
    if (host >= 0) ram.u8[host] = ram.u8[SCRATCH + 16 + i]!;
  });
  return 0;
}

/** So many PAUSEs that whoever spins waits for something, which on the one CPU that there is only another task can bring about. */
export function pauseExt(): number {
  return EXT_YIELD;
}
