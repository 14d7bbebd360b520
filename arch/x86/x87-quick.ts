// SPDX-License-Identifier: Apache-2.0
// What programs mostly ask the x87 for, in WebAssembly: the functions of x87.ts on zeros and normal numbers, with the precision exception masked. Where a case
// is not done here, nothing has been changed, and TypeScript does it.
//
// Arguments: as x87.ts has them. Which instruction it was is noted by the lifter.
// Source: AMD64 Architecture Programmer's Manual, volume 5; volume 3, appendix A (encodings).

import type { QuickContext } from "../../virt/frontend.ts";
import type { Operand, Value } from "../../virt/wasm/code.ts";
import { I32, I64, W } from "../../virt/wasm/opcodes.ts";
import {
  EXT_X87_BASE,
  X87_AREA,
  X87_COMPARE_FLAGS,
  X87_LOAD,
  X87_MOVE_IF,
  X87_REGISTER,
  X87_STORE,
} from "./ext.ts";
import { BIAS, EQUAL, LESS, normalise, SIGN, signOf, UNKNOWN, widen, widenInteger } from "./quick-float.ts";
import {
  addQuickArithmetic,
  clearC1,
  FSW,
  isPlain,
  type QuickArithmetic,
  WORD_AT,
  write,
} from "./x87-quick-arithmetic.ts";
import { EnvironmentForm } from "./x87-quick-environment.ts";
import { addressOf, Form, FTAG, physicalOf, SCRATCH, setControl } from "./x87-quick-form.ts";
import { StoreForm } from "./x87-quick-store.ts";
import { C0, C3, CONDITIONS } from "./x87-state.ts";

/** D9 /5 in memory, whatever the address. */
const FLDCW_MASK = 0x738;
const FLDCW = 0x128;

/** By ext number. */
export function quickX87(context: QuickContext): ReadonlyMap<number, number> {
  const arithmetic = addQuickArithmetic(context);
  const forms: ReadonlyArray<readonly [number, Form]> = [
    [X87_REGISTER, new RegisterForm(arithmetic)],
    [X87_LOAD, new LoadForm(arithmetic)],
    [X87_STORE, new StoreForm(context.fillTlb)],
    [X87_COMPARE_FLAGS, new CompareForm(arithmetic)],
    [X87_MOVE_IF, new MoveIfForm()],
    [X87_AREA, new EnvironmentForm(context.fillTlb)],
  ];
  return new Map(forms.map(([form, code]) => [EXT_X87_BASE + form, context.add(code.make())]));
}

/** Arithmetic and comparisons with another operand than a register or with one. */
abstract class ArithmeticForm extends Form {
  readonly #arithmetic: QuickArithmetic;
  readonly #order = this.local(I32);

  constructor(arithmetic: QuickArithmetic) {
    super();
    this.#arithmetic = arithmetic;
  }

