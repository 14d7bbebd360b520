// SPDX-License-Identifier: Apache-2.0
// FXSAVE and FXRSTOR within one page in WebAssembly, as the dynamic linker does both around each function that it looks up: with no exception pending, and
// with the MXCSR that is there already. x87-fxsave.ts does the rest, and says what the image consists of.

import { type Access, ACCESS_READ, ACCESS_WRITE } from "../../include/linux/cpu.ts";
import type { CPU_STATE } from "../../virt/layout.ts";
import { stateAddress } from "../../virt/runtime/status.ts";
import type { Assembler } from "../../virt/wasm/assembler.ts";
import type { Value } from "../../virt/wasm/code.ts";
import { I32, W } from "../../virt/wasm/opcodes.ts";
import { GuestMemory } from "./quick-access.ts";
import { QuickCode } from "./quick-code.ts";
import { FXSAVE_BYTES, MXCSR_MASK, ST_OFFSET, XMM_OFFSET } from "./x87-fxsave.ts";
import { FCW, FSW, WORD_AT, write } from "./x87-quick-arithmetic.ts";
import { addressOf, physicalOf, setControl, setStatus, statusWord } from "./x87-quick-form.ts";
import { ERROR_SUMMARY } from "./x87-state.ts";

const [ADDRESS, IS_WIDE] = [stateAddress("scratch"), stateAddress("scratch") + 16];
const REGISTER = 16;
const REGISTERS = 8;
const XMM_BYTES = 256;
const OPCODE_MASK = 0x7ff;

/** `fillTlb`: as QuickContext has it. */
export function emitQuickFxsave(fillTlb: number): Assembler {
  return new QuickArea(fillTlb).save();
}

export function emitQuickFxrstor(fillTlb: number): Assembler {
  return new QuickArea(fillTlb).restore();
}

class QuickArea extends QuickCode {
  readonly #memory: GuestMemory;
  readonly #host = this.local(I32);
  readonly #register = this.local(I32);

  constructor(fillTlb: number) {
    super();
    this.#memory = new GuestMemory(this, fillTlb);
  }

  save(): Assembler {
    return this.finish(() => {
      this.#find(ACCESS_WRITE);
      const pending = this.op(W.i32_and, this.load(W.i32_load, FSW), this.i32(ERROR_SUMMARY));
      this.leaveUnless(this.op(W.i32_eqz, pending));
      this.#write();
      this.done();
    });
  }

  restore(): Assembler {
    return this.finish(() => {
      this.#find(ACCESS_READ);
      this.leaveUnless(
        this.op(W.i32_eq, this.#at(W.i32_load, 24), this.load(W.i32_load, stateAddress("mxcsr"))),
      );
      this.#read();
      this.done();
    });
  }

  #find(access: Access): void {
    this.#memory.find(this.#host, this.load(W.i64_load, ADDRESS), access, this.i32(FXSAVE_BYTES));
  }

  #at(opcode: number, offset: number): Value {
    return this.load(opcode, offset, this.#host);
  }

  #write(): void {
    const put = (opcode: number, offset: number, value: Value): void =>
      this.store(opcode, offset, value, this.#host);
    put(W.i32_store16, 0, this.load(W.i32_load, FCW));
    put(W.i32_store16, 2, statusWord(this));
    // No opcode and no pointers are reported.
    put(W.i32_store, 4, this.load(W.i32_load8_u, stateAddress("ftag")));
    put(W.i64_store, 8, this.i64(0));
    put(W.i64_store, 16, this.i64(0));
    put(W.i32_store, 24, this.load(W.i32_load, stateAddress("mxcsr")));
    put(W.i32_store, 28, this.i32(MXCSR_MASK));
    this.#eachRegister((offset) => {
      put(W.i64_store, offset, this.load(W.i64_load, 0, this.#register));
      put(W.i64_store, offset + WORD_AT, this.load(W.i64_load16_u, WORD_AT, this.#register));
    });
    this.#copy(this.op(W.i32_add, this.#host, this.i32(XMM_OFFSET)), this.i32(stateAddress("xmm")));
  }

  #read(): void {
    const put = (field: keyof typeof CPU_STATE, value: Value): void =>
      this.store(W.i32_store, stateAddress(field), value);
    setStatus(this, this.#at(W.i32_load16_u, 2));
    setControl(this, this.#at(W.i32_load16_u, 0));
    put("ftag", this.#at(W.i32_load8_u, 4));
    put("fop", this.op(W.i32_and, this.#at(W.i32_load16_u, 6), this.i32(OPCODE_MASK)));
    this.#readPointer("fip", 8);
    this.#readPointer("fdp", 16);
    const dataSelector = this.op(W.i32_shl, this.#at(W.i32_load16_u, 20), this.i32(16));
    const selectors = this.op(W.i32_or, this.#at(W.i32_load16_u, 12), dataSelector);
    put("fselectors", this.select(this.#isWide(), this.i32(0), selectors));
    this.#eachRegister((offset) => {
      const word = this.#at(W.i32_load16_u, offset + WORD_AT);
      write(this, this.#register, this.#at(W.i64_load, offset), word);
    });
    this.#copy(this.i32(stateAddress("xmm")), this.op(W.i32_add, this.#host, this.i32(XMM_OFFSET)));
  }

  #isWide(): Value {
    return this.load(W.i32_load, IS_WIDE);
  }

  /** Of 48 bits, sign-extended, or of 32. */
  #readPointer(field: "fip" | "fdp", offset: number): void {
    const unused = this.i64(16);
    const wide = this.op(W.i64_shr_s, this.op(W.i64_shl, this.#at(W.i64_load, offset), unused), unused);
    this.store(
      W.i64_store,
      stateAddress(field),
      this.select(this.#isWide(), wide, this.#at(W.i64_load32_u, offset)),
    );
  }

  /** #register = the address of each of the stack, and where it is in the image. */
  #eachRegister(act: (offset: number) => void): void {
    for (let i = 0; i < REGISTERS; i++) {
      this.set(this.#register, addressOf(this, physicalOf(this, this.i32(i))));
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
