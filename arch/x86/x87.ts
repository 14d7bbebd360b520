// SPDX-License-Identifier: Apache-2.0
// The x87 unit as `ext` functions for lifted code: one for each shape of operands, told apart inside by the
// 11-bit opcode (low three bits of the opcode byte, then ModRM), which FNSTENV must know anyway.
//
// Arguments stand at CPU_STATE.scratch, 16 bytes apart: 0 opcode; of what has an operand in memory 1 its address, 2 and 3 its bytes (low 64, next
// 16 bits), and for areas 2 the operand size; of FCMOV 1 whether its condition holds.
// The lifter has already raised a pending exception (#MF), noted which instruction it is, loaded what is loaded and probed what is stored,
// so no function here faults on memory except those of whole areas, which check before they change anything.
// Common cases are done by x87-quick.ts; what must come out is defined here.
// FXSAVE and FNSTENV report instruction and data pointers as AMD processors do: FXSAVE only while an
// unmasked exception is pending, FNSTENV always.
// Source: AMD64 Architecture Programmer's Manual, volume 5; volume 3, appendix A (encodings).

import { type Access, ACCESS_READ, ACCESS_WRITE, TRAP_FAULT } from "../../include/linux/cpu.ts";
import type { ExtFunction, GuestAccess } from "../../virt/frontend.ts";
import { CPU_BASE, CPU_STATE, PAGE_SIZE, pageOffset } from "../../virt/layout.ts";
import { DEFAULT_NAN, type Float, fromInteger } from "./softfloat.ts";
import { unpack32, unpack64 } from "./softfloat-pack.ts";
import {
  arithmetic,
  arithmeticRegisters,
  changeSign,
  COM,
  COMP,
  compareFlags,
  compareTop,
  examine,
  exchange,
  extract,
  moveIf,
  partialRemainderTop,
  pushConstant,
  pushRegister,
  roundTop,
  scale,
  squareRoot,
  storeRegister,
  storeRegisterQuietly,
  test,
} from "./x87-arithmetic.ts";
import {
  clearExceptions,
  commit,
  environment,
  environmentBytes,
  initialize,
  loadDecimal,
  loadEnvironment,
  loadFloat32,
  loadFloat64,
  loadFloat80,
  loadInteger,
  loadStack,
  maskAll,
  stackImage,
  type Store,
  storeDecimal,
  storeFloat,
  storeFloat80,
  storeInteger,
} from "./x87-memory.ts";
import { C1, X87 } from "./x87-state.ts";
import {
  arcTangent,
  cosine,
  exponential,
  logarithm,
  logarithmPlusOne,
  sine,
  sineCosine,
  tangent,
} from "./x87-functions.ts";

function scratch32(memory: GuestAccess, n: number, half: number = 0): number {
  return memory.ram.i32[(CPU_BASE + CPU_STATE.scratch + 16 * n + 4 * half) >>> 2]!;
}
function scratch64(memory: GuestAccess, n: number): bigint {
  return memory.ram.view.getBigUint64(CPU_BASE + CPU_STATE.scratch + 16 * n, true);
}
function addressArgument(memory: GuestAccess, n: number): number {
  return (scratch32(memory, n, 1) >>> 0) * 0x1_0000_0000 + (scratch32(memory, n) >>> 0);
}

const INTEGER_BYTES = [0, 0, 0, 4, 0, 8, 0, 2];

/** What a store to memory leaves there, when it is an integer: FISTTP by reg 1, FIST and FISTP by 2 and 3, FISTP of 64 bits by 7; otherwise 0. */
function integerBytes(opcode: number, reg: number): number {
  if (reg === 1) return INTEGER_BYTES[opcode]!;
  if (opcode === 7 && reg === 7) return 8;
  return (opcode === 3 || opcode === 7) && (reg === 2 || reg === 3) ? INTEGER_BYTES[opcode]! : 0;
}

/** Register operations by opcode (D8 to DF) and reg field. */
type RegisterOperation = (unit: X87, rm: number) => void;
const nothing: RegisterOperation = () => {};

function arithmeticRow(target: "top" | "other", pops: number, exchanged: boolean): RegisterOperation[] {
  return [0, 1, 2, 3, 4, 5, 6, 7].map((reg): RegisterOperation => {
    if (reg === COM || reg === COMP) {
      return (unit, rm) => compareRegister(unit, rm, "signal", reg === COMP ? 1 : 0);
    }
    // DC and DE name the reversed operation where D8 names the plain one.
    const operation = exchanged && reg >= 4 ? reg ^ 1 : reg;
    return target === "top"
      ? (unit, rm) => arithmeticRegisters(unit, operation, 0, rm, pops)
      : (unit, rm) => arithmeticRegisters(unit, operation, rm, 0, pops);
  });
}

