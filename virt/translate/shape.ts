// SPDX-License-Identifier: Apache-2.0
// Emits a region's control flow as structured WebAssembly.
//
// Frame of the function:  block $exit { block $side { block $cold { loop $dispatch { br_table … } } … } … } → memory
// A node's merge children in the dominator tree follow it, each behind a block that jumps to it leave; a loop
// header's code is inside a loop; everything else is emitted where its one predecessor branches to it
// (N. Ramsey, "Beyond Relooper"). Edges backwards look at the budget. transfer.ts leaves for other code.

import { TRAP_SYSCALL } from "../../include/linux/cpu.ts";
import {
  JUMP_CALL,
  JUMP_RETURN,
  TERM_BRANCH,
  TERM_INDIRECT,
  TERM_JUMP,
  TERM_SYSCALL,
  TERM_TRAP,
} from "../ir/terminators.ts";
import type { RuntimeFunctions } from "../runtime/module.ts";
import { type Assembler, type Label, LIKELY, UNLIKELY } from "../wasm/assembler.ts";
import { I32, VOID, W } from "../wasm/opcodes.ts";
import { BlockEmitter, UNPAID_MAX } from "./block.ts";
import { analyseFlow, type Flow } from "./dataflow.ts";
import { type BlockMemory, planMemory } from "./facts.ts";
import { RegionFrame } from "./frame.ts";
import { isCallAlone, OTHERWISE } from "./inline.ts";
import { DISPATCHER, dominates, isBackEdge } from "./graph.ts";
import { addRegisterUse, type IrBlock, type RegisterUse } from "./ir-block.ts";
import { transit } from "./locals.ts";
import { joinFlagsAside } from "./partial-flags.ts";
import type { RegionShape } from "./region-shape.ts";
import { emitExit, emitSide, LeaveEmitter } from "./leave.ts";
import { StateEmitter } from "./state.ts";
import {
  emitBuckets,
  emitDistance,
  emitSwitchHash,
  hashTargets,
  pushIsAt,
  type SwitchHash,
} from "./switch.ts";
import { isCall, isSwitch, JUMP_CASES, JUMP_GUARD, steadyPlace } from "./terminators.ts";
import { type Store, TransferEmitter, type TransferTarget } from "./transfer.ts";

export function emitRegion(shape: RegionShape, runtime: RuntimeFunctions): Assembler {
  return new ShapeEmitter(shape, runtime).run();
}

const NOTHING: Store = { registers: 0, cc: "no" };

class ShapeEmitter {
  readonly #shape: RegionShape;
  readonly #frame: RegionFrame;
  readonly #runtime: RuntimeFunctions;
  readonly #f: Assembler;
  readonly #block: BlockEmitter;
  readonly #transfer: TransferEmitter;
  readonly #leave: LeaveEmitter;
  readonly #state: StateEmitter;
  readonly #flow: Flow;
  readonly #hasSwitch: boolean;
  readonly #hash: SwitchHash;
  /** By block (node - 1). */
  readonly #memory: readonly BlockMemory[];
  readonly #isEntry: ReadonlySet<number>;
  readonly #loopLabels = new Map<number, Label>();
  readonly #blockLabels = new Map<number, Label>();
  #dispatch: Label = 0;
  #cold: Label = 0;
  /** Instructions on the way that is being emitted which the budget has not paid for. */
  #owed = 0;
  #switch: Label = 0;
  #switchMiss: Label = 0;

