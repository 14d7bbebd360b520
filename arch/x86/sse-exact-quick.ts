// SPDX-License-Identifier: Apache-2.0
// Exact SSE arithmetic in WebAssembly: what rounds otherwise than to nearest, as interval arithmetic does all the time, or has not set the precision flag yet, as
// fma() of the C library. Zeros and normal numbers, and results above all denormals: then the precision flag alone can be set, which must be masked. sse-exact.ts does the rest, and is told
// of the operation that sets that flag where rounding is to nearest, since tracked mode begins with it.
//
// Slots: as lift/sse-exact-call.ts has them, and those behind them for what is on its way. Slot 0 stays as it is until all is done.
// Source: AMD64 Architecture Programmer's Manual, volume 1, sections 4.8 and 4.9.

import type { QuickContext } from "../../virt/frontend.ts";
import { CPU_BASE, CPU_STATE } from "../../virt/layout.ts";
import { MODE_IN_DOUBT } from "../../virt/runtime/status.ts";
import type { Assembler } from "../../virt/wasm/assembler.ts";
import { Code, type Operand, type Value } from "../../virt/wasm/code.ts";
import { F64, I32, I64, W } from "../../virt/wasm/opcodes.ts";
import { QuickCode } from "./quick-code.ts";
import {
  addOperations,
  BIAS,
  BITS,
  exponentOf,
  type Operations,
  SIGN,
  signOf,
  type Sink,
  TO,
  widen,
  widenInteger,
} from "./quick-float.ts";
import { FLAG_PRECISION, ROUND_DOWN, ROUND_NEAREST, ROUND_UP } from "./softfloat.ts";
import { EXACT } from "./sse-exact-operations.ts";

const SCRATCH = CPU_BASE + CPU_STATE.scratch;
const SLOT = 16;
const [RESULT, TARGET, SOURCE] = [SCRATCH, SCRATCH + SLOT, SCRATCH + 2 * SLOT];
/** The result before all of its lanes are known; the operands of one, taken apart; flags. */
const RAW = SCRATCH + 3 * SLOT;
const [FIRST, SECOND] = [SCRATCH + 4 * SLOT, SCRATCH + 5 * SLOT];
const FLAGS = SCRATCH + 6 * SLOT;
/** Of the result, as i32: see Format. */
const FORMAT = SCRATCH + 7 * SLOT;
const WORD_AT = 8;
const MXCSR = CPU_BASE + CPU_STATE.mxcsr;
const PRECISION_MASK = 0x1000;
const ROUNDING_SHIFT = 13;

/** In the order in which FORMAT has its fields. */
interface Format {
  readonly fractionBits: number;
  /** What its bias lacks of that of the x87. */
  readonly bias: number;
  /** The greatest exponent that stays finite whichever way it is rounded. */
  readonly greatest: number;
}
const [FRACTION_AT, BIAS_AT, GREATEST_AT] = [0, 4, 8];
const SINGLE: Format = { fractionBits: 23, bias: BIAS - 127, greatest: 253 };
const DOUBLE: Format = { fractionBits: 52, bias: BIAS - 1023, greatest: 2045 };

/** Index of the function. */
export function addQuickExact(context: QuickContext): number {
  const deliver = context.add(emitDeliver().f);
  const sink: Sink = {
    deliver,
    finish: (c, significand, word) => {
      c.return(c.call(deliver, TO, signOf(c, word), exponentOf(c, word), significand, c.i64(0)));
    },
    nothing: (c) => c.select(c.op(W.i32_eq, rounding(c), c.i32(ROUND_DOWN)), c.i32(SIGN), c.i32(0)),
  };
  const unpack = context.add(emitUnpack().f);
  return context.add(new QuickExact(addOperations(context, sink), deliver, unpack).make());
}

function rounding(c: Code): Value {
  return c.op(W.i32_and, c.op(W.i32_shr_u, c.load(W.i32_load, MXCSR), c.i32(ROUNDING_SHIFT)), c.i32(3));
}

function setFormat(c: Code, { fractionBits, bias, greatest }: Format): void {
  c.store(W.i32_store, FORMAT + FRACTION_AT, c.i32(fractionBits));
  c.store(W.i32_store, FORMAT + BIAS_AT, c.i32(bias));
  c.store(W.i32_store, FORMAT + GREATEST_AT, c.i32(greatest));
}

