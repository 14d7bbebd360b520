// SPDX-License-Identifier: Apache-2.0
// What processors of one architecture do not agree on. Rookery does as one of them; the others are right too.

import type { Case } from "./generate.ts";
import { FS_BASE, GPR, GS_BASE, RIP, SIGNAL_ADDRESS, TRAP_NUMBER } from "./records.ts";
import { TRAP_FAULT } from "../../../include/linux/cpu.ts";

export const PAGE_FAULT = 14;
const INVALID_OPCODE = 6;

/**
 * The high half of an x87 pointer as a processor with addresses of 48 bits keeps it. Those with 57 bits (five-level
 * paging, from Zen 4 on) keep more of a pointer that is no address, which FXRSTOR64 alone can load.
 */
export function pointerHigh(word: number): number {
  return ((word << 16) >> 16) >>> 0;
}

const ESCAPE = 0x0f;
const UD1 = 0xb9;
const CMPSB = 0xa6;
const CMPS = 0xa7;
const ADDRESS_32 = 0x67;
const SEGMENTS: ReadonlyMap<number, number> = new Map([[0x64, FS_BASE], [0x65, GS_BASE]]);
const PREFIXES: ReadonlySet<number> = new Set([0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf2, 0xf3]);
const RSI = GPR + 2 * 6;
const RDI = GPR + 2 * 7;

function isRex(byte: number): boolean {
  return (byte & 0xf0) === 0x40;
}

/** Where in the code of a case the instruction at RIP stands. */
function startOf(item: Case, words: Uint32Array): number {
  return words[RIP]! + words[RIP + 1]! * 0x1_0000_0000 - item.pc;
}

interface Compared {
  /** Of source and target. */
  readonly addresses: readonly [bigint, bigint];
  /** Bytes of an element, or more. */
  readonly width: bigint;
}

/** What the CMPS at RIP compares; undefined when another instruction stands there. */
function comparedAt(item: Case, words: Uint32Array): Compared | undefined {
  let at = startOf(item, words);
  let base = 0;
  let bits = 64;
  for (; PREFIXES.has(item.bytes[at] ?? 0) || isRex(item.bytes[at] ?? 0); at++) {
    const byte = item.bytes[at]!;
    if (byte === ADDRESS_32) bits = 32;
    base = SEGMENTS.get(byte) ?? base;
  }
  const opcode = item.bytes[at];
  if (opcode !== CMPSB && opcode !== CMPS) return undefined;
  const register = (n: number): bigint =>
    BigInt.asUintN(bits, BigInt(words[n + 1]!) << 32n | BigInt(words[n]!));
  const addresses = [BigInt.asUintN(64, register(RSI) + BigInt(base)), register(RDI)] as const;
  return { addresses, width: opcode === CMPSB ? 1n : 8n };
}

function isCanonical(address: bigint): boolean {
  return BigInt.asUintN(64, BigInt.asIntN(48, address)) === address;
}

/** The trap is one that an access to one of the operands raises. */
function isTrapOf(words: Uint32Array, pageFault: number, { addresses, width }: Compared): boolean {
  if (words[TRAP_NUMBER] !== pageFault) return !addresses.every(isCanonical);
  const fault = BigInt(words[SIGNAL_ADDRESS + 1]!) << 32n | BigInt(words[SIGNAL_ADDRESS]!);
  return addresses.some((address) => fault >= address && fault < address + width);
}

/**
 * A CMPS of which neither operand can be read faults at its source or at its target: REPE CMPSB at its target before Zen 4
 * and at its source since, any other at its source before Zen 5 and at its target since. The faults of both sides are those of
 * its operands.
 */
export function isOtherOperandFirst(item: Case, native: Uint32Array, rookery: Uint32Array): boolean {
  const compared = comparedAt(item, native);
  if (compared === undefined) return false;
  return isTrapOf(native, PAGE_FAULT, compared) && isTrapOf(rookery, TRAP_FAULT, compared);
}

/**
 * A UD1 whose operands cannot be fetched: AMD's processors refuse the opcode without looking at them, others fault.
 * Source: Intel SDM volume 2, "UD"; a Zen 3.
 */
export function isRefusedBeforeOperands(item: Case, native: Uint32Array, rookery: Uint32Array): boolean {
  let at = startOf(item, native);
  while (PREFIXES.has(item.bytes[at] ?? 0) || isRex(item.bytes[at] ?? 0)) at++;
  const end = item.pc + item.bytes.length;
  const isFetch = rookery[SIGNAL_ADDRESS + 1] === 0 && rookery[SIGNAL_ADDRESS] === end;
  return item.bytes[at] === ESCAPE && item.bytes[at + 1] === UD1 && isFetch
    && native[TRAP_NUMBER] === INVALID_OPCODE && rookery[TRAP_NUMBER] === TRAP_FAULT;
}
