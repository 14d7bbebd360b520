// SPDX-License-Identifier: Apache-2.0
// How control goes from a region to other code: calls, returns, jumps.
//
// A guest call is a call of the callee's WebAssembly function, with the registers in memory. It comes back with the
// guest address to go on at: when that is the return address, the region goes on in its own structured code, with
// registers loaded again. When it is another (a callee without translation, or one that has left for code without), the runtime goes
// on there until the callee is over (runtime/go-on.ts); what is left then (a status, a longjmp) this region
// returns to whoever called it, and in the end to the dispatcher. A guest return is a return. A jump out is a tail
// call, so that the function that called this one is still the one to be returned to. Nothing is lost by unwinding:
// all state is in memory, and return addresses are entries of their regions, or gone on at in bytecode.

import { NEAR_CACHE } from "../layout.ts";
import { emitIsHigh, pushKey, pushNearEntry } from "../runtime/inline.ts";
import type { RuntimeFunctions } from "../runtime/module.ts";
import { LINK_KEY } from "../runtime/status.ts";
import { type Label, LIKELY, UNLIKELY } from "../wasm/assembler.ts";
import { VOID, W } from "../wasm/opcodes.ts";
import {
  type DataLayout,
  LINK_BYTES,
  LINK_CHANGES_AT,
  LINK_DIRECT_AT,
  LINK_ENTRY_AT,
  LINK_INDEX_AT,
  LINK_PC_AT,
  type Links,
} from "./data.ts";
import { type Differ, PARAM_DEPTH, PASSED, type RegionFrame, STACK_POINTER } from "./frame.ts";

/** What gets into memory: registers and flags that differ from it; or what differs by the mask in frame.dirty. */
export type Store = { readonly registers: number; readonly cc: Differ } | "by mask";

export interface TransferTarget {
  /** Offset from the anchor; undefined when frame.pc holds the address. */
  readonly offset: number | undefined;
  /** Offset of the place in memory that the address was taken from, when it is always the same (stubs.ts). */
  readonly placeOffset?: number | undefined;
  /** Offset of where frame.pc will lead most likely: a region of the module. */
  readonly expectedOffset?: number | undefined;
  /** Of the block whose indirect call this is. */
  readonly siteOffset?: number | undefined;
  /** When the target is an entry of the region itself: its number. */
  readonly ownEntry: number | undefined;
}

/** What a call pushes and a return pops. */
const RETURN_ADDRESS_BYTES = 8;

/** What a region's functions are called in its module: the one for its first entry, and the one for all others. */
export interface RegionNames {
  readonly first: string;
  readonly others: string;
}

/** Where in the region's data its links are, and the functions that it is. */
export interface TransferHome {
  readonly layout: DataLayout;
  readonly names: RegionNames;
  /** Room for them is to be made in the region's data. */
  readonly links: Links;
  /** The function of the module that a link will lead to most likely; undefined when there is none to be foreseen. */
  readonly foresee: (offset: number, link: number) => string | undefined;
  readonly watchesCalls: boolean;
  readonly noteSite: (offset: number, link: number) => void;
}

export class TransferEmitter {
  readonly #frame: RegionFrame;
  readonly #runtime: RuntimeFunctions;
  readonly #home: TransferHome;
  /** While a call is emitted: where code goes that has no region to call, with frame.pc what was to be called. */
  #away: Label | undefined;

  constructor(frame: RegionFrame, runtime: RuntimeFunctions, home: TransferHome) {
    this.#frame = frame;
    this.#runtime = runtime;
    this.#home = home;
  }

  /** The guest's return: frame.pc is where to. */
  return_(store: Store): void {
    const { f, pc, budget } = this.#frame;
    this.#store(store);
    f.get(pc);
    f.get(budget);
    f.return_();
  }

