// SPDX-License-Identifier: Apache-2.0
// Emits a region's control flow as structured WebAssembly.
//
// Frame of the function:  block $exit { block $side { loop $dispatch { br_table … } } site → pc } registers → memory
// A node's merge children in the dominator tree follow it, each behind a block that jumps to it leave; a loop
// header's code is inside a loop; everything else is emitted where its one predecessor branches to it
// (N. Ramsey, "Beyond Relooper"). Edges backwards look at the budget.

import { TRAP_PREEMPTED, TRAP_SYSCALL } from "../../include/linux/cpu.ts";
import { TERM_BRANCH, TERM_INDIRECT, TERM_JUMP, TERM_SYSCALL, TERM_TRAP } from "../ir/ops.ts";
import type { RuntimeFunctions } from "../runtime/module.ts";
import { LAST_ANCHOR, stateAddress, STATUS_CONTINUE, STATUS_SLOW } from "../runtime/status.ts";
import type { Assembler, Label } from "../wasm/assembler.ts";
import { I32, W } from "../wasm/opcodes.ts";
import { BlockEmitter } from "./block.ts";
import { RegionFrame } from "./frame.ts";
import { DISPATCHER, dominates, type Graph, isBackEdge } from "./graph.ts";
import { addRegisterUse, type IrBlock, type RegisterUse } from "./ir-block.ts";

/** Node n >= 1 of the graph is blocks[n - 1]. */
export interface RegionShape {
  readonly graph: Graph;
  readonly blocks: readonly IrBlock[];
  /** Guest address of the anchor; addresses are used only as offsets from it. */
  readonly anchorPc: number;
  /** Node by guest address. */
  readonly nodeByPc: ReadonlyMap<number, number>;
  readonly tableIndex: number;
  readonly map: EntryMap;
  /** Whether accesses share checks (memory.ts). */
  readonly hasGroups: boolean;
  /** Addresses of the blocks' entry counters while the region is still to be improved. */
  readonly counters: readonly number[] | undefined;
}

/** Table in RAM of {i32 offset from the anchor, i32 index of the entry} at (offset ^ offset >>> shift) & mask. */
export interface EntryMap {
  readonly address: number;
  readonly shift: number;
  readonly mask: number;
}

export function emitRegion(shape: RegionShape, runtime: RuntimeFunctions): Assembler {
  return new ShapeEmitter(shape, runtime).run();
}

/** The word that enters the region at the n-th of graph.entries, whose block lies `offset` bytes from the anchor. */
export function entryWord(index: number, offset: number): number {
  return index | (offset << 8);
}

class ShapeEmitter {
  readonly #shape: RegionShape;
  readonly #frame: RegionFrame;
  readonly #f: Assembler;
  readonly #block: BlockEmitter;
  readonly #loopLabels = new Map<number, Label>();
  readonly #blockLabels = new Map<number, Label>();
  readonly #entryIndex: number; // local: which entry the dispatcher goes to
  #dispatch: Label = 0;
  #exit: Label = 0;
  #indirect: Label = 0;

  constructor(shape: RegionShape, runtime: RuntimeFunctions) {
    this.#shape = shape;
    const use: RegisterUse = { used: 0, set: 0, setsCc: false, usesCc: false, hasExt: false };
    for (const block of shape.blocks) addRegisterUse(block, use);
    this.#frame = new RegionFrame(use);
    this.#f = this.#frame.f;
    this.#entryIndex = this.#f.local(I32);
    this.#block = new BlockEmitter(this.#frame, runtime, shape.hasGroups);
  }

