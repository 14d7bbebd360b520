// SPDX-License-Identifier: Apache-2.0
// How a block of the interpreter ends and the next one begins: by the choice of a condition, by a jump without one, by one to an address.
//
// Within its page a jump has a link (links.ts). Beyond, where a page is mapped decides, and who asks: such a jump keeps the record that the jump cache
// had for it, under FAR_KEY, as does an indirect one with the address it went to last. Most functions are called from where they were called before,
// and the jump cache is so large that a look at it is waited for.

import { TRAP_PREEMPTED } from "../../include/linux/cpu.ts";
import { JUMP_CACHE } from "../layout.ts";
import { pushJumpCacheEntry } from "../runtime/inline.ts";
import {
  FAR_KEY,
  LINK_SLOT,
  stateAddress,
  STATUS_CONTINUE,
  STATUS_HOT,
  STATUS_LINK,
} from "../runtime/status.ts";
import type { Assembler, Label } from "../wasm/assembler.ts";
import { I32, W } from "../wasm/opcodes.ts";
import { FAR_RECORD_AT, LAST_AT, LINK_NEVER, LINK_NONE, RECORD_BYTES, TARGETS } from "./bytecode.ts";

/** The interpreter's locals, and where its loop begins. */
export interface JumpContext {
  readonly f: Assembler;
  readonly ip: number;
  readonly pc: number;
  readonly budget: number;
  readonly top: Label;
  leave(pushStatus: () => void): void;
}

export class JumpHandlers {
  readonly #f: Assembler;
  readonly #at: JumpContext;
  readonly #side: number; // {delta, link} of the way taken, or the record of a jump that has no choice
  readonly #count: number; // instructions of the block that ends
  readonly #entry: number;
  /** Where handlers branch to, with #side and #count, when they have chosen, are a jump, have an address. */
  follow: Label = 0;
  jump: Label = 0;
  indirect: Label = 0;

  constructor(context: JumpContext) {
    this.#f = context.f;
    this.#at = context;
    this.#side = this.#f.local(I32);
    this.#count = this.#f.local(I32);
    this.#entry = this.#f.local(I32);
  }

  /** The record at `ip` is a jump: #side and #count are its. */
  begin(): void {
    this.#f.get(this.#at.ip);
    this.#f.set(this.#side);
    this.loadCount();
  }

