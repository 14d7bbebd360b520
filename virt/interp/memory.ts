// SPDX-License-Identifier: Apache-2.0
// Guest memory of records that are no steps (step-handlers.ts): loads with a sign, and the check before what reads and writes. The TLB check is in
// line, the runtime's slow half behind it; in a sequence the record's own handler is the slow half.

import { TLB_READ, TLB_WRITE } from "../layout.ts";
import type { OpInfo } from "../ir/ops.ts";
import { LOADS } from "../runtime/access.ts";
import { pushHost, pushTlbHit } from "../runtime/inline.ts";
import { stateAddress } from "../runtime/status.ts";
import type { Label } from "../wasm/assembler.ts";
import { I32, I64, W } from "../wasm/opcodes.ts";
import { pushSlot, type SlotContext, storeResult } from "./slots.ts";

export class MemoryHandlers {
  readonly #context: SlotContext;
  readonly #status: number;
  readonly #va: number;
  readonly #entry: number;
  readonly #host: number;
  /** Where a fault goes, with its kind in the status local. */
  fault: Label = 0;

  constructor(context: SlotContext, status: number) {
    this.#context = context;
    this.#status = status;
    this.#va = context.f.local(I64);
    this.#entry = context.f.local(I32);
    this.#host = context.f.local(I32);
  }

  load(info: OpInfo): void {
    const { f, runtime } = this.#context;
    const access = LOADS.get(info.id)!;
    this.#address();
    pushTlbHit(f, TLB_READ, access.bytes, this.#va, this.#entry);
    f.if_();
    pushHost(f, TLB_READ, this.#va, this.#entry);
    f.set(this.#host);
    f.else_();
    f.get(this.#va);
    f.i32(access.bytes);
    f.call(runtime.loadSlow);
    f.tee(this.#host);
    f.op(W.i32_eqz);
    f.if_();
    f.i32(stateAddress("trapKind"));
    f.memory(W.i32_load, 0);
    f.set(this.#status);
    f.br(this.fault);
    f.end();
    f.end();
    storeResult(this.#context, info.result, () => {
      f.get(this.#host);
      f.memory(access.opcode, 0);
    });
  }

  /** dst holds the width: the check is that of a store with a width known at run time. `miss`: where to go on when the TLB has nothing. */
  probe(miss: Label | undefined): void {
    const { f, runtime } = this.#context;
    this.#address();
    pushTlbHit(f, TLB_WRITE, -1, this.#va, this.#entry, () => {
      f.get(this.#context.ip);
      f.memory(W.i64_load16_u, 2);
    });
    f.op(W.i32_eqz);
    if (miss !== undefined) {
      f.brIf(miss);
      return;
    }
    f.if_();
    f.get(this.#va);
    f.get(this.#context.ip);
    f.memory(W.i32_load16_u, 2);
    f.call(runtime.probeSlow);
    f.tee(this.#status);
    f.brIf(this.fault);
    f.end();
  }

  /** va = slot a + disp. */
  #address(): void {
    const { f, ip } = this.#context;
    pushSlot(this.#context, "l", 0);
    f.get(ip);
    f.memory(W.i64_load32_s, 8);
    f.op(W.i64_add);
    f.set(this.#va);
  }
}
