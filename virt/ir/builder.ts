// SPDX-License-Identifier: Apache-2.0
// Builds one IR block at a time in flat typed arrays.
//
// A temp is the index of the record that made it, so operands name records. The builder folds constants,
// folds additions of constants into displacements, keeps the temp that holds each register (a second
// get_gpr costs nothing) and fuses a condition into the flag setter when the block has one.
// The arrays are reused: whoever wants to keep a block copies it or lowers it before the next begin().

import { CPU_STATE } from "../layout.ts";
import { evaluate64, foldBinary32, foldBinary64, foldUnary } from "./fold.ts";
import { isWithin, type Pair, traceLane32 } from "./fold.ts";
import { emitCondition, emitFloatCondition } from "./condition.ts";
import { type HelperName, HELPERS, Op, OPS } from "./ops.ts";
import { FLAG_POOL, FLAG_READ, FLAG_TRAP, FLAG_WRITE, type Type } from "./ops.ts";
import { JUMP_PLAIN, TERM_BRANCH, TERM_INDIRECT, TERM_JUMP, TERM_NONE } from "./terminators.ts";
import { TERM_SYSCALL, TERM_TRAP } from "./terminators.ts";

export type Temp = number;

const CAPACITY = 3072;
const SHARED_ENTRIES = 256;
/** Neither reads nor writes state, cannot leave the block; constants in the pool stay apart. */
const IS_PURE: Uint8Array = Uint8Array.from(OPS, (info) => {
  const impure = FLAG_TRAP | FLAG_READ | FLAG_WRITE | FLAG_POOL;
  return (info.flags & impure) === 0 && info.result !== "" ? 1 : 0;
});
const TWO_32 = 0x1_0000_0000;
const HELPER_IDS: ReadonlyMap<string, number> = new Map(HELPERS.map((helper) => [helper.name, helper.id]));
const CALL_OPS: { readonly [K in Type]: number } = {
  i: Op.call_i32,
  l: Op.call_i64,
  f: Op.call_f32,
  d: Op.call_f64,
  v: Op.call_v128,
};
const SCRATCH_GET: { readonly [K in Type]: number } = {
  i: Op.get_state32,
  l: Op.get_state64,
  f: Op.get_statef32,
  d: Op.get_statef64,
  v: Op.get_state128,
};
const SCRATCH_SET: { readonly [K in Type]: number } = {
  i: Op.set_state32,
  l: Op.set_state64,
  f: Op.set_statef32,
  d: Op.set_statef64,
  v: Op.set_state128,
};

/** The block under construction, and the block that the back ends read. */
export class IrBuilder {
  /** Records. b, c are temps or -1. */
  readonly op: Uint16Array = new Uint16Array(CAPACITY);
  readonly a: Int32Array = new Int32Array(CAPACITY);
  readonly b: Int32Array = new Int32Array(CAPACITY);
  readonly c: Int32Array = new Int32Array(CAPACITY);
  readonly imm: Int32Array = new Int32Array(CAPACITY);
  readonly imm2: Int32Array = new Int32Array(CAPACITY);
  /** 16-byte constants: four int32 each. */
  readonly pool: Int32Array = new Int32Array(CAPACITY);
  length = 0;
  poolLength = 0;
  /** Guest address of the block's first byte; every address in records is an offset from it. */
  basePc = 0;
  /** Instructions in the block. */
  instructions = 0;
  terminator: number = TERM_NONE;
  /** jump: target; branch: taken; syscall: next; trap: pc. Offset from basePc. */
  target = 0;
  /** branch: the other way; indirect or jump of kind call: the return address. Offset from basePc; -1 none. */
  fallTarget = 0;
  /** branch: the condition; indirect: the address. */
  termTemp: Temp = -1;
  /** JUMP_* of jump and indirect, TRAP_* of trap. */
  termKind = 0;
  readonly #gpr = new Int32Array(16);
  readonly #xmm = new Int32Array(16);
  #ccOp = -1;
  /** i32 0 or 1: CF, when it is at hand, and the operands when the flags are those of a float compare; else -1. */
  #carry: Temp = -1;
  #floatX: Temp = -1;
  #floatY: Temp = -1;
  #ccA: Temp = -1;
  #ccB: Temp = -1;
  readonly #sharedAt = new Int32Array(SHARED_ENTRIES);
  readonly #checked: Temp[] = [];
  readonly #pair: Pair = { lo: 0, hi: 0 };