/** (target, sign, exponent with bias, significand, below) -> 1: rounded as MXCSR says, and written in the format. */
function emitDeliver(): Code {
  const c = new Code([I32, I32, I32, I64, I64], [I32]);
  const [sign, exponent, significand, below] = [1, 2, 3, 4];
  const [fraction, dropped, rest, bits, isUp] = [
    c.local(I64),
    c.local(I64),
    c.local(I64),
    c.local(I64),
    c.local(I32),
  ];
  c.set(fraction, c.load(W.i64_load32_u, FORMAT + FRACTION_AT));
  c.when(c.op(W.i64_ne, significand, c.i64(0)), () => {
    c.set(exponent, c.op(W.i32_sub, exponent, c.load(W.i32_load, FORMAT + BIAS_AT)));
    const isOutside = c.op(
      W.i32_ge_u,
      c.op(W.i32_sub, exponent, c.i32(1)),
      c.load(W.i32_load, FORMAT + GREATEST_AT),
    );
    c.when(isOutside, () => c.return(c.i32(0)));
    c.set(dropped, c.op(W.i64_sub, c.i64(BITS - 1), fraction));
    const sticky = c.op(W.i64_extend_i32_u, c.op(W.i64_ne, below, c.i64(0)));
    c.set(rest, c.op(W.i64_or, c.op(W.i64_shl, significand, c.op(W.i64_sub, c.i64(BITS), dropped)), sticky));
    c.set(significand, c.op(W.i64_shr_u, significand, dropped));
    c.when(c.op(W.i64_ne, rest, c.i64(0)), () => {
      const isNegative = c.op(W.i32_ne, sign, c.i32(0));
      const away = c.select(isNegative, c.i32(ROUND_DOWN), c.i32(ROUND_UP));
      const isOdd = c.op(W.i64_and, significand, c.i64(1));
      const isMore = c.op(W.i64_gt_u, rest, c.op(W.i64_sub, c.topBit(), isOdd));
      const isNearest = c.op(W.i32_eq, rounding(c), c.i32(ROUND_NEAREST));
      c.set(isUp, c.select(isNearest, isMore, c.op(W.i32_eq, rounding(c), away)));
      c.store(W.i32_store, FLAGS, c.i32(FLAG_PRECISION));
    });
    // The integer bit raises the exponent by one, and so does a carry out of the fraction.
    const lower = c.op(W.i64_extend_i32_u, c.op(W.i32_sub, exponent, c.i32(1)));
    const magnitude = c.op(W.i64_add, c.op(W.i64_shl, lower, fraction), significand);
    c.set(bits, c.op(W.i64_add, magnitude, c.op(W.i64_extend_i32_u, isUp)));
  });
  const wideSign = c.op(W.i64_extend_i32_u, sign);
  c.when(c.op(W.i64_eq, fraction, c.i64(DOUBLE.fractionBits)), () => {
    c.store(W.i64_store, 0, c.op(W.i64_or, bits, c.op(W.i64_shl, wideSign, c.i64(48))), TO);
  }, () => {
    c.store(W.i64_store32, 0, c.op(W.i64_or, bits, c.op(W.i64_shl, wideSign, c.i64(16))), TO);
  });
  c.return(c.i32(1));
  c.f.i32(0);
  return c;
}

/** (from, to, whether it is a double) -> 1: the float at one place is taken apart at the other, when it is a zero or normal. */
function emitUnpack(): Code {
  const c = new Code([I32, I32, I32], [I32]);
  const [from, to, isDouble] = [0, 1, 2];
  const value = c.local(I64);
  const number = { significand: c.local(I64), word: c.local(I32) };
  const leaveUnless = (condition: Value): void =>
    c.when(c.op(W.i32_eqz, condition), () => c.return(c.i32(0)));
  c.when(isDouble, () => {
    c.set(value, c.load(W.i64_load, 0, from));
    widen(c, value, number, 52, 11, leaveUnless);
  }, () => {
    c.set(value, c.load(W.i64_load32_u, 0, from));
    widen(c, value, number, 23, 8, leaveUnless);
  });
  c.store(W.i64_store, 0, number.significand, to);
  c.store(W.i32_store, WORD_AT, number.word, to);
  c.return(c.i32(1));
  c.f.i32(0);
  return c;
}

class QuickExact extends QuickCode {
  readonly #operations: Operations;
  readonly #deliver: number;
  readonly #unpack: number;
  readonly #word = this.local(I32);
  readonly #bytes = this.local(I32);
  readonly #isDouble = this.local(I32);
  /** Of the lane at hand, and where they end. */
  readonly #at = this.local(I32);
  readonly #end = this.local(I32);
  readonly #value = this.local(I64);
  readonly #significand = this.local(I64);
  readonly #sign = this.local(I32);
  /** Flags that were not set before. */
  readonly #isNew = this.local(I32);
  readonly #a = this.local(F64);
  readonly #b = this.local(F64);

