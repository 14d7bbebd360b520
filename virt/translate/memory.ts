// SPDX-License-Identifier: Apache-2.0
// Guest memory in a region: the TLB check in line, and its elision.
//
// Accesses of a block off the same base temp whose displacements lie close together form a group: one check of
// the whole range gives a host address for all of them. When that check fails (a miss, or the range crosses a
// page) the rest of the block is the interpreter's; a region where that happens too often is made again without
// groups. An instruction that has already acted cannot be left for the interpreter to do again: there a miss
// calls the runtime's slow half. A group that writes anywhere is checked in the write TLB.

import { TLB_READ, TLB_WRITE } from "../layout.ts";
import { Op } from "../ir/ops.ts";
import { type AccessInfo, LOADS, STORES } from "../runtime/access.ts";
import { pushTlbHit } from "../runtime/inline.ts";
import { STACK_ADDEND, STACK_PAGE, stateAddress } from "../runtime/status.ts";
import { F32, F64, I32, V128, W } from "../wasm/opcodes.ts";
import type { BlockEmitter } from "./block.ts";
import type { IrBlock } from "./ir-block.ts";

/** Frames of functions are worth more than other objects: they are used in every block. */
const FRAME_BYTES_MAX = 256;
const OBJECT_BYTES_MAX = 96;
const STACK_POINTER = 4;
const FRAME_POINTER = 5;

export interface Group {
  readonly base: number;
  min: number;
  end: number;
  isWrite: boolean;
  /** Off the stack pointer: its page is kept in locals. */
  readonly isStack: boolean;
  members: number;
  /** Local with the host address of base + min; -1 before the check. */
  host: number;
}

/** By record: its group, when that has more than one member or is on the stack. */
export function findGroups(ir: IrBlock): (Group | undefined)[] {
  const byRecord: (Group | undefined)[] = [];
  let open = new Map<number, Group[]>();
  for (let i = 0; i < ir.length; i++) {
    const op = ir.op[i]!;
    if (op === Op.ext) open = new Map();
    const bytes = widthOf(ir, i);
    if (bytes === 0) continue;
    const isWrite = !LOADS.has(op);
    const disp = ir.imm[i]!;
    const groups = open.get(ir.a[i]!) ?? [];
    const limit = isFrame(ir, ir.a[i]!) ? FRAME_BYTES_MAX : OBJECT_BYTES_MAX;
    let group = groups.find((g) => Math.max(g.end, disp + bytes) - Math.min(g.min, disp) <= limit);
    if (group === undefined) {
      group = {
        base: ir.a[i]!,
        min: disp,
        end: disp + bytes,
        isWrite,
        isStack: isStack(ir, ir.a[i]!),
        members: 0,
        host: -1,
      };
      groups.push(group);
      open.set(ir.a[i]!, groups);
    }
    group.min = Math.min(group.min, disp);
    group.end = Math.max(group.end, disp + bytes);
    group.isWrite ||= isWrite;
    group.members++;
    byRecord[i] = group;
  }
  return byRecord.map((
    group,
  ) => (group !== undefined && (group.members > 1 || group.isStack) ? group : undefined));
}

/** Where nothing is shared: an access off the stack pointer still goes by the page that is kept in locals. */
export function findStackAccesses(ir: IrBlock): (Group | undefined)[] {
  return Array.from(ir.op, (_, i) => {
    const bytes = widthOf(ir, i);
    if (bytes === 0 || !isStack(ir, ir.a[i]!)) return undefined;
    const min = ir.imm[i]!;
    const isWrite = !LOADS.has(ir.op[i]!);
    return { base: ir.a[i]!, min, end: min + bytes, isWrite, isStack: true, members: 1, host: -1 };
  });
}

function isFrame(ir: IrBlock, base: number): boolean {
  return ir.op[base] === Op.get_gpr && (ir.imm[base] === STACK_POINTER || ir.imm[base] === FRAME_POINTER);
}

function isStack(ir: IrBlock, base: number): boolean {
  return ir.op[base] === Op.get_gpr && ir.imm[base] === STACK_POINTER;
}

function widthOf(ir: IrBlock, i: number): number {
  const op = ir.op[i]!;
  if (op === Op.probe_write) return ir.imm2[i]!;
  return (LOADS.get(op) ?? STORES.get(op))?.bytes ?? 0;
}

export class MemoryEmitter {
  readonly #block: BlockEmitter;

  constructor(block: BlockEmitter) {
    this.#block = block;
  }

  load(i: number, group: Group | undefined): void {
    const block = this.#block;
    const { ir, frame } = block;
    const access = LOADS.get(ir.op[i]!)!;
    this.#prepare(i, group);
    if (group !== undefined && group.host >= 0) {
      frame.f.get(group.host);
      frame.f.memory(access.opcode, ir.imm[i]! - group.min);
    } else {
      this.#pushLoadAddress(i, access.bytes);
      frame.f.memory(access.opcode, 0);
    }
    block.keepResult(i);
  }

  store(i: number, group: Group | undefined): void {
    const block = this.#block;
    const { ir, frame } = block;
    const access = STORES.get(ir.op[i]!)!;
    if (block.isDirty) block.ensureLocal(ir.b[i]!);
    this.#prepare(i, group);
    if (group !== undefined && group.host >= 0) {
      frame.f.get(group.host);
      block.push(ir.b[i]!);
      frame.f.memory(access.opcode, ir.imm[i]! - group.min);
    } else {
      this.#storeChecked(i, access);
    }
  }

