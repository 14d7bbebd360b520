// SPDX-License-Identifier: Apache-2.0
// FNSTENV and FLDENV of 28 bytes within one page and with an empty stack, in WebAssembly: what the C library does around code that is to raise nothing.
// x87.ts does the rest.

import { type Access, ACCESS_READ, ACCESS_WRITE } from "../../include/linux/cpu.ts";
import { stateAddress } from "../../virt/runtime/status.ts";
import type { Operand, Value } from "../../virt/wasm/code.ts";
import { I32, W } from "../../virt/wasm/opcodes.ts";
import { GuestMemory } from "./quick-access.ts";
import { FCW } from "./x87-quick-arithmetic.ts";
import { Form, FTAG, setControl, setStatus, statusWord } from "./x87-quick-form.ts";
import { EXCEPTIONS } from "./x87-state.ts";

const BYTES = 28;
const ALL_EMPTY = 0xffff;
/** Of the upper halves of words. */
const UNUSED = 0xffff_0000 | 0;
const OPCODE_MASK = 0x7ff;

export class EnvironmentForm extends Form {
  readonly #memory: GuestMemory;
  readonly #host = this.local(I32);

  constructor(fillTlb: number) {
    super();
    this.#memory = new GuestMemory(this, fillTlb);
  }

  /** FNSAVE and FRSTOR, which have the same reg fields, are of another opcode. */
  body(): void {
    this.leaveUnless(this.op(W.i32_eq, this.opcode(), this.i32(1)));
    this.leaveUnless(this.op(W.i32_eq, this.argument(W.i32_load, 2), this.i32(4)));
    this.when(this.op(W.i32_eq, this.reg(), this.i32(6)), () => {
      this.leaveUnless(this.op(W.i32_eqz, this.load(W.i32_load, FTAG)));
      this.#find(ACCESS_WRITE);
      this.#save();
      this.done();
    });
    this.#find(ACCESS_READ);
    this.leaveUnless(this.op(W.i32_eq, this.#half(8), this.i32(ALL_EMPTY)));
    this.#restore();
    this.done();
  }

  #find(access: Access): void {
    this.#memory.find(this.#host, this.argument(W.i64_load, 1), access, this.i32(BYTES));
  }

  /** After it all exceptions are masked. */
  #save(): void {
    const put = (offset: number, value: Operand): void => this.store(W.i32_store, offset, value, this.#host);
    const putHalf = (offset: number, value: Value): void =>
      put(offset, this.op(W.i32_or, value, this.i32(UNUSED)));
    putHalf(0, this.load(W.i32_load, FCW));
    putHalf(4, statusWord(this));
    put(8, this.i32(-1));
    put(12, this.load(W.i32_load, stateAddress("fip")));
    const opcode = this.op(W.i32_shl, this.load(W.i32_load, stateAddress("fop")), this.i32(16));
    put(16, this.op(W.i32_or, this.load(W.i32_load16_u, stateAddress("fselectors")), opcode));
    put(20, this.load(W.i32_load, stateAddress("fdp")));
    putHalf(24, this.load(W.i32_load16_u, stateAddress("fselectors") + 2));
    setControl(this, this.op(W.i32_or, this.load(W.i32_load, FCW), this.i32(EXCEPTIONS)));
  }

  #restore(): void {
    this.store(W.i32_store, FTAG, this.i32(0));
    setStatus(this, this.#half(4));
    setControl(this, this.#half(0));
    this.store(W.i64_store, stateAddress("fip"), this.load(W.i64_load32_u, 12, this.#host));
    this.store(W.i64_store, stateAddress("fdp"), this.load(W.i64_load32_u, 20, this.#host));
    this.store(W.i32_store, stateAddress("fop"), this.op(W.i32_and, this.#half(18), this.i32(OPCODE_MASK)));
    const dataSelector = this.op(W.i32_shl, this.#half(24), this.i32(16));
    this.store(W.i32_store, stateAddress("fselectors"), this.op(W.i32_or, this.#half(16), dataSelector));
  }

  #half(offset: number): Value {
    return this.load(W.i32_load16_u, offset, this.#host);
  }
}
