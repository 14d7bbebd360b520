// SPDX-License-Identifier: Apache-2.0
// FXSAVE and FXRSTOR within one page in WebAssembly, as the dynamic linker does both around each function that it looks up: with no exception pending, and
// with the MXCSR that is there already. x87-fxsave.ts does the rest, and says what the image consists of.

import { type Access, ACCESS_READ, ACCESS_WRITE } from "../../include/linux/cpu.ts";
import { CPU_BASE, CPU_STATE } from "../../virt/layout.ts";
import type { Assembler, Label } from "../../virt/wasm/assembler.ts";
import { Code, type Operand, type Value } from "../../virt/wasm/code.ts";
import { I32, I64, W } from "../../virt/wasm/opcodes.ts";
import { findHost } from "./quick-access.ts";
import { FXSAVE_BYTES, MXCSR_MASK, ST_OFFSET, XMM_OFFSET } from "./x87-fxsave.ts";
import { FCW, FSW, WORD_AT, write } from "./x87-quick-arithmetic.ts";
import { setControl } from "./x87-quick-form.ts";
import { CONDITIONS, ERROR_SUMMARY, EXCEPTIONS, STACK_FAULT } from "./x87-state.ts";

const state = (field: keyof typeof CPU_STATE): number => CPU_BASE + CPU_STATE[field];
const [ADDRESS, IS_WIDE] = [state("scratch"), state("scratch") + 16];
const REGISTER = 16;
const REGISTERS = 8;
const XMM_BYTES = 256;
const TOP_SHIFT = 11;
const OPCODE_MASK = 0x7ff;

/** `fillTlb`: as QuickContext has it. */
export function emitQuickFxsave(fillTlb: number): Assembler {
  return new QuickArea(fillTlb).save();
}

export function emitQuickFxrstor(fillTlb: number): Assembler {
  return new QuickArea(fillTlb).restore();
}

class QuickArea extends Code {
  readonly #fillTlb: number;
  readonly #address = this.local(I64);
  readonly #entry = this.local(I32);
  readonly #host = this.local(I32);
  readonly #register = this.local(I32);
  #other: Label = 0;

  constructor(fillTlb: number) {
    super([], [I32]);
    this.#fillTlb = fillTlb;
  }

  save(): Assembler {
    this.#begin(ACCESS_WRITE, () => {
      this.#leaveUnless(
        this.op(W.i32_eqz, this.op(W.i32_and, this.load(W.i32_load, FSW), this.i32(ERROR_SUMMARY))),
      );
    });
    const put = (opcode: number, offset: number, value: Value): void =>
      this.store(opcode, offset, value, this.#host);
    const top = this.op(W.i32_shl, this.load(W.i32_load, state("ftop")), this.i32(TOP_SHIFT));
    put(W.i32_store16, 0, this.load(W.i32_load, FCW));
    put(W.i32_store16, 2, this.op(W.i32_or, this.load(W.i32_load, FSW), top));
    // No opcode and no pointers are reported.
    put(W.i32_store, 4, this.load(W.i32_load8_u, state("ftag")));
    put(W.i64_store, 8, this.i64(0));
    put(W.i64_store, 16, this.i64(0));
    put(W.i32_store, 24, this.load(W.i32_load, state("mxcsr")));
    put(W.i32_store, 28, this.i32(MXCSR_MASK));
    this.#eachRegister((offset) => {
      put(W.i64_store, offset, this.load(W.i64_load, 0, this.#register));
      put(W.i64_store, offset + WORD_AT, this.load(W.i64_load16_u, WORD_AT, this.#register));
    });
    this.#copy(this.op(W.i32_add, this.#host, this.i32(XMM_OFFSET)), this.i32(state("xmm")));
    return this.#end();
  }

  restore(): Assembler {
    const get = (opcode: number, offset: number): Value => this.load(opcode, offset, this.#host);
    this.#begin(ACCESS_READ, () => {
      this.#leaveUnless(this.op(W.i32_eq, get(W.i32_load, 24), this.load(W.i32_load, state("mxcsr"))));
    });
    const status = get(W.i32_load16_u, 2);
    this.store(
      W.i32_store,
      state("ftop"),
      this.op(W.i32_and, this.op(W.i32_shr_u, status, this.i32(TOP_SHIFT)), this.i32(7)),
    );
    this.store(W.i32_store, FSW, this.op(W.i32_and, status, this.i32(CONDITIONS | STACK_FAULT | EXCEPTIONS)));
    setControl(this, get(W.i32_load16_u, 0));
    this.store(W.i32_store, state("ftag"), get(W.i32_load8_u, 4));
    this.store(W.i32_store, state("fop"), this.op(W.i32_and, get(W.i32_load16_u, 6), this.i32(OPCODE_MASK)));
    this.#restorePointer("fip", get, 8);
    this.#restorePointer("fdp", get, 16);
    const selectors = this.op(
      W.i32_or,
      get(W.i32_load16_u, 12),
      this.op(W.i32_shl, get(W.i32_load16_u, 20), this.i32(16)),
    );
    this.store(W.i32_store, state("fselectors"), this.select(this.#isWide(), this.i32(0), selectors));
    this.#eachRegister((offset) => {
      write(this, this.#register, get(W.i64_load, offset), get(W.i32_load16_u, offset + WORD_AT));
    });
    this.#copy(this.i32(state("xmm")), this.op(W.i32_add, this.#host, this.i32(XMM_OFFSET)));
    return this.#end();
  }

  /** Finds the area, and leaves for TypeScript where that is to be asked. */
  #begin(access: Access, check: () => void): void {
    this.#other = this.f.block();
    this.set(this.#address, this.load(W.i64_load, ADDRESS));
    const place = { address: this.#address, entry: this.#entry, host: this.#host };
    findHost(
      this,
      this.#fillTlb,
      place,
      access,
      this.i32(FXSAVE_BYTES),
      (condition) => this.#leaveUnless(condition),
    );
    check();
  }

  #end(): Assembler {
    this.return(this.i32(1));
    this.f.end();
    this.f.i32(0);
    return this.f;
  }

  #leaveUnless(condition: Operand): void {
    this.push(this.op(W.i32_eqz, condition));
    this.f.brIf(this.#other);
  }

  #isWide(): Value {
    return this.load(W.i32_load, IS_WIDE);
  }

  /** Of 48 bits, sign-extended, or of 32. */
  #restorePointer(
    field: "fip" | "fdp",
    get: (opcode: number, offset: number) => Value,
    offset: number,
  ): void {
    const unused = this.i64(16);
    const wide = this.op(W.i64_shr_s, this.op(W.i64_shl, get(W.i64_load, offset), unused), unused);
    this.store(W.i64_store, state(field), this.select(this.#isWide(), wide, get(W.i64_load32_u, offset)));
  }

  /** #register = the address of each of the stack, and where it is in the image. */
  #eachRegister(act: (offset: number) => void): void {
    for (let i = 0; i < REGISTERS; i++) {
      const physical = this.op(
        W.i32_and,
        this.op(W.i32_add, this.load(W.i32_load, state("ftop")), this.i32(i)),
        this.i32(7),
      );
      this.set(
        this.#register,
        this.op(W.i32_add, this.op(W.i32_mul, physical, this.i32(REGISTER)), this.i32(state("st"))),
      );
      act(ST_OFFSET + REGISTER * i);
    }
  }

  #copy(to: Value, from: Value): void {
    this.push(to);
    this.push(from);
    this.f.i32(XMM_BYTES);
    this.f.memoryCopy();
  }
}
