// SPDX-License-Identifier: Apache-2.0
// Guest memory in a region: the TLB check in line, and its elision.
//
// The accesses of a group (groups.ts) have one check of their whole range, which gives a host address for all of them; or
// none, where an earlier block's check still holds (facts.ts). In loops a check mostly looks into a window of its place
// (windows.ts) and not into the TLB. What is no hit the runtime looks at in full, and fills the entry. When it cannot be had
// either (a fault, a range over two pages that lie apart) the rest of the block is the interpreter's; a region where that
// happens too often is made again without groups. An instruction that has already acted cannot be left for the interpreter
// to do again: there a miss calls the runtime's slow half.

import { ACCESS_READ, ACCESS_WRITE } from "../../include/linux/cpu.ts";
import { TLB_READ, TLB_WRITE } from "../layout.ts";
import { type AccessInfo, LOADS, STORES } from "../runtime/access.ts";
import { pushAlignedMiss, pushTlbHit } from "../runtime/inline.ts";
import {
  STACK_ADDEND,
  STACK_ROOM,
  STACK_SPAN,
  STACK_START,
  stateAddress,
  WINDOW_ADDEND_AT,
  WINDOW_BYTES,
  WINDOW_ROOM_AT,
  WINDOW_SPAN,
} from "../runtime/status.ts";
import { LIKELY, UNLIKELY } from "../wasm/assembler.ts";
import { F32, F64, I32, V128, VOID, W } from "../wasm/opcodes.ts";
import type { BlockEmitter } from "./block.ts";
import type { BlockMemory, Publication } from "./facts.ts";
import { type Group, isStack, NO_GROUPS } from "./groups.ts";

export class MemoryEmitter {
  readonly #block: BlockEmitter;
  #memory: BlockMemory = { groups: NO_GROUPS, publications: [] };

  constructor(block: BlockEmitter) {
    this.#block = block;
  }

  /** Whether an access has a check for itself alone: it may look at the alignment as well. */
  checksAlone(i: number): boolean {
    const group = this.#memory.groups.byRecord[i];
    return group === undefined || !isShared(group);
  }

  load(i: number): void {
    const block = this.#block;
    const { ir, frame } = block;
    const access = LOADS.get(ir.op[i]!)!;
    const group = this.#prepare(i);
    if (group !== undefined) {
      this.#pushMember(group, i);
      frame.f.memory(access.opcode, ir.imm[i]! - group.hostMin);
    } else {
      this.#pushLoadAddress(i, access.bytes);
      frame.f.memory(access.opcode, 0);
    }
    block.keepResult(i);
  }

  store(i: number): void {
    const block = this.#block;
    const { ir, frame } = block;
    const access = STORES.get(ir.op[i]!)!;
    if (block.isDirty) block.ensureLocal(ir.b[i]!);
    const group = this.#prepare(i);
    if (group !== undefined) {
      this.#pushMember(group, i);
      block.push(ir.b[i]!);
      frame.f.memory(access.opcode, ir.imm[i]! - group.hostMin);
    } else {
      this.#storeChecked(i, access);
    }
  }

  probe(i: number): void {
    const block = this.#block;
    if (this.#prepare(i) !== undefined) return;
    if (block.isDirty) this.#probeSlow(i, block.ir.imm2[i]!);
    else {
      this.#setAccessAddress(i);
      this.#pushAccessHost(i, block.ir.imm2[i]!, TLB_WRITE);
      block.frame.f.op(W.drop);
    }
  }

  /** Before the first record of a block. */
  begin(memory: BlockMemory): void {
    this.#memory = memory;
  }

  /** After the last record: what the blocks that follow may rely on. */
  publish(): void {
    const f = this.#block.frame.f;
    const { publications } = this.#memory;
    for (const publication of publications) this.#pushPublished(publication);
    for (const { slot } of publications.toReversed()) f.set(slot.local);
  }

  #pushPublished({ from, distance, isHoped }: Publication): void {
    const f = this.#block.frame.f;
    if (from === undefined) {
      f.i32(0);
      return;
    }
    const isGroup = "host" in from;
    const local = !isGroup ? from.local : isHoped ? from.hoped : from.host;
    if (local < 0) throw new Error("a fact without a check");
    f.get(local);
    const further = isGroup ? distance - from.hostMin : distance;
    if (further === 0) return;
    f.i32(further);
    f.op(W.i32_add);
    if (!isHoped) return;
    f.i32(0);
    f.get(local);
    f.op(W.select);
  }

