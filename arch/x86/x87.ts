// SPDX-License-Identifier: Apache-2.0
// The x87 unit as `ext` functions for lifted code: one for each shape of operands, told apart inside by the
// 11-bit opcode (low three bits of the opcode byte, then ModRM), which FNSTENV must know anyway.
//
// Arguments stand at CPU_STATE.scratch, 16 bytes apart: 0 opcode, 1 address of the instruction, 2 address of
// the memory operand, 3 and 4 the operand's bytes (low 64, next 16 bits) or a condition, 5 the operand's
// offset within its segment (the data pointer).
// The lifter has already raised a pending exception (#MF), loaded what is loaded and probed what is stored,
// so no function here faults on memory except those of whole areas, which check before they change anything.
// FXSAVE and FNSTENV report instruction and data pointers as AMD processors do: FXSAVE only while an
// unmasked exception is pending, FNSTENV always.
// Source: AMD64 Architecture Programmer's Manual, volume 5; volume 3, appendix A (encodings).

import { type Access, ACCESS_READ, ACCESS_WRITE, TRAP_FAULT } from "../../include/linux/cpu.ts";
import type { Ram } from "../../lib/ram.ts";
import type { ExtFunction, GuestAccess } from "../../virt/frontend.ts";
import { CPU_BASE, CPU_STATE, PAGE_SIZE, pageOffset } from "../../virt/layout.ts";
import { DEFAULT_NAN, type Float, fromInteger, ROUND_ZERO } from "./softfloat.ts";
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
import {
  fastCompare,
  fastExchange,
  fastLoad32,
  fastLoad64,
  fastLoad80,
  fastLoadInteger,
  fastLoadRegister,
  fastMemory32,
  fastMemory64,
  fastPop,
  fastRegisters,
  fastStore64,
  fastStore80,
  fastStoreRegister,
} from "./x87-fast.ts";
import { fastStoreInteger, roundingOf } from "./x87-fast-integer.ts";
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

/** Offsets of these functions from the first x87 number in the front end's table. */
export const X87_REGISTER = 0;
export const X87_LOAD = 1;
export const X87_STORE = 2;
export const X87_COMPARE_FLAGS = 3;
export const X87_MOVE_IF = 4;
export const X87_AREA = 5;

function scratch32(memory: GuestAccess, n: number, half: number = 0): number {
  return memory.ram.i32[(CPU_BASE + CPU_STATE.scratch + 16 * n + 4 * half) >>> 2]!;
}
function scratch64(memory: GuestAccess, n: number): bigint {
  return memory.ram.view.getBigUint64(CPU_BASE + CPU_STATE.scratch + 16 * n, true);
}
function addressArgument(memory: GuestAccess, n: number): number {
  return (scratch32(memory, n, 1) >>> 0) * 0x1_0000_0000 + (scratch32(memory, n) >>> 0);
}

function start(memory: GuestAccess, operand: "register" | "memory"): X87 {
  const unit = new X87(memory.ram);
  unit.note(scratch32(memory, 0), scratch32(memory, 1), scratch32(memory, 1, 1));
  if (operand === "memory") unit.noteData(scratch32(memory, 5), scratch32(memory, 5, 1));
  return unit;
}

/** Register forms that x87-fast.ts takes. */
function fastRegisterForm(ram: Ram, opcode: number, reg: number, rm: number): boolean {
  switch (opcode) {
    case 0:
      return fastRegisters(ram, reg, 0, rm);
    case 1:
      return reg === 0 ? fastLoadRegister(ram, rm) : reg === 1 && fastExchange(ram, rm);
    case 4:
      return fastRegisters(ram, reg >= 4 ? reg ^ 1 : reg, rm, 0);
    case 5:
      return reg === 2 ? fastStoreRegister(ram, rm) : reg === 3 && popped(ram, fastStoreRegister(ram, rm));
    case 6:
      return popped(ram, fastRegisters(ram, reg >= 4 ? reg ^ 1 : reg, rm, 0));
    default:
      return false;
  }
}

function popped(ram: Ram, done: boolean): boolean {
  if (done) fastPop(ram);
  return done;
}

/** Loads and arithmetic with memory that x87-fast.ts takes. */
function fastLoadForm(memory: GuestAccess, opcode: number, reg: number, low: number, high: number): boolean {
  const { ram } = memory;
  switch (opcode) {
    case 0:
      return fastMemory32(ram, reg, low);
    case 1:
      return reg === 0 && fastLoad32(ram, low);
    case 3:
      if (reg === 5) return fastLoad80(ram, low, high, scratch32(memory, 4));
      return reg === 0 && fastLoadInteger(ram, low, low >> 31);
    case 4:
      return fastMemory64(ram, reg, low, high);
    case 5:
      return fastLoad64(ram, low, high);
    case 7:
      if (reg === 5) return fastLoadInteger(ram, low, high);
      return reg === 0 && fastLoadInteger(ram, low << 16 >> 16, low << 16 >> 31);
    default:
      return false;
  }
}

