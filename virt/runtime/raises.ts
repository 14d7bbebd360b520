// SPDX-License-Identifier: Apache-2.0
// Whether a float operation would set flags of MXCSR that are not set, as functions of the runtime module: what Op.raises_* asks about
// numbers that are not plain, so that infinities, NaNs and denormals do not leave translated code where nothing comes of them.
//
// Rounding is to nearest, and the precision flag is set and masked. A flag too many costs the exact way, and is no error: a tiny product is taken for one
// that has lost bits. Of the NaNs, one operand's comes out of an operation as
// it goes in, but for its quiet bit; which of two does, and the sign of one that comes of numbers, is up to an engine and its host.
// Source: Intel SDM volume 1, 4.9.1 (floating point exceptions and their priority) and table 4-10; IEEE 754-2019, section 7.

import { FLOAT } from "../ir/float.ts";
import { Op, OPS } from "../ir/ops.ts";
import { CPU_BASE, CPU_STATE } from "../layout.ts";
import { Assembler } from "../wasm/assembler.ts";
import type { WasmModule } from "../wasm/encoder.ts";
import { F32, F64, I32, I64, V128, W } from "../wasm/opcodes.ts";

const DENORMAL_SHIFT = 1;
const ZERO_DIVIDE = 0x04;
const OVERFLOW = 0x08;
const UNDERFLOW = 0x10;
/** No flag, and not set in MXCSR: that result the exact way alone knows. */
const UNKNOWN = 0x40;
/** Of MXCSR: all is masked, and denormals are what WebAssembly takes them for. Otherwise what is not plain is left to the exact way. */
const MASKS_AND_DENORMALS = 0x9fc0;
const USUAL = 0x1f80;
const MXCSR = CPU_BASE + CPU_STATE.mxcsr;

/** What differs between the two widths. `infinity`, `least` and `quiet` are the upper halves of magnitudes. */
interface Width {
  readonly type: number;
  readonly bits: number;
  readonly infinity: number;
  readonly least: number;
  readonly quiet: number;
  readonly reinterpret: number;
  readonly and: number;
  readonly sub: number;
  readonly eq: number;
  readonly eqz: number;
  readonly gt: number;
  readonly lt: number;
  readonly operations: ReadonlyArray<readonly [kind: number, op: number]>;
}

function operations(name: "f32" | "f64"): ReadonlyArray<readonly [number, number]> {
  return [[FLOAT.add, Op[`${name}_add`]], [FLOAT.sub, Op[`${name}_sub`]], [FLOAT.mul, Op[`${name}_mul`]], [
    FLOAT.div,
    Op[`${name}_div`],
  ]];
}

const SINGLE: Width = {
  type: F32,
  bits: I32,
  infinity: 0x7f80_0000,
  least: 0x0080_0000,
  quiet: 0x0040_0000,
  reinterpret: W.i32_reinterpret_f32,
  and: W.i32_and,
  sub: W.i32_sub,
  eq: W.i32_eq,
  eqz: W.i32_eqz,
  gt: W.i32_gt_u,
  lt: W.i32_lt_u,
  operations: operations("f32"),
};
const DOUBLE: Width = {
  type: F64,
  bits: I64,
  infinity: 0x7ff0_0000,
  least: 0x0010_0000,
  quiet: 0x0008_0000,
  reinterpret: W.i64_reinterpret_f64,
  and: W.i64_and,
  sub: W.i64_sub,
  eq: W.i64_eq,
  eqz: W.i64_eqz,
  gt: W.i64_gt_u,
  lt: W.i64_lt_u,
  operations: operations("f64"),
};