  /** Ends the block: its locals are free again. */
  release(): void {
    for (const group of this.#memory.groups.all) {
      if (group.host < 0) continue;
      if (group.host !== group.slot?.local) this.#block.frame.give(I32, group.host);
      if (group.hoped >= 0) this.#block.frame.give(I32, group.hoped);
      group.host = group.hoped = -1;
    }
  }

  /**
   * The base is at hand, the site is set, and the group is checked where that can be: returns it when its host
   * address is known.
   */
  #prepare(i: number): Group | undefined {
    const block = this.#block;
    const { frame } = block;
    const group = this.#memory.groups.byRecord[i];
    if (group !== undefined && (group.host >= 0 || group.known === "surely")) {
      if (group.host < 0) useSlot(group);
      return group;
    }
    block.ensureLocal(block.ir.a[i]!);
    block.setSite();
    if (group === undefined || block.isDirty || !isShared(group)) return undefined;
    if (group.known === "maybe") {
      this.#refill(group);
      return group;
    }
    this.#setAddress(group.base, group.min);
    if (group.hopes && group.isPublished) {
      group.hoped = frame.take(I32);
      this.#pushHopefulHost(group.end - group.min, group.hoped);
    } else this.#pushRangeHost(group, group.end - group.min);
    group.host = frame.take(I32);
    group.hostMin = group.min;
    frame.f.set(group.host);
    return group;
  }

  /** The slot's local, where that is 0, by a check. */
  #refill(group: Group): void {
    const { frame } = this.#block;
    const { f } = frame;
    const slot = group.slot!;
    const host = group.keepsSlot ? frame.take(I32) : slot.local;
    f.get(slot.local);
    if (group.keepsSlot) f.tee(host);
    f.op(W.i32_eqz);
    f.if_(VOID, UNLIKELY);
    this.#setAddress(group.base, slot.min);
    this.#pushRangeHost(group, slot.end - slot.min);
    f.set(host);
    f.end();
    group.host = host;
    group.hostMin = slot.min;
  }

  /** Leaves the host address of frame.va, where record i accesses memory, or the region. */
  #pushAccessHost(i: number, bytes: number, tlb: number): void {
    const { frame, labels, ir } = this.#block;
    const f = frame.f;
    f.get(frame.va);
    f.op(W.i32_wrap_i64);
    const window = this.#memory.windows?.(ir.a[i]!, ir.imm[i]!);
    if (window !== undefined && bytes <= WINDOW_SPAN && !this.#block.asksAlignment(i)) {
      this.#pushWindowAddend(window, bytes, tlb);
      f.op(W.i32_add);
      return;
    }
    if (this.#block.asksAlignment(i)) pushAlignedMiss(f, tlb, frame.va, frame.tlbEntry);
    else {
      pushTlbHit(f, tlb, bytes, frame.va, frame.tlbEntry);
      f.op(W.i32_eqz);
    }
    f.brIf(labels.side, UNLIKELY);
    f.get(frame.tlbEntry);
    f.memory(W.i32_load, tlb + 8);
    f.op(W.i32_add);
  }

  /** The same for a range of a group. */
  #pushRangeHost(group: Group, bytes: number): void {
    const { f, va } = this.#block.frame;
    const window = this.#memory.windows?.(group.base, group.min);
    const tlb = tlbOf(group);
    f.get(va);
    f.op(W.i32_wrap_i64);
    if (isStack(group) && bytes <= STACK_SPAN) this.#pushStackAddend(bytes, tlb);
    else if (window !== undefined && bytes <= WINDOW_SPAN && group.known === "no") {
      this.#pushWindowAddend(window, bytes, tlb);
    } else this.#pushAddend(bytes, tlb);
    f.op(W.i32_add);
  }

  /**
   * Leaves what makes a host address of frame.va, or the region. What is no hit, and more often lies over two pages, the runtime looks at in
   * full. Both ways give the addend: engines know the sum for a 32-bit address, and would have to cut a choice of two down.
   */
  #pushAddend(bytes: number, tlb: number): void {
    const { frame, runtime } = this.#block;
    const f = frame.f;
    pushTlbHit(f, tlb, bytes, frame.va, frame.tlbEntry);
    f.if_(I32, LIKELY);
    f.get(frame.tlbEntry);
    f.memory(W.i32_load, tlb + 8);
    f.else_();
    this.#ask(runtime.reach, bytes, tlb);
    this.#lessAddress();
    f.end();
  }

  /** As #pushObjectHost, for a group that hopes; `hoped` has the host address too where it may be written, else 0. */
  #pushHopefulHost(bytes: number, hoped: number): void {
    const { frame } = this.#block;
    const f = frame.f;
    f.get(frame.va);
    f.op(W.i32_wrap_i64);
    pushTlbHit(f, TLB_WRITE, bytes, frame.va, frame.tlbEntry);
    f.if_(I32, LIKELY);
    f.get(frame.tlbEntry);
    f.memory(W.i32_load, TLB_WRITE + 8);
    f.tee(hoped);
    f.get(hoped);
    f.get(frame.va);
    f.op(W.i32_wrap_i64);
    f.op(W.i32_add);
    f.set(hoped);
    f.else_();
    f.i32(0);
    f.set(hoped);
    this.#pushAddend(bytes, TLB_READ);
    f.end();
    f.op(W.i32_add);
  }

  /** Leaves the host address of frame.va, by a call of one of three functions, or the region. */
  #ask(reach: number, bytes: number, tlb: number, pushMore: () => void = () => {}): void {
    const { frame, labels } = this.#block;
    const f = frame.f;
    frame.setCcAside();
    f.get(frame.va);
    f.i32(bytes);
    f.i32(tlb === TLB_WRITE ? ACCESS_WRITE : ACCESS_READ);
    pushMore();
    f.call(reach);
    f.set(frame.tlbEntry);
    frame.takeCcBack();
    f.get(frame.tlbEntry);
    f.op(W.i32_eqz);
    f.brIf(labels.side, UNLIKELY);
    f.get(frame.tlbEntry);
  }

  /** A host address becomes what is to be added to frame.va. */
  #lessAddress(): void {
    const { f, va } = this.#block.frame;
    f.get(va);
    f.op(W.i32_wrap_i64);
    f.op(W.i32_sub);
  }

  /** What is not in the window of the stack the runtime looks at, and moves the window there. */
  #pushStackAddend(bytes: number, tlb: number): void {
    const { frame: { f }, runtime } = this.#block;
    const pushRoom = (): void => {
      f.i32(STACK_ROOM);
      f.memory(W.i64_load, 0);
    };
    this.#pushFromWindow({ start: STACK_START, addend: STACK_ADDEND }, pushRoom, () => {
      this.#ask(runtime.reachStack, bytes, tlb);
    });
  }

  /** The same for a window of the loop's. */
  #pushWindowAddend(pair: number, bytes: number, tlb: number): void {
    const { frame: { f }, runtime } = this.#block;
    const start = tlb === TLB_WRITE ? pair + WINDOW_BYTES : pair;
    const pushRoom = (): void => {
      f.i32(start + WINDOW_ROOM_AT);
      f.memory(W.i64_load32_u, 0);
    };
    this.#pushFromWindow({ start, addend: start + WINDOW_ADDEND_AT }, pushRoom, () => {
      this.#ask(runtime.reachWindow, bytes, tlb, () => f.i32(start));
    });
  }

  /** Leaves what makes a host address of frame.va. `ask` leaves that of an address that is not in the window. */
  #pushFromWindow(at: { start: number; addend: number }, pushRoom: () => void, ask: () => void): void {
    const { f, va } = this.#block.frame;
    f.get(va);
    f.i32(at.start);
    f.memory(W.i64_load, 0);
    f.op(W.i64_sub);
    pushRoom();
    f.op(W.i64_lt_u);
    f.if_(I32, LIKELY);
    f.i32(at.addend);
    f.memory(W.i32_load, 0);
    f.else_();
    ask();
    this.#lessAddress();
    f.end();
  }

  #setAddress(base: number, disp: number): void {
    const { frame } = this.#block;
    const f = frame.f;
    this.#block.push(base);
    if (disp !== 0) {
      f.i64(disp);
      f.op(W.i64_add);
    }
    f.set(frame.va);
  }

  /** The address of record i, the index of a table with it. */
  #setAccessAddress(i: number): void {
    const { frame, ir } = this.#block;
    const { f } = frame;
    this.#setAddress(ir.a[i]!, ir.imm[i]!);
    const index = ir.indexes?.get(i);
    if (index === undefined) return;
    f.get(frame.va);
    this.#block.push(ir.c[i]!);
    if (index.shift !== 0) {
      f.i64(index.shift);
      f.op(W.i64_shl);
    }
    f.op(W.i64_add);
    f.set(frame.va);
  }

  /** Leaves what a member's displacement is added to, less where its group begins. */
  #pushMember(group: Group, i: number): void {
    const { frame, ir } = this.#block;
    const { f } = frame;
    f.get(group.host);
    const index = ir.indexes?.get(i);
    if (index === undefined) return;
    this.#block.push(ir.c[i]!);
    f.op(W.i32_wrap_i64);
    if (index.shift !== 0) {
      f.i32(index.shift);
      f.op(W.i32_shl);
    }
    f.op(W.i32_add);
  }

  #pushHost(tlb: number): void {
    const { frame } = this.#block;
    const f = frame.f;
    f.get(frame.va);
    f.op(W.i32_wrap_i64);
    f.get(frame.tlbEntry);
    f.memory(W.i32_load, tlb + 8);
    f.op(W.i32_add);
  }

  /** Leaves 1 or 0 on the stack: whether the access hits. */
  #pushHit(i: number, bytes: number, tlb: number): void {
    const { frame } = this.#block;
    this.#setAccessAddress(i);
    pushTlbHit(frame.f, tlb, bytes, frame.va, frame.tlbEntry);
  }

  /** Leaves the host address to load from. */
  #pushLoadAddress(i: number, bytes: number): void {
    const block = this.#block;
    const { frame, runtime } = block;
    const f = frame.f;
    if (!block.isDirty) {
      this.#setAccessAddress(i);
      this.#pushAccessHost(i, bytes, TLB_READ);
      return;
    }
    this.#pushHit(i, bytes, TLB_READ);
    f.if_(I32, LIKELY);
    this.#pushHost(TLB_READ);
    f.else_();
    f.get(frame.va);
    f.i32(bytes);
    f.call(runtime.loadSlow);
    f.tee(frame.tlbEntry);
    f.op(W.i32_eqz);
    f.if_(VOID, UNLIKELY);
    f.i32(stateAddress("trapKind"));
    f.memory(W.i32_load, 0);
    f.set(frame.status);
    block.exitAtInstruction();
    f.end();
    f.get(frame.tlbEntry);
    f.end();
  }

  /** A store that checks for itself. */
  #storeChecked(i: number, access: AccessInfo): void {
    const block = this.#block;
    const { frame, ir } = block;
    const f = frame.f;
    if (!block.isDirty) {
      this.#setAccessAddress(i);
      this.#pushAccessHost(i, access.bytes, TLB_WRITE);
      block.push(ir.b[i]!);
      f.memory(access.opcode, 0);
      return;
    }
    this.#pushHit(i, access.bytes, TLB_WRITE);
    f.if_(VOID, LIKELY);
    this.#pushHost(TLB_WRITE);
    block.push(ir.b[i]!);
    f.memory(access.opcode, 0);
    f.else_();
    f.get(frame.va);
    block.push(ir.b[i]!);
    this.#callStoreSlow(access);
    f.tee(frame.status);
    f.if_(VOID, UNLIKELY);
    block.exitAtInstruction();
    f.end();
    f.end();
  }

  /** The address and the value are on the stack; leaves the status. */
  #callStoreSlow(access: AccessInfo): void {
    const { frame, runtime } = this.#block;
    const f = frame.f;
    if (access.type === V128) {
      f.call(runtime.storeSlow128);
      return;
    }
    if (access.type === F32) f.op(W.i32_reinterpret_f32);
    if (access.type === F64) f.op(W.i64_reinterpret_f64);
    if (access.type === I32 || access.type === F32) f.op(W.i64_extend_i32_u);
    f.i32(access.bytes);
    f.call(runtime.storeSlow);
  }

  #probeSlow(i: number, bytes: number): void {
    const block = this.#block;
    const { frame, runtime } = block;
    const f = frame.f;
    this.#pushHit(i, bytes, TLB_WRITE);
    f.op(W.i32_eqz);
    f.if_(VOID, UNLIKELY);
    f.get(frame.va);
    f.i32(bytes);
    f.call(runtime.probeSlow);
    f.tee(frame.status);
    f.if_(VOID, UNLIKELY);
    block.exitAtInstruction();
    f.end();
    f.end();
  }
}

/** Whether one check is to serve more than one access. */
function isShared(group: Group): boolean {
  return group.members > 1 || isStack(group) || group.known !== "no" || group.isPublished;
}

function tlbOf(group: Group): number {
  return group.isWrite ? TLB_WRITE : TLB_READ;
}

function useSlot(group: Group): void {
  group.host = group.slot!.local;
  group.hostMin = group.slot!.min;
}