const INTEGER_BYTES = [0, 0, 0, 4, 0, 8, 0, 2];

/** What a store to memory leaves there, when it is an integer: FISTTP by reg 1, FIST and FISTP by 2 and 3, FISTP of 64 bits by 7; otherwise 0. */
function integerBytes(opcode: number, reg: number): number {
  if (reg === 1) return INTEGER_BYTES[opcode]!;
  if (opcode === 7 && reg === 7) return 8;
  return (opcode === 3 || opcode === 7) && (reg === 2 || reg === 3) ? INTEGER_BYTES[opcode]! : 0;
}

/** FST(P) m64, FSTP m80, FIST(P) and FISTTP within one page. */
function fastStoreForm(memory: GuestAccess, opcode: number, reg: number): boolean {
  const wide = opcode === 3 && reg === 7;
  const integer = integerBytes(opcode, reg);
  if (!wide && integer === 0 && opcode !== 5) return false;
  const address = addressArgument(memory, 2);
  if (pageOffset(address) > PAGE_SIZE - 10) return false;
  const host = memory.translate(address, ACCESS_WRITE);
  if (host < 0) return false;
  const { ram } = memory;
  const done = integer > 0
    ? fastStoreInteger(ram, host, integer, reg === 1 ? ROUND_ZERO : roundingOf(ram))
    : wide
    ? fastStore80(ram, host)
    : fastStore64(ram, host);
  return reg === 2 ? done : popped(ram, done);
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
  const unit = start(memory, "register");
  if (fastRegisterForm(memory.ram, fop >> 8, (fop >> 3) & 7, fop & 7)) return 0;
  REGISTER_OPERATIONS[fop >> 8]![(fop >> 3) & 7]!(unit, fop & 7);
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
  const low = scratch32(memory, 3);
  const high = scratch32(memory, 3, 1);
  if (opcode === 1 && reg === 5) {
    new X87(memory.ram).setControl(low & 0xffff); // FLDCW leaves the pointers alone
    return 0;
  }
  const unit = start(memory, "memory");
  if (fastLoadForm(memory, opcode, reg, low, high)) return 0;
  if ((opcode & 1) === 0) {
    arithmeticMemory(unit, reg, memoryOperand(unit, opcode, low, high));
  } else if (opcode === 1) {
    loadFloat32(unit, low);
  } else if (opcode === 5) {
    loadFloat64(unit, low, high);
  } else if (reg === 0) {
    loadInteger(unit, BigInt(opcode === 3 ? low : low << 16 >> 16));
  } else if (opcode === 3) {
    loadFloat80(unit, scratch64(memory, 3), scratch32(memory, 4) & 0xffff);
  } else if (reg === 4) {
    loadDecimal(unit, scratch64(memory, 3), scratch32(memory, 4) & 0xffff);
  } else {
    loadInteger(unit, BigInt.asIntN(64, scratch64(memory, 3)));
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
  const unit = start(memory, "memory");
  if (fastStoreForm(memory, fop >> 8, reg)) return 0;
  const result = storeResult(unit, fop >> 8, reg);
  if (result === undefined) return 0;
  if (!memory.write(addressArgument(memory, 2), result.bytes)) return TRAP_FAULT;
  commit(unit, result, reg === 2 ? 0 : 1);
  return 0;
}

/** Result 0: ZF PF CF in EFLAGS positions. */
function compareFlagsForm(memory: GuestAccess): number {
  const fop = scratch32(memory, 0);
  const unit = start(memory, "register");
  const pops = fop >> 8 === 7 ? 1 : 0;
  let flags = fastCompare(memory.ram, fop & 7);
  if (flags < 0) flags = compareFlags(unit, fop & 7, ((fop >> 3) & 7) === 5 ? "pass" : "signal", pops);
  else if (pops > 0) fastPop(memory.ram);
  memory.ram.i32[(CPU_BASE + CPU_STATE.scratch) >>> 2] = flags;
  return 0;
}

function moveIfForm(memory: GuestAccess): number {
  const fop = scratch32(memory, 0);
  moveIf(start(memory, "register"), fop & 7, scratch32(memory, 3) !== 0);
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

/** FLDENV, FNSTENV (D9 /4, /6), FRSTOR, FNSAVE (DD /4, /6). Argument 3 is the operand size. */
function areaForm(memory: GuestAccess): number {
  const fop = scratch32(memory, 0);
  const address = addressArgument(memory, 2);
  const operandSize = scratch32(memory, 3);
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