  /**
   * Falls through when the callee has come back to `returnOffset`: the stack pointer and the budget are in their locals,
   * everything else is in memory.
   */
  call(target: TransferTarget, returnOffset: number, store: Store): void {
    const frame = this.#frame;
    const { f } = frame;
    const stackPointer = frame.registers[STACK_POINTER]!;
    this.#store(store);
    if (target.offset !== undefined) frame.setPc(target.offset);
    this.#returnUnless(() => f.get(PARAM_DEPTH));
    this.#away = f.block();
    this.#pushTransfer(target, "call", store);
    this.#away = undefined;
    f.end();
    const pushIsElsewhere = (): void => {
      f.get(frame.pc);
      frame.pushAddress(returnOffset);
      f.op(W.i64_ne);
    };
    pushIsElsewhere();
    f.if_(VOID, UNLIKELY);
    this.#goOn(stackPointer);
    pushIsElsewhere();
    f.if_(VOID, UNLIKELY);
    this.#returnPc();
    f.end();
    f.end();
    // What the callee left is looked at, not waited for: the value known here goes on, unless the callee has taken more than its
    // return address from the stack, as in Lisp, or this is another stack.
    f.get(stackPointer);
    f.i64(RETURN_ADDRESS_BYTES);
    f.op(W.i64_add);
    f.set(stackPointer);
    frame.pushFromMemory(STACK_POINTER);
    f.get(stackPointer);
    f.op(W.i64_ne);
    f.if_(VOID, UNLIKELY);
    frame.pushFromMemory(STACK_POINTER);
    f.set(stackPointer);
    f.end();
  }

  /** Code runs on at frame.pc until what was called with that stack pointer is over, or the dispatcher has to see to it. */
  #goOn(stackPointer: number): void {
    const { f, pc, budget } = this.#frame;
    f.get(pc);
    f.get(stackPointer);
    f.get(PARAM_DEPTH);
    f.get(budget);
    f.call(this.#runtime.goOn);
    f.set(budget);
    f.set(pc);
  }