/** By key of Op.raises_*: (a, b, a FLOAT) -> i32. A square root has its operand twice. */
export function addRaises(module: WasmModule): ReadonlyMap<string, number> {
  const single = module.add(new RaisesEmitter(SINGLE).emit());
  const double = module.add(new RaisesEmitter(DOUBLE).emit());
  return new Map([
    ["raises_f32", single],
    ["raises_f64", double],
    ["raises_f32x4", module.add(emitLanes(single, OPS[Op.f32x4_extract_lane]!.opcode, 4))],
    ["raises_f64x2", module.add(emitLanes(double, OPS[Op.f64x2_extract_lane]!.opcode, 2))],
  ]);
}

function emitLanes(scalar: number, extract: number, lanes: number): Assembler {
  const f = new Assembler([V128, V128, I32], [I32]);
  for (let lane = 0; lane < lanes; lane++) {
    for (const operand of [0, 1]) {
      f.get(operand);
      f.lane(extract, lane);
    }
    f.get(2);
    f.call(scalar);
    if (lane > 0) f.op(W.i32_or);
  }
  return f;
}

class RaisesEmitter {
  readonly #w: Width;
  readonly #f: Assembler;
  /** Magnitudes of the operands and the result, as bits. */
  readonly #a: number;
  readonly #b: number;
  readonly #result: number;
  readonly #flags: number;

  constructor(width: Width) {
    this.#w = width;
    this.#f = new Assembler([width.type, width.type, I32], [I32]);
    [this.#a, this.#b, this.#result] = [0, 1, 2].map(() => this.#f.local(width.bits)) as [
      number,
      number,
      number,
    ];
    this.#flags = this.#f.local(I32);
  }