function compareRegister(unit: X87, rm: number, quietNans: "signal" | "pass", pops: number): void {
  compareTop(unit, unit.isEmpty(rm) ? undefined : unit.read(rm), quietNans, pops);
}

function rotate(unit: X87, by: number): void {
  unit.setConditions(C1, 0);
  unit.top += by;
}

/** D9 E0 to FF, by the low five bits of ModRM. */
const D9_FUNCTIONS: readonly RegisterOperation[] = [
  (unit) => changeSign(unit, "negate"),
  (unit) => changeSign(unit, "clear"),
  nothing,
  nothing,
  test,
  examine,
  nothing,
  nothing,
  ...[0, 1, 2, 3, 4, 5, 6].map((n): RegisterOperation => (unit) => pushConstant(unit, n)),
  nothing,
  exponential,
  logarithm,
  tangent,
  arcTangent,
  extract,
  (unit) => partialRemainderTop(unit, "nearest"),
  (unit) => rotate(unit, -1),
  (unit) => rotate(unit, 1),
  (unit) => partialRemainderTop(unit, "truncate"),
  logarithmPlusOne,
  squareRoot,
  sineCosine,
  roundTop,
  scale,
  sine,
  cosine,
];

const d9Function = (reg: number): RegisterOperation => (unit, rm) =>
  D9_FUNCTIONS[(reg & 3) * 8 + rm]!(unit, rm);
const popBoth = (quietNans: "signal" | "pass"): RegisterOperation => (unit) =>
  compareRegister(unit, 1, quietNans, 2);
const store = (pops: number): RegisterOperation => (unit, rm) => storeRegister(unit, rm, pops);
const free = (pops: number): RegisterOperation => (unit, rm) => {
  unit.setConditions(C1, 0);
  unit.free(rm);
  if (pops > 0) unit.pop();
};

const REGISTER_OPERATIONS: readonly (readonly RegisterOperation[])[] = [
  arithmeticRow("top", 0, false), // D8
  [
    pushRegister,
    exchange,
    nothing,
    storeRegisterQuietly,
    d9Function(0),
    d9Function(1),
    d9Function(2),
    d9Function(3),
  ],
  [nothing, nothing, nothing, nothing, nothing, popBoth("pass"), nothing, nothing], // DA
  [nothing, nothing, nothing, nothing, nothing, nothing, nothing, nothing], // DB
  arithmeticRow("other", 0, true), // DC
  [
    free(0),
    exchange,
    store(0),
    store(1),
    (unit, rm) => compareRegister(unit, rm, "pass", 0),
    (unit, rm) => compareRegister(unit, rm, "pass", 1),
    nothing,
    nothing,
  ],
  popRow(), // DE
  [free(1), exchange, store(1), store(1), nothing, nothing, nothing, nothing], // DF
];

function popRow(): RegisterOperation[] {
  const row = arithmeticRow("other", 1, true);
  row[COM] = (unit, rm) => compareRegister(unit, rm, "signal", 1);
  row[COMP] = popBoth("signal");
  return row;
}

/** FNINIT and FNCLEX do not count as instructions for the pointers. */
function controlOperation(memory: GuestAccess, fop: number): boolean {
  if (fop !== 0x3e2 && fop !== 0x3e3) return false;
  const unit = new X87(memory.ram);
  if (fop === 0x3e2) clearExceptions(unit);
  else initialize(unit);
  return true;
}

function registerForm(memory: GuestAccess): number {
  const fop = scratch32(memory, 0);
  if (controlOperation(memory, fop)) return 0;
  REGISTER_OPERATIONS[fop >> 8]![(fop >> 3) & 7]!(new X87(memory.ram), fop & 7);
  return 0;
}

/** The second operand of D8, DA, DC, DE with memory. */
function memoryOperand(unit: X87, opcode: number, low: number, high: number): Float {
  if (opcode === 0) return unpack32(low);
  if (opcode === 4) return unpack64(low, high);
  const value = opcode === 2 ? low : low << 16 >> 16;
  return fromInteger(BigInt(value), unit.wideContext());
}

function arithmeticMemory(unit: X87, reg: number, operand: Float): void {
  if (reg === COM || reg === COMP) {
    compareTop(unit, operand, "signal", reg === COMP ? 1 : 0);
  } else if (!unit.isEmpty(0)) {
    arithmetic(unit, reg, 0, operand);
  } else if (!unit.stackUnderflow()) {
    unit.write(0, DEFAULT_NAN);
  }
}