  begin(pc: number): void {
    this.length = 0;
    this.poolLength = 0;
    this.basePc = pc;
    this.instructions = 0;
    this.terminator = TERM_NONE;
    this.termTemp = -1;
    this.fallTarget = -1;
    this.#checked.length = 0;
    this.#forgetRegisters();
  }

  /** True while another instruction of ordinary size fits. */
  get hasRoom(): boolean {
    return this.length < CAPACITY - 1600 && this.poolLength < CAPACITY - 256;
  }

  /** Any operation of the table by number, with folding. Immediates: emitImm. */
  emit(op: number, a: Temp = -1, b: Temp = -1, c: Temp = -1): Temp {
    const folded = this.#fold(op, a, b);
    return folded >= 0 ? folded : this.#shared(op, a, b, c, 0, 0);
  }

  /** Lane operations and whatever else has an immediate. */
  emitImm(op: number, imm: number, a: Temp = -1, b: Temp = -1, c: Temp = -1): Temp {
    return this.#shared(op, a, b, c, imm, 0);
  }

  raw(op: number, a: Temp, b: Temp, c: Temp, imm: number, imm2: number): Temp {
    const at = this.length;
    if (at >= CAPACITY) throw new RangeError("IR block too long");
    this.op[at] = op;
    this.a[at] = a;
    this.b[at] = b;
    this.c[at] = c;
    this.imm[at] = imm;
    this.imm2[at] = imm2;
    this.length = at + 1;
    return at;
  }