  emit(): Assembler {
    const f = this.#f;
    for (const [operand, magnitude] of [[0, this.#a], [1, this.#b]] as const) {
      f.get(operand);
      this.#toMagnitude();
      f.set(magnitude);
    }
    this.#isNan(this.#a);
    this.#isNan(this.#b);
    f.op(W.i32_or);
    f.if_(I32);
    this.#ofNans();
    f.else_();
    this.#ofNumbers();
    f.end();
    f.i32(MXCSR);
    f.memory(W.i32_load, 0);
    f.i32(-1);
    f.op(W.i32_xor);
    f.op(W.i32_and);
    f.i32(MXCSR);
    f.memory(W.i32_load, 0);
    f.i32(MASKS_AND_DENORMALS);
    f.op(W.i32_and);
    f.i32(USUAL);
    f.op(W.i32_xor);
    f.op(W.i32_or);
    f.i32(0);
    f.op(W.i32_ne);
    return f;
  }

  /** A quiet NaN raises something in some compares alone. */
  #ofNans(): void {
    const f = this.#f;
    f.i32(UNKNOWN);
    f.i32(0);
    this.#isNan(this.#a);
    this.#isNan(this.#b);
    f.op(W.i32_and);
    f.get(2);
    f.i32(FLOAT.sqrt);
    f.op(W.i32_lt_u);
    f.op(W.i32_and);
    f.op(W.select);
    this.#isKind(FLOAT.compareOrdered);
    f.op(W.i32_or);
    this.#isSignalling(this.#a);
    f.op(W.i32_or);
    this.#isSignalling(this.#b);
    f.op(W.i32_or);
  }

  #ofNumbers(): void {
    const f = this.#f;
    this.#isDenormal(this.#a);
    this.#isDenormal(this.#b);
    f.op(W.i32_or);
    f.i32(DENORMAL_SHIFT);
    f.op(W.i32_shl);
    f.set(this.#flags);
    f.get(2);
    f.i32(FLOAT.compareOrdered);
    f.op(W.i32_lt_u);
    f.if_();
    this.#compute();
    this.#isNan(this.#result);
    f.if_();
    this.#raise(UNKNOWN);
    f.end();
    this.#is(this.#result, this.#w.infinity);
    f.if_();
    this.#ofInfinity();
    f.end();
    // The least normal number may have been a denormal before it was rounded.
    f.get(this.#result);
    this.#constant(this.#w.least);
    f.op(this.#w.gt);
    f.op(W.i32_eqz);
    f.if_();
    this.#ofTiny();
    f.end();
    f.end();
    f.get(this.#flags);
  }

  /** The magnitude of the result. */
  #compute(): void {
    const f = this.#f;
    for (const [kind, op] of this.#w.operations) {
      this.#isKind(kind);
      f.if_(this.#w.type);
      f.get(0);
      f.get(1);
      f.op(OPS[op]!.opcode);
      f.else_();
    }
    f.get(0);
    f.op(OPS[this.#w.type === F64 ? Op.f64_sqrt : Op.f32_sqrt]!.opcode);
    this.#w.operations.forEach(() => f.end());
    this.#toMagnitude();
    f.set(this.#result);
  }

  /** Of finite numbers it is an overflow, or a division by zero. */
  #ofInfinity(): void {
    const f = this.#f;
    const { infinity } = this.#w;
    this.#is(this.#a, infinity);
    this.#is(this.#b, infinity);
    f.op(W.i32_or);
    f.op(W.i32_eqz);
    f.if_();
    f.get(this.#flags);
    f.i32(ZERO_DIVIDE);
    f.i32(OVERFLOW);
    this.#isKind(FLOAT.div);
    this.#isZero(this.#b);
    f.op(W.i32_and);
    f.op(W.select);
    f.op(W.i32_or);
    f.set(this.#flags);
    f.end();
  }

  /** Sums are exact there, and what comes of a zero or of a division by infinity. */
  #ofTiny(): void {
    const f = this.#f;
    this.#isKind(FLOAT.mul);
    this.#isZero(this.#b);
    f.op(W.i32_eqz);
    f.op(W.i32_and);
    this.#isKind(FLOAT.div);
    this.#is(this.#b, this.#w.infinity);
    f.op(W.i32_eqz);
    f.op(W.i32_and);
    f.op(W.i32_or);
    this.#isZero(this.#a);
    f.op(W.i32_eqz);
    f.op(W.i32_and);
    f.if_();
    this.#raise(UNDERFLOW);
    f.end();
  }

  #raise(flag: number): void {
    const f = this.#f;
    f.get(this.#flags);
    f.i32(flag);
    f.op(W.i32_or);
    f.set(this.#flags);
  }

  #isKind(kind: number): void {
    this.#f.get(2);
    this.#f.i32(kind);
    this.#f.op(W.i32_eq);
  }

  /** The upper half of a number with nothing below it. */
  #constant(upper: number): void {
    if (this.#w.type === F64) this.#f.i64Halves(0, upper);
    else this.#f.i32(upper);
  }

  #toMagnitude(): void {
    const f = this.#f;
    f.op(this.#w.reinterpret);
    if (this.#w.type === F64) f.i64Halves(-1, 0x7fff_ffff);
    else f.i32(0x7fff_ffff);
    f.op(this.#w.and);
  }

  #is(magnitude: number, upper: number): void {
    this.#f.get(magnitude);
    this.#constant(upper);
    this.#f.op(this.#w.eq);
  }

  #isZero(magnitude: number): void {
    this.#f.get(magnitude);
    this.#f.op(this.#w.eqz);
  }

  #isNan(magnitude: number): void {
    this.#f.get(magnitude);
    this.#constant(this.#w.infinity);
    this.#f.op(this.#w.gt);
  }

  #isSignalling(magnitude: number): void {
    this.#isNan(magnitude);
    this.#f.get(magnitude);
    this.#constant(this.#w.quiet);
    this.#f.op(this.#w.and);
    this.#f.op(this.#w.eqz);
    this.#f.op(W.i32_and);
  }

  /** Greater than zero and less than the least normal number. */
  #isDenormal(magnitude: number): void {
    const f = this.#f;
    const one = (): void => (this.#w.type === F64 ? f.i64(1) : f.i32(1));
    f.get(magnitude);
    one();
    f.op(this.#w.sub);
    this.#constant(this.#w.least);
    one();
    f.op(this.#w.sub);
    f.op(this.#w.lt);
  }
}
