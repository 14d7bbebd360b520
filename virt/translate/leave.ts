// SPDX-License-Identifier: Apache-2.0
// The ways out of a region that all its blocks share: to the interpreter, and to the dispatcher with a status.

import { TRAP_PREEMPTED } from "../../include/linux/cpu.ts";
import { LAST_ANCHOR, LAST_DATA, STATUS_BASE, STATUS_SLOW } from "../runtime/status.ts";
import { type Label, UNLIKELY } from "../wasm/assembler.ts";
import { VOID, W } from "../wasm/opcodes.ts";
import { SITE_SHIFT, UNPAID_MAX } from "./block.ts";
import type { RegionFrame } from "./frame.ts";
import type { Store } from "./transfer.ts";

/** From blocks to where the ways out meet. */
export class LeaveEmitter {
  readonly #frame: RegionFrame;
  /** Where emitExit follows. */
  exit: Label = 0;

  constructor(frame: RegionFrame) {
    this.#frame = frame;
  }

  /** For TypeScript, to go on at frame.pc, when the budget is used up. */
  atBudget(store: Store): void {
    const { f, budget } = this.#frame;
    f.get(budget);
    f.i32(0);
    f.op(W.i32_le_s);
    f.if_(VOID, UNLIKELY);
    this.withStatus(TRAP_PREEMPTED, store);
    f.end();
  }

  withStatus(status: number, store: Store): void {
    const { f } = this.#frame;
    f.i32(status);
    f.set(this.#frame.status);
    this.by(this.exit, store);
  }

  by(label: Label, store: Store): void {
    if (store !== "by mask") {
      this.#frame.setDirty(store.registers);
      this.dropClean(store);
    }
    this.#frame.f.br(label);
  }

  /** What does not differ from memory need not stay in locals. */
  dropClean({ registers, cc }: Exclude<Store, "by mask">): void {
    this.#frame.drop(this.#frame.touched & ~registers);
    if (this.#frame.hasCc && cc === "no") this.#frame.dropCc();
  }
}

/** Of what follows `site` in its block nothing has been done: the interpreter takes over there. */
export function emitSide(frame: RegionFrame): void {
  const { f } = frame;
  f.get(frame.anchor);
  f.get(frame.site);
  f.i32(SITE_SHIFT);
  f.op(W.i32_shr_s);
  f.op(W.i64_extend_i32_s);
  f.op(W.i64_add);
  f.set(frame.pc);
  f.get(frame.budget);
  f.get(frame.site);
  f.i32(UNPAID_MAX);
  f.op(W.i32_and);
  f.op(W.i32_sub);
  f.set(frame.budget);
  f.i32(STATUS_SLOW);
  f.set(frame.status);
}

/** With a status: everything to memory. */
export function emitExit(frame: RegionFrame): void {
  const { f } = frame;
  frame.storeByMask();
  frame.storePc();
  frame.storeBudget();
  f.i32(LAST_ANCHOR);
  f.get(frame.anchor);
  f.memory(W.i64_store, 0);
  f.i32(LAST_DATA);
  f.get(frame.data);
  f.memory(W.i32_store, 0);
  f.get(frame.status);
  f.op(W.i64_extend_i32_u);
  f.i64(STATUS_BASE);
  f.op(W.i64_add);
  f.get(frame.budget);
}
