// SPDX-License-Identifier: Apache-2.0
// String instructions with a REP prefix, in bulk: whole runs within a page at a time.
//
// Restartable: rCX, rSI and rDI are moved on after each run, so a fault leaves the registers of the element
// that faulted. Interruptible: a call handles at most RUN_MAX elements; the lifted block then loops.
// Source: AMD64 Architecture Programmer's Manual, volume 3, "Repeat Prefixes".

import { type Access, ACCESS_READ, ACCESS_WRITE, TRAP_FAULT } from "../../include/linux/cpu.ts";
import { CC_SUB, ccOp } from "../../virt/ir/cc.ts";
import type { GuestAccess } from "../../virt/frontend.ts";
import { CPU_BASE, CPU_STATE, PAGE_SIZE, pageOffset } from "../../virt/layout.ts";

export const STRING_MOVS = 0;
export const STRING_CMPS = 1;
export const STRING_STOS = 2;
export const STRING_LODS = 3;
export const STRING_SCAS = 4;

/** Elements that a call handles at most. */
export const RUN_MAX = 0x1_0000;
/** Host addresses of registers. */
const GPR = CPU_BASE + CPU_STATE.gpr;
export const RAX: number = GPR;
export const RCX: number = GPR + 8;
export const RSI: number = GPR + 48;
export const RDI: number = GPR + 56;
const SCRATCH = CPU_BASE + CPU_STATE.scratch;
const TWO_32 = 0x1_0000_0000;
const TWO_53 = 2 ** 53;
/** The largest number below 2^64. */
const HIGHEST = 2 ** 64 - 2048;

/** Slot 0: i32 kind | size << 8 | repeat (1 F3, 2 F2) << 16 | address size 32 << 24; slot 1: i64 segment base. */
interface Job {
  readonly kind: number;
  readonly size: number;
  readonly repeatWhile: 0 | 1; // ZF that lets CMPS and SCAS go on
  readonly addr32: boolean;
  readonly step: number; // +size or -size
  readonly segmentBase: number;
}

/** Adds a small number to a register, modulo 2^64 or 2^32. */
function advance(memory: GuestAccess, register: number, delta: number, addr32: boolean): void {
  const { u32 } = memory.ram;
  const i = register >>> 2;
  const low = u32[i]! + delta;
  u32[i] = low >>> 0;
  u32[i + 1] = addr32 ? 0 : u32[i + 1]! + Math.floor(low / TWO_32);
}

/** Above 2^53 the result is rounded; such addresses only ever fault (exactFault gives the true one). */
function addressOf(memory: GuestAccess, register: number, job: Job, base: number): number {
  const offset = job.addr32 ? memory.ram.u32[register >>> 2]! : memory.ram.readU64(register);
  if (offset + base < TWO_53) return offset + base;
  return Math.min(Number(exactAddress(memory, register, job, base)), HIGHEST);
}

function exactAddress(memory: GuestAccess, register: number, job: Job, base: number): bigint {
  const offset = job.addr32
    ? BigInt(memory.ram.u32[register >>> 2]!)
    : memory.ram.view.getBigUint64(register, true);
  const wideBase = base === 0 ? 0n : memory.ram.view.getBigUint64(SCRATCH + 16, true);
  return BigInt.asUintN(64, offset + wideBase);
}

/** Translates the first byte of an operand; -1 after a fault, whose address is exact. */
function locate(memory: GuestAccess, register: number, job: Job, address: number, access: Access): number {
  const host = memory.translate(address, access);
  if (host < 0 && address >= TWO_53) {
    const exact = exactAddress(memory, register, job, register === RSI ? job.segmentBase : 0);
    memory.ram.view.setBigUint64(CPU_BASE + CPU_STATE.trapAddress, exact, true);
  }
  return host;
}

function counter(memory: GuestAccess, job: Job): number {
  return job.addr32 ? memory.ram.u32[RCX >>> 2]! : memory.ram.readU64(RCX);
}

/** Elements from `address` on, in the direction of the job, that lie within the page. 0: the first crosses. */
function elementsInPage(address: number, job: Job): number {
  const offset = pageOffset(address);
  if (job.step > 0) return Math.floor((PAGE_SIZE - offset) / job.size);
  return offset + job.size > PAGE_SIZE ? 0 : Math.floor(offset / job.size) + 1;
}