  constructor(operations: Operations, deliver: number, unpack: number) {
    super();
    this.#operations = operations;
    this.#deliver = deliver;
    this.#unpack = unpack;
  }

  make(): Assembler {
    const { add, multiply, divide, root } = this.#operations;
    const ways: (() => void)[] = [];
    ways[EXACT.add] = () => this.#lanes(add);
    ways[EXACT.sub] = () => this.#lanes(add, "negated");
    ways[EXACT.mul] = () => this.#lanes(multiply);
    ways[EXACT.div] = () => this.#lanes(divide);
    ways[EXACT.sqrt] = () => this.#eachLane(() => this.#root(root));
    ways[EXACT.fromInteger] = () => this.#fromInteger();
    ways[EXACT.convert] = () => this.#convert();
    ways[EXACT.compareOrdered] = () => this.#compare();
    ways[EXACT.compareUnordered] = () => this.#compare();
    ways[EXACT.toRegister] = () => this.#toRegister();
    ways[EXACT.toRegisterTruncate] = () => this.#toRegister();
    return this.finish(() => {
      this.#begin();
      this.choose(this.#operation(), Array.from(ways));
    });
  }

  #operation(): Value {
    return this.op(W.i32_and, this.#word, this.i32(0xff));
  }

  #isScalar(): Value {
    return this.op(W.i32_and, this.op(W.i32_shr_u, this.#word, this.i32(16)), this.i32(1));
  }

  #begin(): void {
    this.leaveUnless(this.op(W.i32_eqz, this.load(W.i32_load, MODE_IN_DOUBT)));
    this.leaveUnless(this.op(W.i32_and, this.load(W.i32_load, MXCSR), this.i32(PRECISION_MASK)));
    this.set(this.#word, this.load(W.i32_load, RESULT));
    this.set(this.#bytes, this.op(W.i32_and, this.op(W.i32_shr_u, this.#word, this.i32(8)), this.i32(0xff)));
    this.set(this.#isDouble, this.op(W.i32_eq, this.#bytes, this.i32(8)));
    this.when(this.#isDouble, () => setFormat(this, DOUBLE), () => setFormat(this, SINGLE));
    this.store(W.i32_store, FLAGS, this.i32(0));
    this.store(W.v128_store, RAW, this.load(W.v128_load, TARGET));
  }

  /** The result and the flags are known. */
  #commit(): void {
    const flags = this.load(W.i32_load, FLAGS);
    const clear = this.op(W.i32_xor, this.load(W.i32_load, MXCSR), this.i32(-1));
    this.set(this.#isNew, this.op(W.i32_and, flags, clear));
    // A processor would wait for a vector of which a part has just been stored.
    this.when(this.op(W.i32_and, this.#isDouble, this.#isScalar()), () => {
      this.store(W.v128_store, RESULT, () => {
        this.push(this.load(W.v128_load, TARGET));
        this.push(this.load(W.i64_load, RAW));
        this.f.lane(W.i64x2_replace_lane, 0);
      });
    }, () => this.store(W.v128_store, RESULT, this.load(W.v128_load, RAW)));
    this.store(W.i32_store, MXCSR, this.op(W.i32_or, this.load(W.i32_load, MXCSR), flags));
    this.when(this.op(W.i32_or, rounding(this), this.op(W.i32_eqz, this.#isNew)), () => this.done());
    this.store(W.i32_store, MODE_IN_DOUBT, this.i32(1));
    this.leaveUnless(this.i32(0));
  }

  #take(operand: number, into: number, isDouble: Operand = this.#isDouble): void {
    const from = this.op(W.i32_add, this.i32(operand), this.#at);
    this.leaveUnless(this.call(this.#unpack, from, this.i32(into), isDouble));
  }

  /** Where the lane at hand goes. */
  #target(): Value {
    return this.op(W.i32_add, this.i32(RAW), this.#at);
  }

  #eachLane(act: () => void): void {
    const { f } = this;
    this.set(this.#end, this.select(this.#isScalar(), this.#bytes, this.i32(SLOT)));
    const loop = f.loop();
    act();
    this.set(this.#at, this.op(W.i32_add, this.#at, this.#bytes));
    this.push(this.op(W.i32_lt_u, this.#at, this.#end));
    f.brIf(loop);
    f.end();
    this.#commit();
  }

  #lanes(operation: number, second: "as it is" | "negated" = "as it is"): void {
    this.#eachLane(() => {
      this.#take(TARGET, FIRST);
      this.#take(SOURCE, SECOND);
      const word = this.load(W.i32_load, SECOND + WORD_AT);
      const otherWord = second === "negated" ? this.op(W.i32_xor, word, this.i32(SIGN)) : word;
      const [a, aWord] = [this.load(W.i64_load, FIRST), this.load(W.i32_load, FIRST + WORD_AT)];
      this.leaveUnless(
        this.call(operation, this.#target(), a, aWord, this.load(W.i64_load, SECOND), otherWord),
      );
    });
  }

  #root(root: number): void {
    this.#take(SOURCE, FIRST);
    const word = this.load(W.i32_load, FIRST + WORD_AT);
    this.leaveUnless(this.call(root, this.#target(), this.load(W.i64_load, FIRST), word));
  }

  #deliverNumber(significand: Value, word: Value): void {
    const [sign, exponent] = [signOf(this, word), exponentOf(this, word)];
    this.leaveUnless(this.call(this.#deliver, this.i32(RAW), sign, exponent, significand, this.i64(0)));
    this.#commit();
  }

  #fromInteger(): void {
    this.set(this.#value, this.load(W.i64_load, SOURCE));
    widenInteger(this, this.#value, { significand: this.#significand, word: this.#sign });
    this.#deliverNumber(() => this.f.get(this.#significand), () => this.f.get(this.#sign));
  }

  /** CVTSS2SD and CVTSD2SS. */
  #convert(): void {
    this.leaveUnless(this.#isScalar());
    this.#take(SOURCE, FIRST, this.op(W.i32_eqz, this.#isDouble));
    this.#deliverNumber(this.load(W.i64_load, FIRST), this.load(W.i32_load, FIRST + WORD_AT));
  }

  /** A scalar operand, which is a zero or normal, as a double. */
  #scalar(operand: number, local: number): void {
    this.#take(operand, FIRST);
    this.when(this.#isDouble, () => {
      this.set(local, this.op(W.f64_reinterpret_i64, this.load(W.i64_load, operand)));
    }, () => {
      const single = this.op(W.f32_reinterpret_i32, this.load(W.i32_load, operand));
      this.set(local, this.op(W.f64_promote_f32, single));
    });
  }

  /** COMIS and UCOMIS, which differ for NaNs alone. */
  #compare(): void {
    this.#scalar(TARGET, this.#a);
    this.#scalar(SOURCE, this.#b);
    const less = this.op(W.f64_lt, this.#a, this.#b);
    const equal = this.op(W.i32_shl, this.op(W.f64_eq, this.#a, this.#b), this.i32(6));
    this.store(W.i32_store, RAW, this.op(W.i32_or, less, equal));
    this.#commit();
  }

  /** What fits a register of 4 or 8 bytes. */
  #toRegister(): void {
    this.#scalar(SOURCE, this.#a);
    this.set(this.#b, this.op(W.f64_trunc, this.#a));
    this.when(this.op(W.i32_eq, this.#operation(), this.i32(EXACT.toRegister)), () => {
      const isNearest = this.op(W.i32_eq, rounding(this), this.i32(ROUND_NEAREST));
      this.when(isNearest, () => this.set(this.#b, this.op(W.f64_nearest, this.#a)));
      const [isDown, isUp] = [ROUND_DOWN, ROUND_UP].map((mode) =>
        this.op(W.i32_eq, rounding(this), this.i32(mode))
      );
      this.when(isDown!, () => this.set(this.#b, this.op(W.f64_floor, this.#a)));
      this.when(isUp!, () => this.set(this.#b, this.op(W.f64_ceil, this.#a)));
    });
    const isLong = this.op(W.i32_eq, this.op(W.i32_shr_u, this.#word, this.i32(24)), this.i32(8));
    const limit = this.select(isLong, this.#power(63), this.#power(31));
    this.leaveUnless(this.op(W.f64_lt, this.op(W.f64_abs, this.#b), limit));
    this.store(W.i64_store, RAW, this.op(W.i64_trunc_sat_f64_s, this.#b));
    this.when(
      this.op(W.f64_ne, this.#a, this.#b),
      () => this.store(W.i32_store, FLAGS, this.i32(FLAG_PRECISION)),
    );
    this.#commit();
  }

  /** 2^n as a double. */
  #power(n: number): Value {
    return this.op(W.f64_reinterpret_i64, () => this.f.i64Halves(0, (1023 + n) << 20));
  }
}
