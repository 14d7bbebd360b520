// SPDX-License-Identifier: Apache-2.0
// Generates the interpreter: one WebAssembly function with a br_table over the handlers of bytecode.ts.
//
// Locals: ip (record), pc (guest address of the block's start), budget. pc and budget are in memory only
// while the function is not running. A fault adds the record's pcOffset and takes its instruction index off
// the budget, so state and counters are those of before the instruction.

import { TRAP_SYSCALL } from "../../include/linux/cpu.ts";
import { CPU_BASE, CPU_STATE } from "../layout.ts";
import { type JumpContext, JumpHandlers } from "./jumps.ts";
import { MemoryHandlers } from "./memory.ts";
import type { RuntimeFunctions } from "../runtime/module.ts";
import { stateAddress, STATUS_CONTINUE } from "../runtime/status.ts";
import { type OpInfo, OPS } from "../ir/ops.ts";
import { Assembler, type Label } from "../wasm/assembler.ts";
import { I32, I64, W } from "../wasm/opcodes.ts";
import { RECORD_BYTES } from "./bytecode.ts";
import { type HandlerRow, type Handlers, type Special, SPECIALS } from "./handlers.ts";
import {
  emitComputation,
  pushImmediate64,
  pushSlot,
  type SlotContext,
  storeResult,
  storeState,
} from "./slots.ts";
import { StepHandlers } from "./step-handlers.ts";

/** (first record) -> status. */
export function emitInterpreter(handlers: Handlers, runtime: RuntimeFunctions, rare: number): Assembler {
  return new Generator(handlers, runtime, rare).run();
}

const RSP: number = CPU_STATE.gpr + 4 * 8;

class Generator implements SlotContext, JumpContext {
  readonly f: Assembler = new Assembler([I32], [I32]);
  readonly ip = 0;
  readonly runtime: RuntimeFunctions;
  readonly #handlers: Handlers;
  readonly #rare: number;
  readonly pc = this.f.local(I64);
  readonly budget = this.f.local(I32);
  readonly #status = this.f.local(I32);
  readonly #entry = this.f.local(I32);
  readonly #memory: MemoryHandlers;
  readonly #jumps: JumpHandlers;
  readonly #steps: StepHandlers;
  /** By number of the handler. */
  readonly #labels: Label[] = [];
  top: Label = 0;
  #fault: Label = 0;
  #next: Label = 0;

  constructor(handlers: Handlers, runtime: RuntimeFunctions, rare: number) {
    this.#handlers = handlers;
    this.runtime = runtime;
    this.#rare = rare;
    this.#memory = new MemoryHandlers(this, this.#status);
    this.#jumps = new JumpHandlers(this);
    this.#steps = new StepHandlers(this, this.#status);
  }