  /** The register at `to` is what the operation makes of it and another operand. */
  operate(operation: Operand, to: Operand, significand: Operand, word: Operand): void {
    this.leaveUnless(this.call(this.#arithmetic.operate, operation, to, significand, word));
  }

  root(to: number): void {
    const [significand, word] = [this.significandAt(to), this.wordAt(to)];
    this.leaveUnless(isPlain(this));
    this.leaveUnless(this.call(this.#arithmetic.root, to, significand, word));
  }

  /** How the register at an address compares with another operand. */
  order(address: number, significand: Operand, word: Operand): number {
    this.set(
      this.#order,
      this.call(
        this.#arithmetic.compare,
        this.significandAt(address),
        this.wordAt(address),
        significand,
        word,
      ),
    );
    this.leaveUnless(this.op(W.i32_ne, this.#order, this.i32(UNKNOWN)));
    return this.#order;
  }

  /** FCOM and its kin say it by C0 and C3. */
  compare(address: number, significand: Operand, word: Operand): void {
    const order = this.order(address, significand, word);
    const isEqual = this.op(W.i32_eq, order, this.i32(EQUAL));
    const isLess = this.op(W.i32_eq, order, this.i32(LESS));
    const bits = this.select(isEqual, this.i32(C3), this.select(isLess, this.i32(C0), this.i32(0)));
    const others = this.op(W.i32_and, this.load(W.i32_load, FSW), this.i32(~CONDITIONS));
    this.store(W.i32_store, FSW, this.op(W.i32_or, others, bits));
  }
}

class RegisterForm extends ArithmeticForm {
  readonly #operation = this.local(I32);
  readonly #top = this.local(I32);
  readonly #other = this.local(I32);
  readonly #significand = this.local(I64);
  readonly #word = this.local(I32);

  body(): void {
    this.choose(this.opcode(), [
      () => this.#operateTop(),
      () => this.#d9(),
      () => this.#compareBoth(5),
      undefined,
      () => this.#operateOther(),
      () => this.#dd(),
      () => {
        // FCOMPP is where a comparison would be.
        this.choose(this.reg(), [undefined, undefined, undefined, () => this.#compareBoth(3)]);
        this.#operateOther();
        this.pop();
        this.done();
      },
    ]);
  }

  /** ST(0) and ST(i), which are both there. */
  #both(other: Operand): void {
    this.findRegister(this.i32(0), this.#top);
    this.findRegister(other, this.#other);
  }

  #operateTop(): void {
    this.#both(this.rm());
    this.choose(this.reg(), [undefined, undefined, () => this.#compare(0), () => this.#compare(1)]);
    this.operate(this.reg(), this.#top, this.significandAt(this.#other), this.wordAt(this.#other));
    this.done();
  }

  /** FCOM and FUCOM, which differ for NaNs alone. */
  #compare(pops: number): void {
    this.compare(this.#top, this.significandAt(this.#other), this.wordAt(this.#other));
    for (let n = 0; n < pops; n++) this.pop();
    this.done();
  }

  /** FUCOMPP and FCOMPP, with a reg field of their own. */
  #compareBoth(reg: number): void {
    this.leaveUnless(this.op(W.i32_eq, this.reg(), this.i32(reg)));
    this.leaveUnless(this.op(W.i32_eq, this.rm(), this.i32(1)));
    this.#both(this.i32(1));
    this.#compare(2);
  }

  /** DC and DE name the reversed operation where D8 names the plain one. DC returns from here. */
  #operateOther(): void {
    this.#both(this.rm());
    const reg = this.reg();
    const isReversible = this.op(W.i32_shr_u, reg, this.i32(2));
    this.set(this.#operation, this.op(W.i32_xor, reg, isReversible));
    this.operate(this.#operation, this.#other, this.significandAt(this.#top), this.wordAt(this.#top));
    this.when(this.op(W.i32_eq, this.opcode(), this.i32(4)), () => this.done());
  }

  #d9(): void {
    this.choose(this.reg(), [
      () => {
        this.findRegister(this.rm(), this.#other);
        this.pushNumber(this.significandAt(this.#other), this.wordAt(this.#other));
        this.done();
      },
      () => this.#exchange(),
      undefined,
      undefined,
      () => {
        this.findRegister(this.i32(0), this.#top);
        this.choose(this.rm(), [
          () => this.#setSign(this.op(W.i32_xor, this.wordAt(this.#top), this.i32(SIGN))),
          () => this.#setSign(this.op(W.i32_and, this.wordAt(this.#top), this.i32(~SIGN))),
        ]);
      },
      () => this.#constant(),
      undefined,
      () => {
        this.findRegister(this.i32(0), this.#top);
        this.choose(this.rm(), [
          undefined,
          undefined,
          () => {
            this.root(this.#top);
            this.done();
          },
          undefined,
          () => this.#roundTop(),
        ]);
      },
    ]);
  }

  #exchange(): void {
    this.#both(this.rm());
    this.set(this.#significand, this.significandAt(this.#top));
    this.set(this.#word, this.wordAt(this.#top));
    write(this, this.#top, this.significandAt(this.#other), this.wordAt(this.#other));
    write(this, this.#other, this.#significand, this.#word);
    clearC1(this);
    this.done();
  }

  #setSign(word: Value): void {
    this.store(W.i32_store, WORD_AT, word, this.#top);
    clearC1(this);
    this.done();
  }

  /** FRNDINT. */
  #roundTop(): void {
    const [top, significand, word] = [this.#top, this.#significand, this.#word];
    this.leaveUnlessMasked();
    this.set(significand, this.significandAt(top));
    this.set(word, this.wordAt(top));
    const magnitude = this.roundToInteger(significand, word, this.rounding());
    this.commitStatus();
    this.set(word, signOf(this, word));
    this.set(significand, this.i64(0));
    this.when(this.op(W.i64_ne, magnitude, this.i64(0)), () => normalise(this, magnitude, significand, word));
    write(this, top, significand, word);
    this.done();
  }

  /** FLD1 and FLDZ: the others are rounded. */
  #constant(): void {
    this.choose(this.rm(), [
      () => {
        this.pushNumber(this.topBit(), this.i32(BIAS));
        this.done();
      },
      ...Array.from({ length: 5 }, () => undefined),
      () => {
        this.pushNumber(this.i64(0), this.i32(0));
        this.done();
      },
    ]);
  }

  #dd(): void {
    this.choose(this.reg(), [
      undefined,
      undefined,
      () => this.#storeRegister(0),
      () => this.#storeRegister(1),
      () => this.#compareAs(0),
      () => this.#compareAs(1),
    ]);
  }

  #compareAs(pops: number): void {
    this.#both(this.rm());
    this.#compare(pops);
  }

  #storeRegister(pops: number): void {
    this.findRegister(this.i32(0), this.#top);
    const physical = physicalOf(this, this.rm());
    const tags = this.op(W.i32_or, this.load(W.i32_load, FTAG), this.op(W.i32_shl, this.i32(1), physical));
    this.store(W.i32_store, FTAG, tags);
    write(this, addressOf(this, physical), this.significandAt(this.#top), this.wordAt(this.#top));
    clearC1(this);
    for (let n = 0; n < pops; n++) this.pop();
    this.done();
  }
}

class LoadForm extends ArithmeticForm {
  readonly #significand = this.local(I64);
  readonly #word = this.local(I32);
  readonly #value = this.local(I64);
  readonly #top = this.local(I32);

  body(): void {
    this.#controlWord();
    this.choose(this.opcode(), [
      () => this.#arithmetic(() => this.#widen32()),
      () => this.#push(0, () => this.#widen32()),
      () => this.#arithmetic(() => this.#widenInteger(this.argument(W.i64_load32_s, 2))),
      () => {
        this.choose(this.reg(), [
          () => this.#push(0, () => this.#widenInteger(this.argument(W.i64_load32_s, 2))),
          ...Array.from({ length: 4 }, () => undefined),
          () =>
            this.#push(5, () => {
              this.set(this.#significand, this.argument(W.i64_load, 2));
              this.set(this.#word, this.argument(W.i32_load16_u, 3));
            }),
        ]);
      },
      () => this.#arithmetic(() => this.#widen64()),
      () => this.#push(0, () => this.#widen64()),
      () => this.#arithmetic(() => this.#widenInteger(this.argument(W.i64_load16_s, 2))),
      () => {
        this.choose(this.reg(), [
          () => this.#push(0, () => this.#widenInteger(this.argument(W.i64_load16_s, 2))),
          ...Array.from({ length: 4 }, () => undefined),
          () => this.#push(5, () => this.#widenInteger(this.argument(W.i64_load, 2))),
        ]);
      },
    ]);
  }

  /** FLDCW. */
  #controlWord(): void {
    const isControl = this.op(W.i32_eq, this.op(W.i32_and, this.fop, this.i32(FLDCW_MASK)), this.i32(FLDCW));
    this.when(isControl, () => {
      setControl(this, this.argument(W.i32_load, 2));
      this.done();
    });
  }

  #push(reg: number, widen: () => void): void {
    this.leaveUnless(this.op(W.i32_eq, this.reg(), this.i32(reg)));
    widen();
    this.pushNumber(this.#significand, this.#word);
    this.done();
  }

  #arithmetic(widen: () => void): void {
    this.findRegister(this.i32(0), this.#top);
    widen();
    this.when(this.op(W.i32_eq, this.op(W.i32_and, this.reg(), this.i32(6)), this.i32(2)), () => {
      this.compare(this.#top, this.#significand, this.#word);
      this.when(this.op(W.i32_and, this.reg(), this.i32(1)), () => this.pop());
      this.done();
    });
    this.operate(this.reg(), this.#top, this.#significand, this.#word);
    this.done();
  }

  #widen32(): void {
    this.set(this.#value, this.argument(W.i64_load32_u, 2));
    widen(this, this.#value, this.#number(), 23, 8, (condition) => this.leaveUnless(condition));
  }

  #widen64(): void {
    this.set(this.#value, this.argument(W.i64_load, 2));
    widen(this, this.#value, this.#number(), 52, 11, (condition) => this.leaveUnless(condition));
  }

  #number(): { significand: number; word: number } {
    return { significand: this.#significand, word: this.#word };
  }

  #widenInteger(value: Value): void {
    this.set(this.#value, value);
    widenInteger(this, this.#value, this.#number());
  }
}

/** FCOMI and its kin: ZF and CF as the result. */
class CompareForm extends ArithmeticForm {
  readonly #top = this.local(I32);
  readonly #other = this.local(I32);

  body(): void {
    this.findRegister(this.i32(0), this.#top);
    this.findRegister(this.rm(), this.#other);
    const order = this.order(this.#top, this.significandAt(this.#other), this.wordAt(this.#other));
    this.store(W.i32_store, SCRATCH, order);
    this.when(this.op(W.i32_eq, this.opcode(), this.i32(7)), () => this.pop());
    this.done();
  }
}

class MoveIfForm extends Form {
  readonly #top = this.local(I32);
  readonly #other = this.local(I32);

  body(): void {
    this.findRegister(this.i32(0), this.#top);
    this.findRegister(this.rm(), this.#other);
    this.when(this.argument(W.i32_load, 1), () => {
      write(this, this.#top, this.significandAt(this.#other), this.wordAt(this.#other));
    });
    this.done();
  }
}