  /**
   * The condition is on the stack; the sides are in the second record. A branch, which a host's processor guesses, and no choice of a number, which
   * it would wait for: the next block is under way before what the condition compares has come from memory. `loadCount`: the record's count of
   * instructions is of this width.
   */
  chooseSide(loadCount: number = W.i32_load16_u): void {
    const f = this.#f;
    f.if_();
    f.get(this.#at.ip);
    f.i32(RECORD_BYTES + 8);
    f.op(W.i32_add);
    f.set(this.#side);
    f.else_();
    f.get(this.#at.ip);
    f.i32(RECORD_BYTES);
    f.op(W.i32_add);
    f.set(this.#side);
    f.end();
    this.loadCount(loadCount);
    f.br(this.follow);
  }

  loadCount(load: number = W.i32_load16_u): void {
    this.#f.get(this.#at.ip);
    this.#f.memory(load, 2);
    this.#f.set(this.#count);
  }

  /** The condition's choice is the {delta, link} at `side`. */
  emitFollow(): void {
    const f = this.#f;
    this.takeCount();
    this.addDelta(() => f.get(this.#side), 0);
    this.#checkBudget();
    f.get(this.#side);
    f.memory(W.i32_load, 4);
    f.tee(this.#entry);
    f.i32(LINK_NEVER);
    f.op(W.i32_gt_u);
    f.if_();
    this.#goOnAt(() => f.get(this.#entry));
    f.end();
    f.get(this.#entry);
    f.i32(LINK_NONE);
    f.op(W.i32_eq);
    f.if_();
    f.i32(LINK_SLOT);
    f.get(this.#side);
    f.memory(W.i32_store, 0);
    this.#at.leave(() => f.i32(STATUS_LINK));
    f.end();
    this.#emitLookUp(undefined);
  }

  /** The jump at `side` has no choice. */
  emitJump(): void {
    const f = this.#f;
    this.takeCount();
    this.addDelta(() => f.get(this.#side), 8);
    this.#checkBudget();
    f.get(this.#side);
    f.memory(W.i32_load, 12);
    f.tee(this.#entry);
    f.i32(1);
    f.op(W.i32_and);
    f.if_();
    f.get(this.#entry);
    this.#pushFarKey();
    f.op(W.i32_eq);
    f.if_();
    this.#goOnAt(() => {
      f.get(this.#side);
      f.memory(W.i32_load, FAR_RECORD_AT);
    });
    f.end();
    f.else_();
    f.get(this.#entry);
    f.if_();
    this.#goOnAt(() => f.get(this.#entry));
    f.end();
    f.i32(LINK_SLOT);
    f.get(this.#side);
    f.i32(8);
    f.op(W.i32_add);
    f.memory(W.i32_store, 0);
    this.#at.leave(() => f.i32(STATUS_LINK));
    f.end();
    this.#emitLookUp(() => {
      f.get(this.#side);
      f.get(this.#at.ip);
      f.memory(W.i32_store, FAR_RECORD_AT);
      f.get(this.#side);
      this.#pushFarKey();
      f.memory(W.i32_store, 12);
    });
  }

  /** The indirect jump at `side` goes to `pc`. */
  emitIndirect(): void {
    const f = this.#f;
    this.takeCount();
    this.#checkBudget();
    f.get(this.#side);
    f.memory(W.i64_load, LAST_AT);
    f.get(this.#at.pc);
    f.op(W.i64_eq);
    f.if_();
    f.get(this.#side);
    f.memory(W.i32_load, LAST_AT + 12);
    this.#pushFarKey();
    f.op(W.i32_eq);
    f.if_();
    this.#goOnAt(() => {
      f.get(this.#side);
      f.memory(W.i32_load, LAST_AT + 8);
    });
    f.end();
    f.end();
    this.#noteTarget();
    this.#emitLookUp(() => {
      f.get(this.#side);
      f.get(this.#at.pc);
      f.memory(W.i64_store, LAST_AT);
      f.get(this.#side);
      f.get(this.#at.ip);
      f.memory(W.i32_store, LAST_AT + 8);
      f.get(this.#side);
      this.#pushFarKey();
      f.memory(W.i32_store, LAST_AT + 12);
    });
  }

  /** For the translator: targets[hash of pc] = pc, behind the record at `side`. */
  #noteTarget(): void {
    const f = this.#f;
    f.get(this.#at.pc);
    f.i64(4);
    f.op(W.i64_shr_u);
    f.op(W.i32_wrap_i64);
    f.i32(TARGETS - 1);
    f.op(W.i32_and);
    f.i32(3);
    f.op(W.i32_shl);
    f.get(this.#side);
    f.op(W.i32_add);
    f.get(this.#at.pc);
    f.memory(W.i64_store, LAST_AT + 16);
  }

  #pushFarKey(): void {
    this.#f.i32(FAR_KEY);
    this.#f.memory(W.i32_load, 0);
  }

  /** On to the record whose address `push` leaves. */
  #goOnAt(push: () => void): void {
    push();
    this.#f.set(this.#at.ip);
    this.countEntry();
    this.#f.br(this.#at.top);
  }

  /** pc and budget are those of after the jump. `remember`: `ip` is where it goes on. */
  #emitLookUp(remember: (() => void) | undefined): void {
    const f = this.#f;
    // A block of the interpreter under this pc in the jump cache is entered without leaving.
    f.get(this.#at.pc);
    f.i64(47);
    f.op(W.i64_shr_u);
    f.op(W.i64_eqz);
    f.if_();
    pushJumpCacheEntry(f, () => f.get(this.#at.pc));
    f.tee(this.#entry);
    f.memory(W.i64_load, JUMP_CACHE);
    f.get(this.#at.pc);
    f.i32(stateAddress("addressSpaceTag"));
    f.memory(W.i64_load, 0);
    f.op(W.i64_xor);
    f.op(W.i64_eq);
    f.if_();
    f.get(this.#entry);
    f.memory(W.i32_load, JUMP_CACHE + 8);
    f.op(W.i32_eqz);
    f.if_();
    f.get(this.#entry);
    f.memory(W.i32_load, JUMP_CACHE + 12);
    f.set(this.#at.ip);
    if (remember !== undefined) {
      this.#pushFarKey();
      f.i32(1);
      f.op(W.i32_and);
      f.if_();
      remember();
      f.end();
    }
    this.countEntry();
    f.br(this.#at.top);
    f.end();
    f.end();
    f.end();
    this.#at.leave(() => f.i32(STATUS_CONTINUE));
  }

  /** Hot blocks go to the translator when the counter in the header reaches 0. */
  countEntry(): void {
    const f = this.#f;
    f.get(this.#at.ip);
    f.i32(8);
    f.op(W.i32_sub);
    f.get(this.#at.ip);
    f.i32(8);
    f.op(W.i32_sub);
    f.memory(W.i32_load, 0);
    f.i32(1);
    f.op(W.i32_sub);
    f.tee(this.#entry);
    f.memory(W.i32_store, 0);
    f.get(this.#entry);
    f.op(W.i32_eqz);
    f.if_();
    this.#at.leave(() => f.i32(STATUS_HOT));
    f.end();
  }

  takeCount(): void {
    const f = this.#f;
    f.get(this.#at.budget);
    f.get(this.#count);
    f.op(W.i32_sub);
    f.set(this.#at.budget);
  }

  #checkBudget(): void {
    const f = this.#f;
    f.get(this.#at.budget);
    f.i32(0);
    f.op(W.i32_le_s);
    f.if_();
    this.#at.leave(() => f.i32(TRAP_PREEMPTED));
    f.end();
  }

  addDelta(base: () => void, offset: number): void {
    const f = this.#f;
    f.get(this.#at.pc);
    base();
    f.memory(W.i64_load32_s, offset);
    f.op(W.i64_add);
    this.setPc();
  }

  /** pc is what is on the stack, where steps read it too. */
  setPc(): void {
    const f = this.#f;
    f.set(this.#at.pc);
    f.i32(stateAddress("pc"));
    f.get(this.#at.pc);
    f.memory(W.i64_store, 0);
  }
}