function loadForm(memory: GuestAccess): number {
  const fop = scratch32(memory, 0);
  const opcode = fop >> 8;
  const reg = (fop >> 3) & 7;
  const low = scratch32(memory, 2);
  const high = scratch32(memory, 2, 1);
  const unit = new X87(memory.ram);
  if (opcode === 1 && reg === 5) {
    unit.setControl(low & 0xffff);
  } else if ((opcode & 1) === 0) {
    arithmeticMemory(unit, reg, memoryOperand(unit, opcode, low, high));
  } else if (opcode === 1) {
    loadFloat32(unit, low);
  } else if (opcode === 5) {
    loadFloat64(unit, low, high);
  } else if (reg === 0) {
    loadInteger(unit, BigInt(opcode === 3 ? low : low << 16 >> 16));
  } else if (opcode === 3) {
    loadFloat80(unit, scratch64(memory, 2), scratch32(memory, 3) & 0xffff);
  } else if (reg === 4) {
    loadDecimal(unit, scratch64(memory, 2), scratch32(memory, 3) & 0xffff);
  } else {
    loadInteger(unit, BigInt.asIntN(64, scratch64(memory, 2)));
  }
  return 0;
}

function storeResult(unit: X87, opcode: number, reg: number): Store | undefined {
  const integer = integerBytes(opcode, reg);
  if (integer > 0) return storeInteger(unit, integer, reg === 1 ? "truncate" : "control");
  if (opcode === 1) return storeFloat(unit, 4);
  if (opcode === 5) return storeFloat(unit, 8);
  return opcode === 3 ? storeFloat80(unit) : storeDecimal(unit);
}

function storeForm(memory: GuestAccess): number {
  const fop = scratch32(memory, 0);
  const reg = (fop >> 3) & 7;
  const unit = new X87(memory.ram);
  const result = storeResult(unit, fop >> 8, reg);
  if (result === undefined) return 0;
  if (!memory.write(addressArgument(memory, 1), result.bytes)) return TRAP_FAULT;
  commit(unit, result, reg === 2 ? 0 : 1);
  return 0;
}

/** Result 0: ZF PF CF in EFLAGS positions. */
function compareFlagsForm(memory: GuestAccess): number {
  const fop = scratch32(memory, 0);
  const unit = new X87(memory.ram);
  const pops = fop >> 8 === 7 ? 1 : 0;
  const flags = compareFlags(unit, fop & 7, ((fop >> 3) & 7) === 5 ? "pass" : "signal", pops);
  memory.ram.i32[(CPU_BASE + CPU_STATE.scratch) >>> 2] = flags;
  return 0;
}

function moveIfForm(memory: GuestAccess): number {
  const fop = scratch32(memory, 0);
  moveIf(new X87(memory.ram), fop & 7, scratch32(memory, 1) !== 0);
  return 0;
}

/** Checks an area in the order of the processor, which shows in the address of a fault: first word, last byte. */
function probeArea(
  memory: GuestAccess,
  address: number,
  first: number,
  bytes: number,
  access: Access,
): boolean {
  if (memory.translate(address, access) < 0) return false;
  const crossing = PAGE_SIZE - pageOffset(address);
  if (crossing < first && memory.translate(address + crossing, access) < 0) return false;
  return memory.translate(address + bytes - 1, access) >= 0;
}

/** FLDENV, FNSTENV (D9 /4, /6), FRSTOR, FNSAVE (DD /4, /6). */
function areaForm(memory: GuestAccess): number {
  const fop = scratch32(memory, 0);
  const address = addressArgument(memory, 1);
  const operandSize = scratch32(memory, 2);
  const header = environmentBytes(operandSize);
  const withStack = fop >> 8 === 5;
  const unit = new X87(memory.ram);
  const bytes = new Uint8Array(header + (withStack ? 80 : 0));
  const isLoad = ((fop >> 3) & 7) === 4;
  if (
    !probeArea(memory, address, operandSize === 2 ? 2 : 4, bytes.length, isLoad ? ACCESS_READ : ACCESS_WRITE)
  ) {
    return TRAP_FAULT;
  }
  if (isLoad) {
    if (!memory.read(address, bytes)) return TRAP_FAULT;
    loadEnvironment(unit, bytes, operandSize);
    if (withStack) loadStack(unit, bytes, header, 10);
    return 0;
  }
  bytes.set(environment(unit, operandSize));
  if (withStack) bytes.set(stackImage(unit), header);
  if (!memory.write(address, bytes)) return TRAP_FAULT;
  if (withStack) initialize(unit);
  else maskAll(unit);
  return 0;
}

/** In the order of the X87_* numbers. */
export const X87_EXTS: readonly ExtFunction[] = [
  registerForm,
  loadForm,
  storeForm,
  compareFlagsForm,
  moveIfForm,
  areaForm,
];