  probe(i: number, group: Group | undefined): void {
    const block = this.#block;
    this.#prepare(i, group);
    if (group !== undefined && group.host >= 0) return;
    if (block.isDirty) this.#probeSlow(i, block.ir.imm2[i]!);
    else this.#check(i, block.ir.imm2[i]!, TLB_WRITE);
  }

  release(groups: readonly (Group | undefined)[]): void {
    for (const group of groups) {
      if (group === undefined || group.host < 0) continue;
      this.#block.frame.give(I32, group.host);
      group.host = -1;
    }
  }

  /** The base is at hand, the site is set, and the group is checked where that can be. */
  #prepare(i: number, group: Group | undefined): void {
    const block = this.#block;
    const { frame } = block;
    block.ensureLocal(block.ir.a[i]!);
    block.setSite();
    if (group === undefined || group.host >= 0 || block.isDirty) return;
    this.#setAddress(group.base, group.min);
    group.host = frame.take(I32);
    if (group.isStack) {
      this.#checkStack(group);
      return;
    }
    this.#checkRange(group, group.isWrite ? TLB_WRITE : TLB_READ);
    frame.f.set(group.host);
  }

  /** Leaves the host address of frame.va, or the region. */
  #checkRange(group: Group, tlb: number): void {
    const { frame, labels } = this.#block;
    pushTlbHit(frame.f, tlb, group.end - group.min, frame.va, frame.tlbEntry);
    frame.f.op(W.i32_eqz);
    frame.f.brIf(labels.side);
    this.#pushHost(tlb);
  }

  /** The stack's page of the last write is in locals; a range in another page goes through the TLB. */
  #checkStack(group: Group): void {
    const { frame } = this.#block;
    const f = frame.f;
    const bytes = group.end - group.min;
    f.get(frame.va);
    f.get(frame.stackPage);
    f.op(W.i64_sub);
    f.i64(4096 - bytes);
    f.op(W.i64_le_u);
    f.if_(I32);
    f.get(frame.va);
    f.op(W.i32_wrap_i64);
    f.get(frame.stackAddend);
    f.op(W.i32_add);
    f.else_();
    if (!group.isWrite) {
      // A stack that is only read (after a fork, say) may have no write translation.
      pushTlbHit(f, TLB_WRITE, bytes, frame.va, frame.tlbEntry);
      f.if_();
      this.#noteStackPage();
      f.end();
      this.#checkRange(group, TLB_READ);
    } else {
      this.#checkRange(group, TLB_WRITE);
      this.#noteStackPage();
    }
    f.end();
    f.set(group.host);
  }

  /** frame.tlbEntry is the write entry of frame.va. */
  #noteStackPage(): void {
    const { frame } = this.#block;
    const f = frame.f;
    f.get(frame.va);
    f.i64(-4096);
    f.op(W.i64_and);
    f.set(frame.stackPage);
    f.get(frame.tlbEntry);
    f.memory(W.i32_load, TLB_WRITE + 8);
    f.set(frame.stackAddend);
    // For other regions: stacks are shared by callers and callees.
    f.i32(STACK_PAGE);
    f.get(frame.stackPage);
    f.memory(W.i64_store, 0);
    f.i32(STACK_ADDEND);
    f.get(frame.stackAddend);
    f.memory(W.i32_store, 0);
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
    const { frame, ir } = this.#block;
    this.#setAddress(ir.a[i]!, ir.imm[i]!);
    pushTlbHit(frame.f, tlb, bytes, frame.va, frame.tlbEntry);
  }

  /** Leaves the region when the access does not hit. */
  #check(i: number, bytes: number, tlb: number): void {
    const block = this.#block;
    this.#pushHit(i, bytes, tlb);
    block.frame.f.op(W.i32_eqz);
    block.frame.f.brIf(block.labels.side);
  }

  /** Leaves the host address to load from. */
  #pushLoadAddress(i: number, bytes: number): void {
    const block = this.#block;
    const { frame, runtime } = block;
    const f = frame.f;
    if (!block.isDirty) {
      this.#check(i, bytes, TLB_READ);
      this.#pushHost(TLB_READ);
      return;
    }
    this.#pushHit(i, bytes, TLB_READ);
    f.if_(I32);
    this.#pushHost(TLB_READ);
    f.else_();
    f.get(frame.va);
    f.i32(bytes);
    f.call(runtime.loadSlow);
    f.tee(frame.tlbEntry);
    f.op(W.i32_eqz);
    f.if_();
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
      this.#check(i, access.bytes, TLB_WRITE);
      this.#pushHost(TLB_WRITE);
      block.push(ir.b[i]!);
      f.memory(access.opcode, 0);
      return;
    }
    this.#pushHit(i, access.bytes, TLB_WRITE);
    f.if_();
    this.#pushHost(TLB_WRITE);
    block.push(ir.b[i]!);
    f.memory(access.opcode, 0);
    f.else_();
    f.get(frame.va);
    block.push(ir.b[i]!);
    this.#callStoreSlow(access);
    f.tee(frame.status);
    f.if_();
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
    f.if_();
    f.get(frame.va);
    f.i32(bytes);
    f.call(runtime.probeSlow);
    f.tee(frame.status);
    f.if_();
    block.exitAtInstruction();
    f.end();
    f.end();
  }
}
