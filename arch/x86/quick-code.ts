// SPDX-License-Identifier: Apache-2.0
// What quick functions (quick.ts) are made of: () -> 1 when all is done, 0, with nothing changed, when TypeScript is to do what is left.

import type { Assembler, Label } from "../../virt/wasm/assembler.ts";
import { Code, type Operand } from "../../virt/wasm/code.ts";
import { I32, W } from "../../virt/wasm/opcodes.ts";

export class QuickCode extends Code {
  #other: Label = 0;

  constructor() {
    super([], [I32]);
  }

  /** The function; each way through the body that is done ends by done(). */
  finish(body: () => void): Assembler {
    this.#other = this.f.block();
    body();
    this.f.end();
    this.f.i32(0);
    return this.f;
  }

  done(): void {
    this.return(this.i32(1));
  }

  leaveUnless(condition: Operand): void {
    this.push(this.op(W.i32_eqz, condition));
    this.f.brIf(this.#other);
  }
}