  /** A pure operation that the block has computed before is not computed again. */
  #shared(op: number, a: Temp, b: Temp, c: Temp, imm: number, imm2: number): Temp {
    if (IS_PURE[op] === 0) return this.raw(op, a, b, c, imm, imm2);
    const hash = (op * 31 + a * 7 + b * 131 + c * 17 + imm * 13 + imm2) & (SHARED_ENTRIES - 1);
    // An entry may be left over from an earlier block: it counts only if the record there is the same.
    const at = this.#sharedAt[hash]!;
    if (
      at < this.length && this.op[at] === op && this.a[at] === a && this.b[at] === b && this.c[at] === c
      && this.imm[at] === imm && this.imm2[at] === imm2
    ) {
      return at;
    }
    this.#sharedAt[hash] = this.length;
    return this.raw(op, a, b, c, imm, imm2);
  }

  const32(value: number): Temp {
    return this.#shared(Op.const32, -1, -1, -1, value | 0, 0);
  }

  const64(lo: number, hi: number): Temp {
    return this.#shared(Op.const64, -1, -1, -1, lo | 0, hi | 0);
  }

  /** A safe integer as i64. */
  constNumber(value: number): Temp {
    return this.const64(value | 0, Math.floor(value / TWO_32) | 0);
  }

  const128(w0: number, w1: number, w2: number, w3: number): Temp {
    return this.raw(Op.const128, -1, -1, -1, this.#poolAdd(w0, w1, w2, w3), 0);
  }

  pcConst(pc: number): Temp {
    const offset = pc - this.basePc;
    return this.#shared(Op.pc_const, -1, -1, -1, offset | 0, Math.floor(offset / TWO_32) | 0);
  }

  getGpr(n: number): Temp {
    const known = this.#gpr[n]!;
    if (known >= 0) return known;
    return (this.#gpr[n] = this.raw(Op.get_gpr, -1, -1, -1, n, 0));
  }

  setGpr(n: number, value: Temp): void {
    const wide = this.#wide(value);
    this.raw(Op.set_gpr, wide, -1, -1, n, 0);
    this.#gpr[n] = wide;
  }

  getXmm(n: number): Temp {
    const known = this.#xmm[n]!;
    if (known >= 0) return known;
    return (this.#xmm[n] = this.raw(Op.get_xmm, -1, -1, -1, n, 0));
  }

  setXmm(n: number, value: Temp): void {
    this.raw(Op.set_xmm, value, -1, -1, n, 0);
    this.#xmm[n] = value;
  }

  /** `offset`: of CPU_STATE, but not a register that has its own operation. */
  getState32(offset: number): Temp {
    return this.raw(Op.get_state32, -1, -1, -1, offset, 0);
  }

  getState64(offset: number): Temp {
    return this.raw(Op.get_state64, -1, -1, -1, offset, 0);
  }

  setState32(offset: number, value: Temp): void {
    this.raw(Op.set_state32, value, -1, -1, offset, 0);
  }

  setState64(offset: number, value: Temp): void {
    this.raw(Op.set_state64, this.#wide(value), -1, -1, offset, 0);
  }

  /** `op`: ccOp(kind, bytes). i32 temps are widened. `b` may be left out when the kind has none. */
  setCc(op: number, a: Temp, b: Temp = -1): void {
    const wideA = this.#wide(a);
    const wideB = b < 0 ? this.const64(0, 0) : this.#wide(b);
    this.raw(Op.set_cc, wideA, wideB, -1, op, 0);
    this.#ccOp = op;
    this.#ccA = wideA;
    this.#ccB = wideB;
    this.#forgetHints();
  }

  /** CF of the flags just set, as an i32 of 0 or 1. */
  noteCarry(carry: Temp): void {
    this.#carry = carry;
  }

  /** The flags just set are those that COMIS gives for x and y (f32 or f64). */
  noteFloatCompare(x: Temp, y: Temp): void {
    this.#floatX = x;
    this.#floatY = y;
  }

  /** The kind is known at run time only (shifts by CL, ADC): `op` is an i32 temp. */
  setCcDynamic(op: Temp, a: Temp, b: Temp): void {
    this.raw(Op.set_cc_dynamic, op, this.#wide(a), this.#wide(b), 0, 0);
    this.#ccOp = -1;
    this.#forgetHints();
  }

  /** i32 0 or 1: whether x86 condition `cond` (0..15) holds. */
  ccCond(cond: number): Temp {
    if (this.#floatX >= 0) return emitFloatCondition(this, cond, this.#floatX, this.#floatY);
    if (this.#carry >= 0 && cond >> 1 === 1) {
      return cond === 2 ? this.#carry : this.emit(Op.i32_eqz, this.#carry);
    }
    if (this.#ccOp >= 0) {
      const fused = emitCondition(this, cond, this.#ccOp, this.#ccA, this.#ccB);
      if (fused >= 0) return fused;
    }
    return this.raw(Op.cc_cond, -1, -1, -1, cond, 0);
  }

  /** i32: CF PF AF ZF SF OF in EFLAGS positions. */
  ccFlags(): Temp {
    return this.raw(Op.cc_flags, -1, -1, -1, 0, 0);
  }

  /** `op`: one of Op.load*. The address is addr + disp modulo 2^64. */
  load(op: number, addr: Temp, disp = 0): Temp {
    const base = this.#foldAddress(addr, disp);
    return this.raw(op, base, -1, -1, this.#disp, 0);
  }

  store(op: number, addr: Temp, disp: number, value: Temp): void {
    const wanted = OPS[op]!.operands.charAt(1);
    const narrowed = wanted === "i" ? this.#narrow(value) : wanted === "l" ? this.#wide(value) : value;
    const base = this.#foldAddress(addr, disp);
    this.raw(op, base, narrowed, -1, this.#disp, 0);
  }

  /** Faults as a store of `size` bytes would. */
  probeWrite(size: number, addr: Temp, disp = 0): void {
    const base = this.#foldAddress(addr, disp);
    this.raw(Op.probe_write, base, -1, -1, this.#disp, size);
  }

  /** a + (b << shift). */
  scaledAdd(a: Temp, b: Temp, shift: number): Temp {
    if (this.isConst(b)) return this.emit(Op.i64_add, a, this.emit(Op.i64_shl, b, this.const64(shift, 0)));
    return this.#shared(Op.scaled_add, a, b, -1, shift, 0);
  }

  call(name: HelperName, a: Temp = -1, b: Temp = -1, c: Temp = -1): Temp {
    const helper = HELPERS[HELPER_IDS.get(name) ?? -1];
    if (helper === undefined) throw new RangeError(`no helper ${name}`);
    return this.#shared(CALL_OPS[helper.result], a, b, c, helper.id, 0);
  }

  /** A call to TypeScript: arguments at CPU_STATE.scratch + 16 * n, results likewise. Registers are in memory. */
  ext(id: number, args: readonly Temp[] = [], resultTypes: readonly Type[] = []): Temp[] {
    const results = this.#callOut(Op.ext, id, args, resultTypes);
    this.#forgetRegisters();
    return results;
  }

  /** The same for one of the front end's quick functions that neither sees nor changes registers, flags, pc and budget. */
  extState(id: number, args: readonly Temp[], resultTypes: readonly Type[] = []): Temp[] {
    return this.#callOut(Op.ext_state, id, args, resultTypes);
  }

  #callOut(op: number, id: number, args: readonly Temp[], resultTypes: readonly Type[]): Temp[] {
    const at = (n: number): number => CPU_STATE.scratch + 16 * n;
    args.forEach((arg, n) => this.raw(SCRATCH_SET[this.typeOf(arg)], arg, -1, -1, at(n), 0));
    this.raw(op, -1, -1, -1, id, 0);
    return resultTypes.map((type, n) => this.raw(SCRATCH_GET[type], -1, -1, -1, at(n), 0));
  }

  /** Leaves with `kind` and the state of before this instruction when `cond` (i32) is not 0. */
  trapIf(kind: number, cond: Temp): void {
    if (this.isConst(cond) && this.imm[cond] === 0) return;
    // Looked at before in this block: it was 0, or we would not be here.
    if (this.#checked.includes(cond)) return;
    this.#checked.push(cond);
    this.raw(Op.trap_if, cond, -1, -1, kind, 0);
  }

  /** Starts a guest instruction. */
  insn(pc: number, lengthBytes: number): void {
    this.raw(Op.insn, -1, -1, -1, pc - this.basePc, lengthBytes);
    this.instructions++;
  }

  shuffle(a: Temp, b: Temp, lanes: readonly number[]): Temp {
    const word = (n: number): number =>
      lanes[n]! | (lanes[n + 1]! << 8) | (lanes[n + 2]! << 16) | (lanes[n + 3]! << 24);
    return this.raw(Op.i8x16_shuffle, a, b, -1, this.#poolAdd(word(0), word(4), word(8), word(12)), 0);
  }

  /** Op.*_extract_lane*. A scalar that the block has put into that lane itself is taken as it is. */
  extractLane(op: number, a: Temp, lane: number): Temp {
    const from = op === Op.i32x4_extract_lane ? traceLane32(this, a, lane) : { vector: a, lane };
    return from.scalar ?? this.#shared(op, from.vector, -1, -1, from.lane, 0);
  }

  /** Op.*_replace_lane. */
  replaceLane(op: number, a: Temp, lane: number, value: Temp): Temp {
    return this.raw(op, a, value, -1, lane, 0);
  }

  /** `kind` call carries the return address as a hint. */
  jump(pc: number, kind: number = JUMP_PLAIN, returnPc = -1): void {
    this.terminator = TERM_JUMP;
    this.target = pc - this.basePc;
    this.termKind = kind;
    this.fallTarget = returnPc < 0 ? -1 : returnPc - this.basePc;
  }

  branch(cond: Temp, takenPc: number, fallPc: number): void {
    if (this.isConst(cond)) {
      this.jump(this.imm[cond] === 0 ? fallPc : takenPc);
      return;
    }
    this.terminator = TERM_BRANCH;
    this.termTemp = cond;
    this.target = takenPc - this.basePc;
    this.fallTarget = fallPc - this.basePc;
  }

  jumpIndirect(address: Temp, kind: number, returnPc = -1): void {
    this.terminator = TERM_INDIRECT;
    this.termTemp = address;
    this.termKind = kind;
    this.fallTarget = returnPc < 0 ? -1 : returnPc - this.basePc;
  }

  /** pc is `nextPc` when the kernel sees it. */
  syscall(nextPc: number): void {
    this.terminator = TERM_SYSCALL;
    this.target = nextPc - this.basePc;
  }

  /** The last instruction traps: it does not retire, and pc is `pc` (after it for TRAP_BREAKPOINT). */
  trap(kind: number, pc: number): void {
    this.terminator = TERM_TRAP;
    this.termKind = kind;
    this.target = pc - this.basePc;
  }

  isConst(temp: Temp): boolean {
    const op = this.op[temp]!;
    return op === Op.const32 || op === Op.const64;
  }

  typeOf(temp: Temp): Type {
    const type = OPS[this.op[temp]!]!.result;
    if (type === "") throw new RangeError(`t${temp} has no value`);
    return type;
  }

  mayTrap(at: number): boolean {
    return (OPS[this.op[at]!]!.flags & FLAG_TRAP) !== 0;
  }

  #disp = 0;

  /** Strips constant additions off `addr`; the displacement is left in #disp. */
  #foldAddress(addr: Temp, disp: number): Temp {
    let base = addr;
    let sum = disp;
    if (this.op[base] === Op.i64_add) {
      const constant = this.b[base]!;
      if (this.op[constant] === Op.const64 && this.imm2[constant] === this.imm[constant]! >> 31) {
        const next = sum + this.imm[constant]!;
        if (next === (next | 0)) {
          sum = next;
          base = this.a[base]!;
        }
      }
    }
    this.#disp = sum;
    return base;
  }

  #forgetRegisters(): void {
    this.#gpr.fill(-1);
    this.#xmm.fill(-1);
    this.#ccOp = -1;
    this.#forgetHints();
  }

  #forgetHints(): void {
    this.#carry = -1;
    this.#floatX = -1;
    this.#floatY = -1;
  }

  #poolAdd(w0: number, w1: number, w2: number, w3: number): number {
    const at = this.poolLength;
    this.pool[at] = w0;
    this.pool[at + 1] = w1;
    this.pool[at + 2] = w2;
    this.pool[at + 3] = w3;
    this.poolLength = at + 4;
    return at >> 2;
  }

  #wide(temp: Temp): Temp {
    return this.typeOf(temp) === "i" ? this.emit(Op.i64_extend_i32_u, temp) : temp;
  }

  #narrow(temp: Temp): Temp {
    return this.typeOf(temp) === "l" ? this.emit(Op.i32_wrap_i64, temp) : temp;
  }

  /** A temp that the operation reduces to, or -1. */
  #fold(op: number, a: Temp, b: Temp): Temp {
    if (a < 0) return -1;
    const constA = this.isConst(a);
    if (b < 0) return constA ? this.#foldUnary(op, a) : this.#simplifyUnary(op, a);
    const constB = this.isConst(b);
    if (constA && constB) return this.#foldBoth(op, a, b);
    if (constB) return this.#simplifyRight(op, a, b);
    if (constA && (op === Op.i64_add || op === Op.i64_and || op === Op.i64_or || op === Op.i64_xor)) {
      return this.emit(op, b, a);
    }
    return -1;
  }

  #foldUnary(op: number, a: Temp): Temp {
    const pair = this.#pair;
    const result = foldUnary(op, this.imm[a]!, this.imm2[a]!, pair);
    if (result === "i") return this.const32(pair.lo);
    return result === "l" ? this.const64(pair.lo, pair.hi) : -1;
  }

  #simplifyUnary(op: number, a: Temp): Temp {
    if (op !== Op.i32_wrap_i64) return -1;
    const inner = this.op[a]!;
    return inner === Op.i64_extend_i32_u || inner === Op.i64_extend_i32_s ? this.a[a]! : -1;
  }

  #foldBoth(op: number, a: Temp, b: Temp): Temp {
    if (this.op[a] === Op.const32) {
      const value = foldBinary32(op, this.imm[a]!, this.imm[b]!);
      return value === undefined ? -1 : this.const32(value);
    }
    const pair = this.#pair;
    const kind = foldBinary64(op, this.imm[a]!, this.imm2[a]!, this.imm[b]!, this.imm2[b]!, pair);
    if (kind === "i") return this.const32(pair.lo);
    return kind === "l" ? this.const64(pair.lo, pair.hi) : -1;
  }

  /** b is constant, a is not. */
  #simplifyRight(op: number, a: Temp, b: Temp): Temp {
    const lo = this.imm[b]!;
    if (lo === 0 && this.imm2[b] === 0 && evaluate64.neutralZero.has(op)) return a;
    if (op === Op.i32_and && isWithin(this, a, lo)) return a;
    if (op === Op.i64_sub) {
      const pair = this.#pair;
      foldBinary64(Op.i64_sub, 0, 0, lo, this.imm2[b]!, pair);
      return this.emit(Op.i64_add, a, this.const64(pair.lo, pair.hi));
    }
    if (op === Op.i64_add && this.op[a] === Op.i64_add && this.isConst(this.b[a]!)) {
      const inner = this.b[a]!;
      const pair = this.#pair;
      foldBinary64(Op.i64_add, this.imm[inner]!, this.imm2[inner]!, lo, this.imm2[b]!, pair);
      if (pair.lo === 0 && pair.hi === 0) return this.a[a]!;
      return this.#shared(Op.i64_add, this.a[a]!, this.const64(pair.lo, pair.hi), -1, 0, 0);
    }
    return -1;
  }
}
