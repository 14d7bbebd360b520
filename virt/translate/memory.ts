// SPDX-License-Identifier: Apache-2.0
// Guest memory in a region: the TLB check in line, and its elision.
//
// Accesses of a block off the same base temp whose displacements lie close together form a group: one check of
// the whole range gives a host address for all of them. When that check fails (a miss, or the range crosses a
// page) each access checks for itself, and leaves through the side exit when it misses too. An instruction that
// has already acted cannot be left for the interpreter to do again: there a miss calls the runtime's slow half.
// A group that writes anywhere is checked in the write TLB.

import { TLB_READ, TLB_WRITE } from "../layout.ts";
import { Op } from "../ir/ops.ts";
import { type AccessInfo, LOADS, STORES } from "../runtime/access.ts";
import { pushTlbHit } from "../runtime/inline.ts";
import { stateAddress } from "../runtime/status.ts";
import { F32, F64, I32, V128, VOID, W } from "../wasm/opcodes.ts";
import type { BlockEmitter } from "./block.ts";
import type { IrBlock } from "./ir-block.ts";

const GROUP_BYTES_MAX = 256;

export interface Group {
  readonly base: number;
  min: number;
  end: number;
  isWrite: boolean;
  members: number;
  /** Local with the host address of base + min, or 0 there; -1 before the first access. */
  host: number;
}

/** By record: its group, when that has more than one member. */
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
    let group = groups.find((g) => Math.max(g.end, disp + bytes) - Math.min(g.min, disp) <= GROUP_BYTES_MAX);
    if (group === undefined) {
      group = { base: ir.a[i]!, min: disp, end: disp + bytes, isWrite, members: 0, host: -1 };
      groups.push(group);
      open.set(ir.a[i]!, groups);
    }
    group.min = Math.min(group.min, disp);
    group.end = Math.max(group.end, disp + bytes);
    group.isWrite ||= isWrite;
    group.members++;
    byRecord[i] = group;
  }
  return byRecord.map((group) => (group !== undefined && group.members > 1 ? group : undefined));
}

function widthOf(ir: IrBlock, i: number): number {
  const op = ir.op[i]!;
  if (op === Op.probe_write) return ir.imm2[i]!;
  return (LOADS.get(op) ?? STORES.get(op))?.bytes ?? 0;
}

export class MemoryEmitter {
  readonly #block: BlockEmitter;
  #isFirst = false;

  constructor(block: BlockEmitter) {
    this.#block = block;
  }

  load(i: number, group: Group | undefined): void {
    const block = this.#block;
    const { ir, frame } = block;
    const f = frame.f;
    const access = LOADS.get(ir.op[i]!)!;
    this.#prepare(i);
    if (group === undefined) {
      this.#pushLoadAddress(i, access.bytes);
      f.memory(access.opcode, 0);
    } else {
      this.#openGroup(group, access.type);
      f.get(group.host);
      f.memory(access.opcode, ir.imm[i]! - group.min);
      this.#elseGroup(group);
      this.#pushLoadAddress(i, access.bytes);
      f.memory(access.opcode, 0);
      f.end();
    }
    block.keepResult(i);
  }

  store(i: number, group: Group | undefined): void {
    const block = this.#block;
    const { ir, frame } = block;
    const f = frame.f;
    const access = STORES.get(ir.op[i]!)!;
    const value = ir.b[i]!;
    if (group === undefined) {
      if (block.isDirty) block.ensureLocal(value);
      this.#prepare(i);
      this.#storeChecked(i, access);
      return;
    }
    block.ensureLocal(value);
    this.#prepare(i);
    this.#openGroup(group, VOID);
    f.get(group.host);
    block.push(value); // pinned: pushing twice is harmless
    f.memory(access.opcode, ir.imm[i]! - group.min);
    this.#elseGroup(group);
    this.#storeChecked(i, access);
    f.end();
  }

  probe(i: number, group: Group | undefined): void {
    const { frame, ir } = this.#block;
    const f = frame.f;
    this.#prepare(i);
    if (group !== undefined) {
      this.#openGroup(group, VOID);
      this.#elseGroup(group);
    }
    if (this.#block.isDirty) this.#probeSlow(i, ir.imm2[i]!);
    else this.#check(i, ir.imm2[i]!, TLB_WRITE);
    if (group !== undefined) f.end();
  }

  release(groups: readonly (Group | undefined)[]): void {
    for (const group of groups) {
      if (group === undefined || group.host < 0) continue;
      this.#block.frame.give(I32, group.host);
      group.host = -1;
    }
  }

  /** The base is at hand and the site is set. */
  #prepare(i: number): void {
    const block = this.#block;
    block.ensureLocal(block.ir.a[i]!);
    block.setSite();
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

  /** Opens the arms of a group's access: the first one makes the check, later ones look at its result. */
  #openGroup(group: Group, type: number): void {
    const { frame } = this.#block;
    const f = frame.f;
    this.#isFirst = group.host < 0;
    if (!this.#isFirst) {
      f.get(group.host);
      f.if_(type);
      return;
    }
    const tlb = group.isWrite ? TLB_WRITE : TLB_READ;
    group.host = frame.take(I32);
    this.#setAddress(group.base, group.min);
    pushTlbHit(f, tlb, group.end - group.min, frame.va, frame.tlbEntry);
    f.if_(type);
    this.#pushHost(tlb);
    f.set(group.host);
  }

  /** Between the arms. */
  #elseGroup(group: Group): void {
    const f = this.#block.frame.f;
    f.else_();
    if (!this.#isFirst) return;
    f.i32(0);
    f.set(group.host);
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