  run(): Assembler {
    const f = this.f;
    f.i32(stateAddress("pc"));
    f.memory(W.i64_load, 0);
    f.set(this.pc);
    f.i32(stateAddress("budget"));
    f.memory(W.i32_load, 0);
    f.set(this.budget);
    this.#jumps.countEntry();
    this.top = f.loop();
    this.#next = f.block(); // out of it: on to the next record
    this.#steps.fault = f.block();
    this.#fault = f.block();
    this.#memory.fault = this.#fault;
    this.#jumps.indirect = f.block();
    this.#jumps.jump = f.block();
    this.#jumps.follow = f.block();
    this.#emitHandlers();
    f.end();
    this.#jumps.emitFollow();
    f.end();
    this.#jumps.emitJump();
    f.end();
    this.#jumps.emitIndirect();
    f.end();
    this.#emitFault(
      () => {
        f.get(this.ip);
        f.memory(W.i64_load16_u, 12);
      },
      () => this.#pushField(14),
    );
    f.end();
    this.#emitFault(
      () => this.#steps.pushPcOffset(),
      () => this.#steps.pushIndex(),
    );
    f.end();
    this.#advance(RECORD_BYTES);
    f.br(this.top);
    f.end();
    f.op(W.unreachable);
    return f;
  }

  #emitHandlers(): void {
    const f = this.f;
    const rows = this.#handlers.rows.slice(0, this.#handlers.hotCount);
    const fallback = f.block();
    // Sequences first: they go on in the handlers of their records after a miss.
    const isSequence = (n: number): boolean => rows[n]!.variant === "sequence";
    const order = [...rows.keys()].sort((a, b) => Number(isSequence(b)) - Number(isSequence(a)));
    for (const n of order.toReversed()) this.#labels[n] = f.block();
    f.get(this.ip);
    f.memory(W.i32_load16_u, 0);
    f.brTable(this.#labels, fallback);
    for (const n of order) {
      f.end();
      const row = rows[n]!;
      if (row.variant === "sequence") this.#emitSequence(this.#handlers.parts[row.id]!);
      else this.#emitHandler(row, undefined);
      f.br(this.#next);
    }
    f.end();
    // The rare ones: bytes to advance, or 0 after a trap. An ext may have changed the budget.
    this.#storeBudget();
    f.get(this.ip);
    f.call(this.#rare);
    f.set(this.#entry);
    f.i32(stateAddress("pc"));
    f.get(this.pc);
    f.memory(W.i64_store, 0);
    f.get(this.#entry);
    f.op(W.i32_eqz);
    f.if_();
    f.i32(stateAddress("trapKind"));
    f.memory(W.i32_load, 0);
    f.set(this.#status);
    f.br(this.#fault);
    f.end();
    f.i32(stateAddress("budget"));
    f.memory(W.i32_load, 0);
    f.set(this.budget);
    f.get(this.ip);
    f.get(this.#entry);
    f.op(W.i32_add);
    f.set(this.ip);
    f.br(this.top);
  }

  #emitSequence(parts: readonly number[]): void {
    parts.forEach((part, n) => {
      if (n > 0) this.#advance(RECORD_BYTES);
      this.#emitHandler(this.#handlers.rows[part]!, this.#labels[part]);
    });
  }

  /** `miss`: where an access goes on that misses the TLB. */
  #emitHandler(row: HandlerRow, miss: Label | undefined): void {
    const f = this.f;
    switch (row.variant) {
      case "special":
        this.#emitSpecial(SPECIALS[row.id]!, miss);
        break;
      case "plain":
        this.#emitPlain(OPS[row.id]!, miss);
        break;
      case "immediate": {
        const info = OPS[row.id]!;
        storeResult(this, info.result, () => {
          pushSlot(this, info.operands, 0);
          this.#pushImmediate(info);
          f.op(info.opcode);
        });
        break;
      }
      default:
        throw new Error(`${row.name} is not of the main function`);
    }
  }

  #pushImmediate(info: OpInfo): void {
    this.f.get(this.ip);
    this.f.memory(info.operands === "ll" ? W.i64_load32_s : W.i32_load, 8);
  }

  #advance(bytes: number): void {
    this.f.get(this.ip);
    this.f.i32(bytes);
    this.f.op(W.i32_add);
    this.f.set(this.ip);
  }

  #emitSpecial(name: Special, miss: Label | undefined): void {
    const f = this.f;
    switch (name) {
      case "exit":
        this.leave(() => f.i32(STATUS_CONTINUE));
        break;
      case "jump":
        this.#jumps.begin();
        f.br(this.#jumps.jump);
        break;
      case "indirect":
        pushSlot(this, "l", 0);
        this.#jumps.setPc();
        this.#jumps.begin();
        f.br(this.#jumps.indirect);
        break;
      case "compare_32":
      case "compare_64":
        this.#steps.emit(name, miss);
        this.#jumps.chooseSide(W.i32_load8_u);
        break;
      case "canonical":
        this.#checkCanonical(W.i32_load16_u, 8);
        break;
      case "return":
        this.#checkCanonical(W.i32_load16_u, 6);
        pushSlot(this, "l", 0);
        this.#jumps.setPc();
        f.i32(CPU_BASE);
        f.i32(CPU_BASE);
        f.memory(W.i64_load, RSP);
        f.get(this.ip);
        f.memory(W.i64_load32_s, 8);
        f.op(W.i64_add);
        f.memory(W.i64_store, RSP);
        this.#jumps.begin();
        f.br(this.#jumps.indirect);
        break;
      case "syscall":
      case "trap":
        this.#jumps.loadCount();
        this.#jumps.takeCount();
        this.#jumps.addDelta(() => f.get(this.ip), 8);
        this.leave(() => {
          if (name === "syscall") f.i32(TRAP_SYSCALL);
          else this.#pushField(4);
        });
        break;
      case "branch":
        pushSlot(this, "i", 0);
        f.i32(0);
        f.op(W.i32_ne);
        this.#jumps.chooseSide();
        break;
      case "add":
      case "add_more":
      case "logic":
      case "shift":
      case "scaled":
      case "flags":
      case "load_8":
      case "load_16":
      case "load_32":
      case "load_64":
      case "store_8":
      case "store_16":
      case "store_32":
      case "store_64":
        this.#steps.emit(name, miss);
        break;
      case "mov32":
        storeResult(this, "i", () => pushSlot(this, "i", 0));
        break;
      case "mov64":
        storeResult(this, "l", () => pushSlot(this, "l", 0));
        break;
      case "mov128":
        storeResult(this, "v", () => pushSlot(this, "v", 0));
        break;
      case "mov32_narrow":
        this.#pushField(2);
        pushSlot(this, "i", 0);
        f.memory(W.i32_store, CPU_BASE);
        break;
      case "set_cc_imm":
        throw new Error("becomes a step");
      case "const64":
        storeResult(this, "l", () => pushImmediate64(this));
        break;
      case "pc_const":
        storeResult(this, "l", () => {
          f.get(this.pc);
          pushImmediate64(this);
          f.op(W.i64_add);
        });
        break;
    }
  }

  /** Faults when operand a is no canonical address. */
  #checkCanonical(load: number, kindAt: number): void {
    const f = this.f;
    pushSlot(this, "l", 0);
    f.i64(47);
    f.op(W.i64_shr_s);
    f.i64(1);
    f.op(W.i64_add);
    f.i64(1);
    f.op(W.i64_gt_u);
    f.if_();
    f.get(this.ip);
    f.memory(load, kindAt);
    f.set(this.#status);
    f.br(this.#fault);
    f.end();
  }

  #pushField(offset: number): void {
    this.f.get(this.ip);
    this.f.memory(W.i32_load16_u, offset);
  }

  /** `status` is set and the record names its instruction. */
  #emitFault(pushPcOffset: () => void, pushIndex: () => void): void {
    const f = this.f;
    f.get(this.pc);
    pushPcOffset();
    f.op(W.i64_add);
    f.set(this.pc);
    f.get(this.budget);
    pushIndex();
    f.op(W.i32_sub);
    f.set(this.budget);
    this.leave(() => f.get(this.#status));
  }

  #storeBudget(): void {
    this.f.i32(stateAddress("budget"));
    this.f.get(this.budget);
    this.f.op(W.i64_extend_i32_s);
    this.f.memory(W.i64_store, 0);
  }

  leave(pushStatus: () => void): void {
    this.f.i32(stateAddress("pc"));
    this.f.get(this.pc);
    this.f.memory(W.i64_store, 0);
    this.#storeBudget();
    pushStatus();
    this.f.return_();
  }

  #emitPlain(info: OpInfo, miss: Label | undefined): void {
    const f = this.f;
    switch (info.key) {
      case "load":
        this.#memory.load(info);
        break;
      case "probe_write":
        this.#memory.probe(miss);
        break;
      case "trap_if":
        pushSlot(this, "i", 0);
        f.if_();
        f.get(this.ip);
        f.memory(W.i32_load, 8);
        f.set(this.#status);
        f.br(this.#fault);
        f.end();
        break;
      case "set_cc_dynamic":
        f.i32(CPU_BASE);
        pushSlot(this, "i", 0);
        f.op(W.i64_extend_i32_u);
        f.memory(W.i64_store, CPU_STATE.ccOp);
        storeState(this, "ccA", () => pushSlot(this, "ill", 1));
        storeState(this, "ccB", () => pushSlot(this, "ill", 2));
        break;
      case "cc_cond":
        storeResult(this, "i", () => {
          f.get(this.ip);
          f.memory(W.i32_load, 8);
          f.call(this.runtime.flags);
          f.call(this.runtime.condOf);
        });
        break;
      case "cc_flags":
        storeResult(this, "i", () => f.call(this.runtime.flags));
        break;
      default:
        emitComputation(this, info);
    }
  }
}