export function repString(memory: GuestAccess): number {
  const word = memory.ram.u32[SCRATCH >>> 2]!;
  const size = (word >> 8) & 0xff;
  const job: Job = {
    kind: word & 0xff,
    size,
    repeatWhile: ((word >> 16) & 3) === 1 ? 1 : 0,
    addr32: word >>> 24 !== 0,
    step: memory.ram.u32[(CPU_BASE + CPU_STATE.df) >>> 2] === 0 ? size : -size,
    segmentBase: memory.ram.readU64(SCRATCH + 16),
  };
  let left = RUN_MAX;
  while (left > 0) {
    const count = counter(memory, job);
    if (count === 0) return 0;
    const done = runInPage(memory, job, Math.min(count, left));
    if (done < 0) return TRAP_FAULT;
    left -= done;
    if (job.kind === STRING_CMPS || job.kind === STRING_SCAS) {
      if (isComparisonOver(memory, job)) return 0;
    }
  }
  return 0;
}

/** Handles up to `most` elements within one page of each operand; the number done, or -1 after a fault. */
function runInPage(memory: GuestAccess, job: Job, most: number): number {
  const usesSource = job.kind !== STRING_STOS && job.kind !== STRING_SCAS;
  const usesTarget = job.kind !== STRING_LODS;
  const source = usesSource ? addressOf(memory, RSI, job, job.segmentBase) : 0;
  const target = usesTarget ? addressOf(memory, RDI, job, 0) : 0;
  let n = most;
  if (usesSource) n = Math.min(n, elementsInPage(source, job));
  if (usesTarget) n = Math.min(n, elementsInPage(target, job));
  if (n === 0) return oneCrossing(memory, job, source, target);
  // When neither can be read CMPS faults at its target, MOVS at its source: as measured on AMD Zen 3. (On Zen 4
  // REPE CMPSB alone faults at its source.)
  if (job.kind === STRING_CMPS && locate(memory, RDI, job, target, ACCESS_READ) < 0) return -1;
  const s = usesSource ? locate(memory, RSI, job, source, ACCESS_READ) : 0;
  if (s < 0) return -1;
  const writes = job.kind === STRING_MOVS || job.kind === STRING_STOS;
  const t = usesTarget ? locate(memory, RDI, job, target, writes ? ACCESS_WRITE : ACCESS_READ) : 0;
  if (t < 0) return -1;
  const done = runOnHost(memory, job, s, t, n);
  finish(memory, job, done, usesSource, usesTarget);
  return done;
}

function finish(memory: GuestAccess, job: Job, done: number, usesSource: boolean, usesTarget: boolean): void {
  advance(memory, RCX, -done, job.addr32);
  if (usesSource) advance(memory, RSI, done * job.step, job.addr32);
  if (usesTarget) advance(memory, RDI, done * job.step, job.addr32);
}

/** Copies an element of the source or the target, which may cross a page; false after a fault. */
function fetch(memory: GuestAccess, register: number, job: Job, address: number, into: Uint8Array): boolean {
  // Nothing is mapped that high; locate() gives the exact address of the fault.
  if (address >= TWO_53) return locate(memory, register, job, address, ACCESS_READ) >= 0;
  return memory.read(address, into);
}

function putElement(memory: GuestAccess, job: Job, address: number, bytes: Uint8Array): boolean {
  if (address >= TWO_53) return locate(memory, RDI, job, address, ACCESS_WRITE) >= 0;
  return memory.write(address, bytes);
}

/** One element of which an operand crosses a page, through copies. */
function oneCrossing(memory: GuestAccess, job: Job, source: number, target: number): number {
  const { kind, size } = job;
  const usesSource = kind !== STRING_STOS && kind !== STRING_SCAS;
  const compares = kind === STRING_CMPS || kind === STRING_SCAS;
  const a = memory.ram.u8.slice(RAX, RAX + size);
  const b = new Uint8Array(size);
  // As in runInPage, the target first.
  if (compares && !fetch(memory, RDI, job, target, b)) return -1;
  if (usesSource && !fetch(memory, RSI, job, source, a)) return -1;
  if (compares) setComparison(memory, a, 0, b, 0, size);
  else if (kind === STRING_LODS) loadAccumulator(memory, a, 0, size);
  else if (!putElement(memory, job, target, a)) return -1;
  finish(memory, job, 1, usesSource, kind !== STRING_LODS);
  return 1;
}