  constructor(shape: RegionShape, runtime: RuntimeFunctions) {
    this.#shape = shape;
    this.#runtime = runtime;
    this.#hasSwitch = shape.switchTargets.length > 0;
    const use: RegisterUse = { used: 0, set: 0, setsCc: false, usesCc: false };
    for (const block of shape.blocks) addRegisterUse(block, use);
    this.#frame = new RegionFrame(use);
    this.#f = this.#frame.f;
    this.#block = new BlockEmitter(this.#frame, runtime);
    const { blocks, slots } = planMemory(shape.graph, shape.blocks, {
      hasSwitch: this.#hasSwitch,
      sharesChecks: shape.hasGroups,
      apart: shape.apart,
      anchorPc: shape.anchorPc,
    });
    this.#memory = blocks;
    for (const slot of slots) slot.local = this.#f.local(I32);
    this.#transfer = new TransferEmitter(this.#frame, runtime, shape);
    this.#leave = new LeaveEmitter(this.#frame);
    this.#flow = analyseFlow(shape.graph, shape.blocks, {
      hasSwitch: this.#hasSwitch,
      touched: this.#frame.touched,
      memory: blocks,
    });
    this.#state = new StateEmitter(this.#frame, this.#flow, shape.graph);
    this.#isEntry = new Set(shape.graph.entries);
    const offsetOf = (node: number): number => shape.blocks[node - 1]!.basePc - shape.anchorPc;
    this.#hash = hashTargets(shape.layout.offsets, shape.switchTargets.map(offsetOf));
  }

  run(): Assembler {
    const f = this.#f;
    const { isFirstOnly, names } = this.#shape;
    this.#frame.enter(isFirstOnly ? "first entry" : "any entry", names.first !== names.others);
    const dispatches = this.#hasSwitch || this.#shape.graph.hasDispatchEdges;
    if (isFirstOnly) {
      this.#state.enterFirst();
    } else if (dispatches) {
      // Code comes back to the routes below, so everything is loaded before.
      f.get(this.#frame.entry);
      f.if_();
      this.#state.enterAnywhere();
      f.else_();
      this.#state.enterFirst();
      f.end();
    }
    const exit = f.block();
    this.#leave.exit = exit;
    const side = f.block();
    this.#block.labels = { side, exit };
    this.#cold = f.block();
    if (dispatches) this.#dispatch = f.loop();
    if (this.#hasSwitch) {
      this.#switchMiss = f.block();
      this.#switch = f.block();
    }
    this.#emitTree(DISPATCHER);
    if (this.#hasSwitch) this.#emitSwitch();
    if (dispatches) f.end();
    f.op(W.unreachable);
    f.end();
    this.#emitCold();
    f.end();
    emitSide(this.#frame);
    f.end();
    emitExit(this.#frame);
    return f;
  }

  /** pc is set to code that did not run often when this was made: one way out for all of it, by the jump cache. */
  #emitCold(): void {
    this.#leave.atBudget("by mask");
    this.#transfer.tail({ offset: undefined, ownEntry: undefined }, "by mask");
  }

  #emitTree(node: number): void {
    const f = this.#f;
    const { graph } = this.#shape;
    const isHeader = node !== DISPATCHER && graph.isLoopHeader[node] === 1;
    if (isHeader) this.#loopLabels.set(node, f.loop());
    const merges = graph.children[node]!.filter((child) => this.#isMerge(node, child));
    merges.sort((a, b) => graph.order[b]! - graph.order[a]!);
    for (const child of merges) this.#blockLabels.set(child, f.block());
    const header = graph.headerOf.get(node);
    if (node === DISPATCHER) this.#emitRoutes(node, graph.entries[0]!);
    else if (header !== undefined) this.#emitSelector(node, header);
    else this.#emitNode(node);
    for (const child of merges.reverse()) {
      f.end();
      this.#owed = 0;
      this.#emitTree(child);
    }
    if (isHeader) f.end();
  }

  #isMerge(parent: number, child: number): boolean {
    const { graph } = this.#shape;
    return graph.forwardPredecessors[child]! >= 2 || parent === DISPATCHER || graph.headerOf.has(parent);
  }

  /** What the entry's number says; the rest goes where the first entry goes. */
  #emitRoutes(node: number, fallback: number): void {
    const f = this.#f;
    const routes = this.#shape.graph.routes.get(node)!;
    const label = (to: number): Label => this.#blockLabels.get(to)!;
    const others = label(node === DISPATCHER ? routes[0]! : fallback);
    if (node === DISPATCHER && this.#dispatch === 0 && !this.#shape.isFirstOnly) this.#emitEntry(others);
    if (new Set(routes).size === 1 && node === DISPATCHER && !this.#hasSwitch) {
      f.br(others);
      return;
    }
    const labelOf = (entry: number): Label => (routes[entry]! < 0 ? others : label(routes[entry]!));
    const ways = [...routes.keys()].map(labelOf);
    if (node === DISPATCHER && this.#hasSwitch) {
      emitBuckets(this.#frame, this.#hash, { ways, others, miss: this.#switchMiss });
      return;
    }
    f.get(this.#frame.entry);
    f.brTable(ways, others);
  }

  /** The first entry, which it mostly is, goes straight to its block. */
  #emitEntry(first: Label): void {
    const f = this.#f;
    const another = f.block();
    f.get(this.#frame.entry);
    f.brIf(another, UNLIKELY);
    this.#state.enterFirst();
    f.br(first);
    f.end();
    this.#state.enterAnywhere();
  }

  /** Code that comes round the loop goes to the header; the number of an entry inside leads further in. */
  #emitSelector(node: number, header: number): void {
    const f = this.#f;
    const label = this.#blockLabels.get(header)!;
    f.get(this.#frame.entry);
    f.op(W.i32_eqz);
    f.brIf(label);
    this.#emitRoutes(node, header);
  }

  #emitNode(node: number): void {
    const f = this.#f;
    const frame = this.#frame;
    const { graph, blocks, anchorPc } = this.#shape;
    const block = blocks[node - 1]!;
    const offset = block.basePc - anchorPc;
    if (this.#isEntry.has(node) && graph.selectorOf.size > 0) {
      f.i32(0);
      f.set(frame.entry);
    }
    this.#emitStraight(node, block, offset);
    this.#owed += block.terminator === TERM_TRAP ? block.instructions - 1 : block.instructions;
    const mustLook = this.#block.hasExt;
    switch (block.terminator) {
      case TERM_JUMP:
        this.#block.release();
        if (block.termKind === JUMP_CALL) {
          this.#pay();
          this.#emitCall(node, block, this.#targetAt(block.basePc + block.target), mustLook);
        } else {
          this.#emitEdge(node, block.basePc + block.target, mustLook);
        }
        return;
      case TERM_BRANCH:
        this.#emitBranch(node, block, mustLook);
        return;
      case TERM_INDIRECT:
        this.#emitIndirect(node, block, mustLook);
        return;
      case TERM_SYSCALL:
      case TERM_TRAP:
        this.#block.release();
        this.#pay();
        frame.setPc(offset + block.target);
        this.#leave.withStatus(
          block.terminator === TERM_SYSCALL ? TRAP_SYSCALL : block.termKind,
          this.#state.at(node),
        );
        return;
      default:
        throw new Error("block without terminator");
    }
  }

  /** Takes from the budget what was not taken so far. */
  #pay(): void {
    if (this.#owed === 0) return;
    const f = this.#f;
    const { budget } = this.#frame;
    f.get(budget);
    f.i32(this.#owed);
    f.op(W.i32_sub);
    f.set(budget);
    this.#owed = 0;
  }

  /** The block up to its terminator. Who leaves in between need not carry what is in memory as well. */
  #emitStraight(node: number, block: IrBlock, offset: number): void {
    const f = this.#f;
    const { side, exit } = this.#block.labels;
    const on = f.block();
    this.#block.labels = { exit, side: f.block() };
    this.#state.load(node);
    if (this.#owed + block.instructions > UNPAID_MAX) this.#pay();
    this.#block.emit(block, offset, this.#flow.locals.in[node]!.dirty, this.#memory[node - 1]!, this.#owed);
    f.br(on);
    f.end();
    if (this.#block.hasFlagsAside) joinFlagsAside(this.#frame, this.#runtime.flagsOf);
    const { effects, locals } = this.#flow;
    this.#leave.dropClean({
      ...this.#state.at(node),
      registers: locals.in[node]!.dirty | effects[node]!.set,
    });
    f.br(side);
    f.end();
    this.#block.labels = { exit, side };
  }

  #emitIndirect(node: number, block: IrBlock, mustLook: boolean): void {
    const f = this.#f;
    const frame = this.#frame;
    if (block.termTemp >= 0) {
      this.#block.push(block.termTemp);
      f.set(frame.pc);
    }
    this.#block.release();
    const place = steadyPlace(block);
    const placeOffset = place === undefined ? undefined : place - this.#shape.anchorPc;
    const target = { offset: undefined, ownEntry: undefined, placeOffset };
    const staysUnpaid = this.#shape.expected.has(node) || block.termKind === JUMP_CASES;
    if (!staysUnpaid || mustLook) this.#pay();
    if (block.termKind === JUMP_CALL) {
      const expectedOffset = isCallAlone(block) ? undefined : this.#shape.expectedCall(block.basePc);
      const siteOffset = block.basePc - this.#shape.anchorPc;
      this.#emitCall(node, block, { ...target, siteOffset, expectedOffset }, mustLook);
    } else if (block.termKind === JUMP_GUARD) {
      this.#emitCases(node, [this.#shape.expected.get(node)!], false);
      this.#emitEdge(node, OTHERWISE, false);
    } else if (block.termKind === JUMP_RETURN) {
      if (mustLook) this.#leave.atBudget(this.#state.at(node));
      this.#emitReturn(node);
    } else if (block.termKind === JUMP_CASES) {
      this.#emitCases(node, block.cases!, mustLook);
      this.#leave.atBudget(this.#state.at(node));
      this.#transfer.tail(target, this.#state.at(node));
    } else if (this.#hasSwitch && isSwitch(block)) {
      this.#state.pass(node, DISPATCHER);
      f.br(this.#switch);
    } else {
      this.#leave.atBudget(this.#state.at(node));
      this.#transfer.tail(target, this.#state.at(node));
    }
  }

  /** On to that of some guest addresses in the region which frame.pc is. Falls through when it is none of them, with nothing owed. */
  #emitCases(node: number, cases: readonly number[], mustLook: boolean): void {
    const f = this.#f;
    const owed = this.#owed;
    emitDistance(this.#frame);
    for (const to of cases) {
      pushIsAt(this.#frame, to - this.#shape.anchorPc);
      f.if_(VOID, cases.length === 1 ? LIKELY : undefined);
      this.#owed = owed;
      this.#emitEdge(node, to, mustLook);
      f.end();
    }
    this.#owed = owed;
    this.#pay();
  }

  /** Out of the function; the return of a copy goes on in the region when it leads where it was called from. */
  #emitReturn(node: number): void {
    const expected = this.#shape.expected.get(node);
    if (expected !== undefined) this.#emitCases(node, [expected], false);
    this.#transfer.return_(this.#state.at(node));
  }

  #targetAt(pc: number): TransferTarget {
    const offset = pc - this.#shape.anchorPc;
    const entry = this.#shape.layout.offsets.indexOf(offset);
    return { offset, ownEntry: entry < 0 ? undefined : entry };
  }

  /** A call comes back to where it returns to, or to a jump there. */
  #emitCall(node: number, block: IrBlock, target: TransferTarget, mustLook: boolean): void {
    const frame = this.#frame;
    const returnPc = block.basePc + block.fallTarget;
    const store = this.#state.at(node);
    if (mustLook) {
      if (target.offset !== undefined) frame.setPc(target.offset);
      this.#leave.atBudget(store);
    }
    if (!isCall(block)) throw new Error("a call without a place to return to");
    const returnOffset = returnPc - this.#shape.anchorPc;
    const to = this.#nodeAt(node, returnPc);
    if (to !== undefined) {
      this.#transfer.call(target, returnOffset, store);
      frame.setCc(this.#flow.needIn[to]!.cc);
      this.#emitEdge(node, returnPc, true);
      return;
    }
    // Other code goes on there: nothing of it is needed here.
    this.#transfer.call(target, returnOffset, store);
    frame.setPc(returnOffset);
    if (frame.hasCc) frame.forgetCc();
    this.#leave.atBudget(NOTHING);
    this.#transfer.tail({ offset: returnOffset, ownEntry: undefined }, NOTHING);
  }

  #emitBranch(node: number, block: IrBlock, mustLook: boolean): void {
    const f = this.#f;
    const taken = block.basePc + block.target;
    const fall = block.basePc + block.fallTarget;
    const direct = mustLook ? undefined : this.#plainLabel(node, taken);
    if (direct !== undefined) this.#pay();
    this.#block.push(block.termTemp);
    this.#block.release();
    const hint = this.#isColdOut(node, taken) ? UNLIKELY : this.#isColdOut(node, fall) ? LIKELY : undefined;
    if (direct !== undefined) {
      f.brIf(direct, hint);
      this.#emitEdge(node, fall, mustLook);
      return;
    }
    const owed = this.#owed;
    f.if_(VOID, hint);
    this.#emitEdge(node, taken, mustLook);
    f.else_();
    this.#owed = owed;
    this.#emitEdge(node, fall, mustLook);
    f.end();
  }

  #isColdOut(from: number, pc: number): boolean {
    return this.#nodeAt(from, pc) === undefined && !this.#shape.isBusy(pc);
  }

  /** The node that an edge of another to a guest address leads to: the selector of a loop rather than its header. */
  #nodeAt(from: number, pc: number): number | undefined {
    const node = this.#shape.ways[from]!.get(pc);
    return node === undefined ? undefined : this.#shape.graph.selectorOf.get(node) ?? node;
  }

  /** The label of a target that is reached by a plain branch forwards, with nothing to be done on the way. */
  #plainLabel(from: number, pc: number): Label | undefined {
    const to = this.#nodeAt(from, pc);
    if (to === undefined || isBackEdge(this.#shape.graph, from, to)) return undefined;
    const { store, load } = transit(this.#flow.locals, from, to);
    return store === 0 && load === 0 ? this.#blockLabels.get(to) : undefined;
  }

  /** Whether code reaches a node in one way alone, and is emitted there. */
  #isInline(node: number): boolean {
    const { graph } = this.#shape;
    return !this.#blockLabels.has(node) && graph.isLoopHeader[node] === 0 && !graph.headerOf.has(node);
  }

  /** What has to be paid is paid before where ways meet. */
  #emitEdge(from: number, pc: number, mustLook: boolean): void {
    const f = this.#f;
    const frame = this.#frame;
    const { graph, anchorPc } = this.#shape;
    const to = this.#nodeAt(from, pc);
    if (to === undefined) {
      this.#pay();
      this.#emitOut(from, pc);
      return;
    }
    const backwards = isBackEdge(graph, from, to);
    if (backwards || mustLook || !this.#isInline(to)) this.#pay();
    if (backwards || mustLook) {
      frame.setPc(pc - anchorPc);
      this.#leave.atBudget(this.#state.after(from));
    }
    if (!backwards) {
      this.#state.pass(from, to);
      const label = this.#blockLabels.get(to);
      if (label === undefined) this.#emitTree(to);
      else f.br(label);
      return;
    }
    const loop = dominates(graph, to, from) ? this.#loopLabels.get(to) : undefined;
    this.#state.pass(from, loop !== undefined ? to : DISPATCHER);
    if (loop !== undefined) {
      f.br(loop);
      return;
    }
    f.i32(graph.entries.indexOf(graph.headerOf.get(to) ?? to));
    f.set(frame.entry);
    f.br(this.#dispatch);
  }

  /** To code outside: by a link when it runs often. */
  #emitOut(from: number, pc: number): void {
    const frame = this.#frame;
    frame.setPc(pc - this.#shape.anchorPc);
    if (!this.#shape.isBusy(pc)) {
      this.#leave.by(this.#cold, this.#state.at(from));
      return;
    }
    this.#leave.atBudget(this.#state.at(from));
    this.#transfer.tail(this.#targetAt(pc), this.#state.at(from));
  }

  /** pc holds the target: back to the dispatcher when it is an entry of this region, else a tail call. */
  #emitSwitch(): void {
    const f = this.#f;
    f.end();
    this.#leave.atBudget(NOTHING);
    emitSwitchHash(this.#frame, this.#hash, this.#shape.graph.entries.length);
    f.br(this.#dispatch);
    f.end();
    this.#transfer.tail({ offset: undefined, ownEntry: undefined }, NOTHING);
  }
}