  #returnPc(): void {
    const { f, pc, budget } = this.#frame;
    f.get(pc);
    f.get(budget);
    f.return_();
  }

  /** A jump to code outside that is known to run often. frame.budget is more than 0. */
  tail(target: TransferTarget, store: Store): void {
    const frame = this.#frame;
    this.#store(store);
    if (target.offset !== undefined) frame.setPc(target.offset);
    if (this.#runtime.hasTailCalls) this.#pushTransfer(target, "tail", store);
    else this.#returnPc();
  }

  #store(store: Store): void {
    if (store === "by mask") {
      this.#frame.storeByMask();
      return;
    }
    this.#frame.store(store.registers);
    this.#frame.storeCc(store.cc);
  }

  /** There is no region to go to. */
  #leave(): void {
    if (this.#away === undefined) this.#returnPc();
    else this.#frame.f.br(this.#away);
  }

  /** frame.pc is returned, for somebody further out to go on there, when the condition is 0. */
  #returnUnless(push: () => void): void {
    const { f } = this.#frame;
    push();
    f.op(W.i32_eqz);
    f.if_(VOID, UNLIKELY);
    this.#returnPc();
    f.end();
  }

  #pushTransfer(target: TransferTarget, kind: "call" | "tail", store: Store): void {
    if (target.ownEntry !== undefined) this.#toSelf(target.ownEntry, kind, store);
    else if (target.expectedOffset !== undefined) {
      this.#byExpectation(target, target.expectedOffset, kind, store);
    } else if (target.placeOffset !== undefined) {
      this.#byPlace(target.placeOffset, target.siteOffset, kind, store);
    } else if (target.offset !== undefined) this.#byLink(target.offset, kind, store);
    else {
      if (target.siteOffset !== undefined && this.#home.watchesCalls) this.#watch(target.siteOffset);
      this.#byJumpCache(kind, store);
    }
  }

  /** The depth, the budget, and the registers that are passed: from their locals where those are surely good. */
  #pushRest(kind: "call" | "tail", store: Store): void {
    const { f, budget, registers } = this.#frame;
    f.get(PARAM_DEPTH);
    if (kind === "call") {
      f.i32(1);
      f.op(W.i32_sub);
    }
    f.get(budget);
    const differ = store === "by mask" ? 0 : store.registers;
    for (const n of PASSED.keys()) {
      if ((differ & (1 << n)) !== 0) f.get(registers[n]!);
      else this.#frame.pushFromMemory(n);
    }
  }

  #toSelf(entry: number, kind: "call" | "tail", store: Store): void {
    const { f, pc, data } = this.#frame;
    f.get(pc);
    f.get(data);
    f.i32(entry);
    f.op(W.i32_or);
    this.#pushRest(kind, store);
    const { names } = this.#home;
    const name = entry === 0 ? names.first : names.others;
    this.#named(name, kind);
  }

  /** Through the link of this target: by name where it leads to the function that was foreseen. */
  #byLink(offset: number, kind: "call" | "tail", store: Store): void {
    const { f, pc, data } = this.#frame;
    const { links, layout } = this.#home;
    const link = links.numberOf("target", offset);
    const at = layout.linksAt + link * LINK_BYTES;
    const foreseen = this.#home.foresee(offset, link);
    if (foreseen === undefined) {
      this.#byTable(at, kind, store);
      return;
    }
    this.#pushHolds(at + LINK_DIRECT_AT);
    f.if_(VOID, LIKELY);
    f.get(pc);
    f.get(data);
    f.memory(W.i32_load, at + LINK_ENTRY_AT);
    this.#pushRest(kind, store);
    this.#named(foreseen, kind);
    f.else_();
    this.#byTable(at, kind, store);
    f.end();
  }

  /** Leaves whether the key at an address in the region's data is the present one. */
  #pushHolds(at: number): void {
    const { f, data } = this.#frame;
    f.get(data);
    f.memory(W.i64_load, at);
    f.i32(LINK_KEY);
    f.memory(W.i64_load, 0);
    f.op(W.i64_eq);
  }

  /** Through the table, by the link at `at`; the runtime makes one when that does not hold. */
  #byTable(at: number, kind: "call" | "tail", store: Store): void {
    const { f } = this.#frame;
    this.#pushHolds(at);
    f.op(W.i32_eqz);
    f.if_(VOID, UNLIKELY);
    this.#relink(at, this.#runtime.link);
    f.end();
    this.#follow(at, kind, store);
  }

  /** Through the link that a place in memory has, good while frame.pc is what it was made for. */
  #byPlace(
    placeOffset: number,
    siteOffset: number | undefined,
    kind: "call" | "tail",
    store: Store,
  ): void {
    const { f, pc, data } = this.#frame;
    const { links, layout } = this.#home;
    const link = links.numberOf("place", placeOffset);
    if (siteOffset !== undefined) this.#home.noteSite(siteOffset, link);
    const at = layout.linksAt + link * LINK_BYTES;
    f.get(data);
    f.memory(W.i64_load, at + LINK_PC_AT);
    f.get(pc);
    f.op(W.i64_xor);
    f.get(data);
    f.memory(W.i64_load, at);
    f.i32(LINK_KEY);
    f.memory(W.i64_load, 0);
    f.op(W.i64_xor);
    f.op(W.i64_or);
    f.op(W.i64_eqz);
    f.op(W.i32_eqz);
    f.if_(VOID, UNLIKELY);
    this.#relink(at, this.#runtime.linkPlace);
    f.end();
    this.#follow(at, kind, store);
  }

  /** By name when frame.pc is what is expected. */
  #byExpectation(target: TransferTarget, offset: number, kind: "call" | "tail", store: Store): void {
    const { f, pc } = this.#frame;
    f.get(pc);
    this.#frame.pushAddress(offset);
    f.op(W.i64_ne);
    f.if_(VOID, UNLIKELY);
    this.#pushTransfer({ ...target, expectedOffset: undefined }, kind, store);
    f.else_();
    this.#byLink(offset, kind, store);
    f.end();
  }

  /** Notes where an indirect call goes: frame.pc. */
  #watch(siteOffset: number): void {
    const { f, pc, data } = this.#frame;
    const { links, layout } = this.#home;
    const link = links.numberOf("site", siteOffset);
    this.#home.noteSite(siteOffset, link);
    const at = layout.linksAt + link * LINK_BYTES;
    f.get(data);
    f.memory(W.i64_load, at + LINK_PC_AT);
    f.get(pc);
    f.op(W.i64_ne);
    f.if_(VOID, UNLIKELY);
    f.get(data);
    f.get(pc);
    f.memory(W.i64_store, at + LINK_PC_AT);
    f.get(data);
    f.get(data);
    f.memory(W.i32_load, at + LINK_CHANGES_AT);
    f.i32(1);
    f.op(W.i32_add);
    f.memory(W.i32_store, at + LINK_CHANGES_AT);
    f.end();
  }

  /** Makes the link at `at` lead to frame.pc, or leaves. */
  #relink(at: number, link: number): void {
    const { f, pc, data } = this.#frame;
    f.get(pc);
    f.get(data);
    f.i32(at);
    f.op(W.i32_add);
    f.call(link);
    f.op(W.i32_eqz);
    f.if_(VOID, UNLIKELY);
    this.#leave();
    f.end();
  }

  /** Where the link at `at` leads. */
  #follow(at: number, kind: "call" | "tail", store: Store): void {
    const { f, pc, data } = this.#frame;
    f.get(pc);
    f.get(data);
    f.memory(W.i32_load, at + LINK_ENTRY_AT);
    this.#pushRest(kind, store);
    f.get(data);
    f.memory(W.i32_load, at + LINK_INDEX_AT);
    this.#indirect(kind);
  }

  #indirect(kind: "call" | "tail"): void {
    const { f } = this.#frame;
    const { enter, regionType } = this.#runtime;
    if (enter >= 0) f[kind === "call" ? "call" : "returnCall"](enter);
    else f[kind === "call" ? "callIndirect" : "returnCallIndirect"](regionType);
    this.#takeResults(kind);
  }

  #named(name: string, kind: "call" | "tail"): void {
    const { f } = this.#frame;
    if (kind === "call") f.callNamed(name);
    else f.returnCallNamed(name);
    this.#takeResults(kind);
  }

  /** What a callee gave back, into frame.pc and frame.budget. */
  #takeResults(kind: "call" | "tail"): void {
    if (kind === "tail") return;
    this.#frame.f.set(this.#frame.budget);
    this.#frame.f.set(this.#frame.pc);
  }

  /** frame.pc is any address: the near cache or the jump cache knows a region for it, or it is left for. */
  #byJumpCache(kind: "call" | "tail", store: Store): void {
    const { f, pc, tlbEntry } = this.#frame;
    const known = f.block();
    const unknown = f.block();
    f.get(pc);
    emitIsHigh(f);
    f.brIf(unknown, UNLIKELY);
    pushNearEntry(f, () => f.get(pc));
    f.tee(tlbEntry);
    f.memory(W.i64_load, NEAR_CACHE);
    pushKey(f, pc);
    f.op(W.i64_eq);
    f.brIf(known, LIKELY);
    f.get(pc);
    f.get(tlbEntry);
    f.call(this.#runtime.near);
    f.brIf(known, LIKELY);
    f.end();
    this.#leave();
    f.end();
    f.get(pc);
    f.get(tlbEntry);
    f.memory(W.i32_load, NEAR_CACHE + 12);
    this.#pushRest(kind, store);
    f.get(tlbEntry);
    f.memory(W.i32_load, NEAR_CACHE + 8);
    this.#indirect(kind);
  }
}