  run(): Assembler {
    const f = this.#f;
    this.#emitPrologue();
    this.#exit = f.block();
    const side = f.block();
    this.#block.labels = { side, exit: this.#exit };
    this.#dispatch = f.loop();
    this.#indirect = f.block();
    this.#emitTree(DISPATCHER);
    f.end();
    this.#emitIndirect();
    f.end();
    f.op(W.unreachable);
    f.end();
    this.#emitSide();
    f.end();
    this.#frame.storeState();
    this.#frame.storePcAndBudget();
    f.i32(LAST_ANCHOR);
    f.get(this.#frame.anchor);
    f.memory(W.i64_store, 0);
    f.get(this.#frame.status);
    return f;
  }

  #emitPrologue(): void {
    const f = this.#f;
    this.#frame.loadState();
    f.i32(stateAddress("pc"));
    f.memory(W.i64_load, 0);
    f.set(this.#frame.pc);
    this.#enterWord(() => f.get(0));
  }

  /** From an entry word and pc: the anchor and the dispatcher's index. */
  #enterWord(pushWord: () => void): void {
    const f = this.#f;
    f.get(this.#frame.pc);
    pushWord();
    f.i32(8);
    f.op(W.i32_shr_s);
    f.op(W.i64_extend_i32_s);
    f.op(W.i64_sub);
    f.set(this.#frame.anchor);
    pushWord();
    f.i32(0xff);
    f.op(W.i32_and);
    f.set(this.#entryIndex);
  }

  /** Of what follows `site` in its block nothing has been done: the interpreter takes over there. */
  #emitSide(): void {
    const f = this.#f;
    const { frame } = this.#block;
    f.get(frame.anchor);
    f.get(frame.site);
    f.i32(8);
    f.op(W.i32_shr_s);
    f.op(W.i64_extend_i32_s);
    f.op(W.i64_add);
    f.set(frame.pc);
    f.get(frame.budget);
    f.get(frame.site);
    f.i32(0xff);
    f.op(W.i32_and);
    f.op(W.i32_sub);
    f.set(frame.budget);
    f.i32(STATUS_SLOW);
    f.set(frame.status);
  }

  #offsetOf(block: IrBlock): number {
    return block.basePc - this.#shape.anchorPc;
  }

  #emitTree(node: number): void {
    const f = this.#f;
    const { graph } = this.#shape;
    const isHeader = node !== DISPATCHER && graph.isLoopHeader[node] === 1;
    if (isHeader) this.#loopLabels.set(node, f.loop());
    const merges = graph.children[node]!.filter((child) => this.#isMerge(node, child));
    merges.sort((a, b) => graph.order[b]! - graph.order[a]!);
    for (const child of merges) this.#blockLabels.set(child, f.block());
    if (node === DISPATCHER) {
      f.get(this.#entryIndex);
      const labels = graph.entries.map((entry) => this.#blockLabels.get(entry)!);
      f.brTable(labels, labels[0]!);
    } else {
      this.#emitNode(node);
    }
    for (const child of merges.reverse()) {
      f.end();
      this.#emitTree(child);
    }
    if (isHeader) f.end();
  }

  #isMerge(parent: number, child: number): boolean {
    const { graph } = this.#shape;
    return graph.forwardPredecessors[child]! >= 2 || parent === DISPATCHER;
  }

  #emitNode(node: number): void {
    const f = this.#f;
    const frame = this.#frame;
    const block = this.#shape.blocks[node - 1]!;
    const offset = this.#offsetOf(block);
    const counter = this.#shape.counters?.[node - 1];
    if (counter !== undefined) {
      f.i32(counter);
      f.i32(counter);
      f.memory(W.i32_load, 0);
      f.i32(1);
      f.op(W.i32_sub);
      f.memory(W.i32_store, 0);
    }
    this.#block.emit(block, offset);
    const count = block.terminator === TERM_TRAP ? block.instructions - 1 : block.instructions;
    if (count !== 0) {
      f.get(frame.budget);
      f.i32(count);
      f.op(W.i32_sub);
      f.set(frame.budget);
    }
    const mustLook = this.#block.hasExt;
    switch (block.terminator) {
      case TERM_JUMP:
        this.#block.release();
        this.#emitEdge(node, block.basePc + block.target, mustLook);
        return;
      case TERM_BRANCH:
        this.#emitBranch(node, block, mustLook);
        return;
      case TERM_INDIRECT:
        this.#block.push(block.termTemp);
        f.set(frame.pc);
        this.#block.release();
        f.br(this.#indirect);
        return;
      case TERM_SYSCALL:
      case TERM_TRAP:
        this.#block.release();
        frame.setPc(offset + block.target);
        this.#leave(block.terminator === TERM_SYSCALL ? TRAP_SYSCALL : block.termKind);
        return;
      default:
        throw new Error("block without terminator");
    }
  }

  #emitBranch(node: number, block: IrBlock, mustLook: boolean): void {
    const f = this.#f;
    this.#block.push(block.termTemp);
    this.#block.release();
    const taken = block.basePc + block.target;
    const fall = block.basePc + block.fallTarget;
    const direct = mustLook ? undefined : this.#forwardLabel(node, taken);
    if (direct !== undefined) {
      f.brIf(direct);
      this.#emitEdge(node, fall, mustLook);
      return;
    }
    f.if_();
    this.#emitEdge(node, taken, mustLook);
    f.else_();
    this.#emitEdge(node, fall, mustLook);
    f.end();
  }

  /** The label of a target that is reached by a plain branch forwards. */
  #forwardLabel(from: number, pc: number): Label | undefined {
    const to = this.#shape.nodeByPc.get(pc);
    if (to === undefined || isBackEdge(this.#shape.graph, from, to)) return undefined;
    return this.#blockLabels.get(to);
  }

  #emitEdge(from: number, pc: number, mustLook: boolean): void {
    const f = this.#f;
    const frame = this.#frame;
    const { graph, nodeByPc, anchorPc } = this.#shape;
    const to = nodeByPc.get(pc);
    if (to === undefined) {
      // What follows may be anything: the budget is looked at there as well as here.
      frame.setPc(pc - anchorPc);
      this.#leaveChecked();
      return;
    }
    const backwards = isBackEdge(graph, from, to);
    if (backwards || mustLook) this.#emitBudgetCheck(pc - anchorPc);
    if (!backwards) {
      const label = this.#blockLabels.get(to);
      if (label === undefined) this.#emitTree(to);
      else f.br(label);
      return;
    }
    const loop = dominates(graph, to, from) ? this.#loopLabels.get(to) : undefined;
    if (loop !== undefined) {
      f.br(loop);
      return;
    }
    f.i32(graph.entries.indexOf(to));
    f.set(this.#entryIndex);
    f.br(this.#dispatch);
  }

  #emitBudgetCheck(offset: number): void {
    const f = this.#f;
    f.get(this.#frame.budget);
    f.i32(0);
    f.op(W.i32_le_s);
    f.if_();
    this.#frame.setPc(offset);
    this.#leave(TRAP_PREEMPTED);
    f.end();
  }

  #leave(status: number): void {
    this.#f.i32(status);
    this.#f.set(this.#frame.status);
    this.#f.br(this.#exit);
  }

  /** pc is set: out to the dispatcher, or to TypeScript when the budget is used up. */
  #leaveChecked(): void {
    const f = this.#f;
    f.i32(STATUS_CONTINUE);
    f.i32(TRAP_PREEMPTED);
    f.get(this.#frame.budget);
    f.i32(0);
    f.op(W.i32_gt_s);
    f.op(W.select);
    f.set(this.#frame.status);
    f.br(this.#exit);
  }

  /** pc holds the target: back to the dispatcher when it is an entry of this region. */
  #emitIndirect(): void {
    const f = this.#f;
    const frame = this.#frame;
    const { map } = this.#shape;
    const out = f.block();
    f.get(frame.budget);
    f.i32(0);
    f.op(W.i32_le_s);
    f.brIf(out);
    // The offset names the entry: the mapping of the region's pages was checked on the way in.
    f.get(frame.pc);
    f.get(frame.anchor);
    f.op(W.i64_sub);
    f.tee(frame.va);
    f.op(W.i32_wrap_i64);
    f.tee(frame.tlbEntry);
    f.get(frame.tlbEntry);
    f.i32(map.shift);
    f.op(W.i32_shr_u);
    f.op(W.i32_xor);
    f.i32(map.mask);
    f.op(W.i32_and);
    f.i32(3);
    f.op(W.i32_shl);
    f.tee(frame.tlbEntry);
    f.memory(W.i64_load32_s, map.address);
    f.get(frame.va);
    f.op(W.i64_ne);
    f.brIf(out);
    f.get(frame.tlbEntry);
    f.memory(W.i32_load, map.address + 4);
    f.set(this.#entryIndex);
    f.br(this.#dispatch);
    f.end();
    this.#leaveChecked();
  }
}