function loadAccumulator(memory: GuestAccess, bytes: Uint8Array, at: number, size: number): void {
  const { u8, u32 } = memory.ram;
  for (let i = 0; i < size; i++) u8[RAX + i] = bytes[at + i]!;
  if (size === 4) u32[(RAX >>> 2) + 1] = 0;
}

/** The lazy flags of a - b. */
function setComparison(
  memory: GuestAccess,
  a: Uint8Array,
  at: number,
  b: Uint8Array,
  bt: number,
  size: number,
): void {
  const { u8, u32 } = memory.ram;
  const ccA = CPU_BASE + CPU_STATE.ccA;
  const ccB = CPU_BASE + CPU_STATE.ccB;
  for (let i = 0; i < 8; i++) {
    u8[ccA + i] = i < size ? a[at + i]! : 0;
    u8[ccB + i] = i < size ? b[bt + i]! : 0;
  }
  u32[(CPU_BASE + CPU_STATE.ccOp) >>> 2] = ccOp(CC_SUB, size);
}

function isComparisonOver(memory: GuestAccess, job: Job): boolean {
  const { u32 } = memory.ram;
  const a = (CPU_BASE + CPU_STATE.ccA) >>> 2;
  const b = (CPU_BASE + CPU_STATE.ccB) >>> 2;
  const equal = u32[a] === u32[b] && u32[a + 1] === u32[b + 1];
  return equal !== (job.repeatWhile === 1);
}

/** n elements at host addresses s and t. The number done (comparisons stop early). */
function runOnHost(memory: GuestAccess, job: Job, s: number, t: number, n: number): number {
  switch (job.kind) {
    case STRING_MOVS:
      moveRun(memory, job, s, t, n);
      return n;
    case STRING_STOS:
      storeRun(memory, job, t, n);
      return n;
    case STRING_LODS:
      loadAccumulator(memory, memory.ram.u8, s + (n - 1) * job.step, job.size);
      return n;
    case STRING_SCAS:
      return compareRun(memory, job, RAX, 0, t, n);
    default:
      return compareRun(memory, job, s, job.step, t, n);
  }
}

function moveRun(memory: GuestAccess, job: Job, s: number, t: number, n: number): void {
  const { u8 } = memory.ram;
  const bytes = n * job.size;
  const low = job.step > 0 ? s : s - bytes + job.size;
  const targetLow = job.step > 0 ? t : t - bytes + job.size;
  // When the regions overlap so that elements written are read again, the order of single elements counts.
  if (Math.abs(low - targetLow) >= bytes || (job.step > 0 ? t <= s : t >= s)) {
    u8.copyWithin(targetLow, low, low + bytes);
    return;
  }
  const element = new Uint8Array(job.size);
  for (let k = 0; k < n; k++) {
    const from = s + k * job.step;
    element.set(u8.subarray(from, from + job.size));
    u8.set(element, t + k * job.step);
  }
}

function storeRun(memory: GuestAccess, job: Job, t: number, n: number): void {
  const { u8 } = memory.ram;
  const bytes = n * job.size;
  const low = job.step > 0 ? t : t - bytes + job.size;
  const first = u8[RAX]!;
  let uniform = true;
  for (let i = 1; i < job.size; i++) uniform &&= u8[RAX + i] === first;
  if (uniform) {
    u8.fill(first, low, low + bytes);
    return;
  }
  for (let at = low; at < low + bytes; at += job.size) u8.copyWithin(at, RAX, RAX + job.size);
}

function compareRun(
  memory: GuestAccess,
  job: Job,
  s: number,
  sourceStep: number,
  t: number,
  n: number,
): number {
  const { u8 } = memory.ram;
  const { size, step, repeatWhile } = job;
  let k = 0;
  let from = s;
  let to = t;
  for (;;) {
    let equal = true;
    for (let i = 0; i < size; i++) equal &&= u8[from + i] === u8[to + i];
    k++;
    if (k === n || equal !== (repeatWhile === 1)) break;
    from += sourceStep;
    to += step;
  }
  setComparison(memory, u8, from, u8, to, size);
  return k;
}
