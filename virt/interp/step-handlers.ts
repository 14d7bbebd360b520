// SPDX-License-Identifier: Apache-2.0
// The handlers of steps (steps.ts).

import { CPU_BASE, TLB_READ, TLB_WRITE } from "../layout.ts";
import { pushHost, pushTlbHit } from "../runtime/inline.ts";
import type { RuntimeFunctions } from "../runtime/module.ts";
import { stateAddress } from "../runtime/status.ts";
import type { Assembler, Label } from "../wasm/assembler.ts";
import { I32, I64, W } from "../wasm/opcodes.ts";
import {
  ADD_TABLE,
  INDEX_SHIFT,
  LOGIC_TABLE,
  PC_OFFSETS,
  ROW_SHIFT,
  SLOT_CC,
  STEP,
  type StepKind,
} from "./steps.ts";

export interface StepContext {
  readonly f: Assembler;
  readonly ip: number;
  readonly runtime: RuntimeFunctions;
}

const LOADS: { readonly [bits: number]: number } = {
  8: W.i64_load8_u,
  16: W.i64_load16_u,
  32: W.i64_load32_u,
  64: W.i64_load,
};
const STORES: { readonly [bits: number]: number } = {
  8: W.i64_store8,
  16: W.i64_store16,
  32: W.i64_store32,
  64: W.i64_store,
};

export class StepHandlers {
  readonly #f: Assembler;
  readonly #ip: number;
  readonly #runtime: RuntimeFunctions;
  readonly #status: number;
  readonly #row: number;
  readonly #va: number;
  readonly #entry: number;
  readonly #host: number;
  readonly #a: number;
  readonly #b: number;
  /** Where a fault goes, with its kind in the status local. */
  fault: Label = 0;

  constructor({ f, ip, runtime }: StepContext, status: number) {
    this.#f = f;
    this.#ip = ip;
    this.#runtime = runtime;
    this.#status = status;
    this.#row = f.local(I32);
    this.#va = f.local(I64);
    this.#entry = f.local(I32);
    this.#host = f.local(I32);
    this.#a = f.local(I64);
    this.#b = f.local(I64);
  }

  /** `miss`: where an access goes on that misses the TLB; without it what follows is the slow half. A comparison leaves whether it holds. */
  emit(kind: StepKind, miss: Label | undefined): void {
    const bits = Number(kind.slice(kind.indexOf("_") + 1));
    switch (kind) {
      case "add":
        this.#add();
        break;
      case "add_more":
        this.#addMore();
        break;
      case "logic":
        this.#logic();
        break;
      case "shift":
        this.#shift();
        break;
      case "scaled":
        this.#scaled();
        break;
      case "flags":
        this.#flags();
        break;
      case "load_8":
      case "load_16":
      case "load_32":
      case "load_64":
        this.#load(bits, miss);
        break;
      case "store_8":
      case "store_16":
      case "store_32":
      case "store_64":
        this.#store(bits, miss);
        break;
      case "compare_32":
      case "compare_64":
        this.#compare(bits);
    }
  }

  #field(load: number, offset: number): void {
    this.#f.get(this.#ip);
    this.#f.memory(load, offset);
  }

  #pushSlot(field: number): void {
    this.#field(W.i32_load16_u, field);
    this.#f.memory(W.i64_load, CPU_BASE);
  }

  #pushSum(field: number, imm: number): void {
    this.#pushSlot(field);
    this.#field(W.i64_load32_s, imm);
    this.#f.op(W.i64_add);
  }

  #findRow(): void {
    this.#field(W.i32_load8_u, STEP.row);
    this.#f.i32(ROW_SHIFT);
    this.#f.op(W.i32_shl);
    this.#f.set(this.#row);
  }

  #pushRow(offset: number): void {
    this.#f.get(this.#row);
    this.#f.memory(W.i64_load, offset);
  }

  #result(push: () => void): void {
    this.#field(W.i32_load16_u, STEP.dst);
    push();
    this.#f.memory(W.i64_store, CPU_BASE);
  }

  #add(): void {
    this.#result(() => {
      this.#pushSum(STEP.b, STEP.imm);
      this.#pushSlot(STEP.a);
      this.#f.op(W.i64_add);
    });
  }

  #addMore(): void {
    const f = this.#f;
    this.#result(() => {
      this.#findRow();
      this.#pushSum(STEP.b, STEP.imm);
      this.#pushRow(ADD_TABLE);
      f.op(W.i64_xor);
      this.#pushRow(ADD_TABLE);
      f.op(W.i64_sub);
      this.#pushSlot(STEP.a);
      f.op(W.i64_add);
      this.#pushRow(ADD_TABLE + 8);
      f.op(W.i64_and);
    });
  }

  #logic(): void {
    const f = this.#f;
    this.#result(() => {
      this.#findRow();
      this.#pushSum(STEP.b, STEP.imm);
      f.set(this.#b);
      this.#pushSlot(STEP.a);
      f.tee(this.#a);
      f.get(this.#b);
      f.op(W.i64_and);
      this.#pushRow(LOGIC_TABLE);
      f.op(W.i64_and);
      f.get(this.#a);
      f.get(this.#b);
      f.op(W.i64_xor);
      this.#pushRow(LOGIC_TABLE + 8);
      f.op(W.i64_and);
      f.op(W.i64_or);
    });
  }

  #shift(): void {
    const f = this.#f;
    this.#result(() => {
      this.#pushSlot(STEP.a);
      this.#field(W.i64_load8_u, STEP.left);
      f.op(W.i64_shl);
      this.#field(W.i64_load8_u, STEP.right);
      f.op(W.i64_shr_s);
      this.#field(W.i64_load, STEP.mask);
      f.op(W.i64_and);
    });
  }

  #scaled(): void {
    const f = this.#f;
    this.#result(() => {
      this.#pushSlot(STEP.a);
      this.#field(W.i64_load8_u, STEP.scale);
      f.op(W.i64_shl);
      this.#pushSum(STEP.b, STEP.imm);
      f.op(W.i64_add);
    });
  }

  #flags(): void {
    const f = this.#f;
    this.#pushSlot(STEP.a);
    f.set(this.#a);
    this.#pushSum(STEP.b, STEP.imm);
    f.set(this.#b);
    f.i32(SLOT_CC);
    this.#field(W.i64_load16_u, STEP.ccOp);
    f.memory(W.i64_store, 0);
    f.i32(SLOT_CC);
    f.get(this.#a);
    f.memory(W.i64_store, 8);
    f.i32(SLOT_CC);
    f.get(this.#b);
    f.memory(W.i64_store, 16);
  }

  /** Leaves whether the TLB has the address. */
  #pushHit(tlb: number, bits: number): void {
    const f = this.#f;
    this.#pushSum(STEP.base, STEP.displacement);
    f.set(this.#va);
    pushTlbHit(f, tlb, bits / 8, this.#va, this.#entry);
  }

  #findHost(tlb: number): void {
    pushHost(this.#f, tlb, this.#va, this.#entry);
    this.#f.set(this.#host);
  }

  #load(bits: number, miss: Label | undefined): void {
    const f = this.#f;
    this.#pushHit(TLB_READ, bits);
    if (miss !== undefined) {
      f.op(W.i32_eqz);
      f.brIf(miss);
      this.#findHost(TLB_READ);
    } else {
      f.if_();
      this.#findHost(TLB_READ);
      f.else_();
      this.#loadSlow(bits);
      f.end();
    }
    this.#result(() => {
      f.get(this.#host);
      f.memory(LOADS[bits]!, 0);
    });
  }

  #loadSlow(bits: number): void {
    const f = this.#f;
    f.get(this.#va);
    f.i32(bits / 8);
    f.call(this.#runtime.loadSlow);
    f.tee(this.#host);
    f.op(W.i32_eqz);
    f.if_();
    f.i32(stateAddress("trapKind"));
    f.memory(W.i32_load, 0);
    f.set(this.#status);
    f.br(this.fault);
    f.end();
  }

  #store(bits: number, miss: Label | undefined): void {
    const f = this.#f;
    this.#pushHit(TLB_WRITE, bits);
    if (miss !== undefined) {
      f.op(W.i32_eqz);
      f.brIf(miss);
      this.#storeAtHost(bits);
      return;
    }
    f.if_();
    this.#storeAtHost(bits);
    f.else_();
    f.get(this.#va);
    this.#pushSum(STEP.value, STEP.stored);
    f.i32(bits / 8);
    f.call(this.#runtime.storeSlow);
    f.tee(this.#status);
    f.brIf(this.fault);
    f.end();
  }

  #storeAtHost(bits: number): void {
    const f = this.#f;
    this.#findHost(TLB_WRITE);
    f.get(this.#host);
    this.#pushSum(STEP.value, STEP.stored);
    f.memory(STORES[bits]!, 0);
  }

  /** Narrow operands are compared as the upper halves of wide ones. */
  #compare(bits: number): void {
    const f = this.#f;
    const operand = (push: () => void, local: number): void => {
      push();
      if (bits === 32) {
        f.i64(32);
        f.op(W.i64_shl);
      }
      f.set(local);
    };
    operand(() => this.#pushSlot(STEP.a), this.#a);
    operand(() => this.#pushSum(STEP.b, STEP.imm), this.#b);
    this.#setComparedFlags();
    this.#field(W.i32_load8_u, STEP.holds);
    [W.i64_eq, W.i64_lt_u, W.i64_lt_s].forEach((op, n) => {
      f.get(this.#a);
      f.get(this.#b);
      f.op(op);
      if (n === 0) return;
      f.i32(n);
      f.op(W.i32_shl);
      f.op(W.i32_or);
    });
    f.op(W.i32_shr_u);
    f.i32(1);
    f.op(W.i32_and);
  }

  #setComparedFlags(): void {
    const f = this.#f;
    const slot = (field: number): void => {
      this.#field(W.i32_load8_u, field);
      f.i32(3);
      f.op(W.i32_shl);
    };
    slot(STEP.cc);
    f.tee(this.#entry);
    this.#field(W.i64_load8_u, STEP.compareOp);
    f.memory(W.i64_store, 0);
    f.get(this.#entry);
    slot(STEP.ccA);
    f.memory(W.i64_load, CPU_BASE);
    f.memory(W.i64_store, 8);
    f.get(this.#entry);
    slot(STEP.ccB);
    f.memory(W.i64_load, CPU_BASE);
    this.#field(W.i64_load32_s, STEP.imm);
    f.op(W.i64_add);
    f.memory(W.i64_store, 16);
  }

  /** Leaves the offset from the block's start of the instruction of the step at `ip`, as i64. */
  pushPcOffset(): void {
    this.#field(W.i64_load16_u, STEP.trap);
    this.#f.i64(PC_OFFSETS - 1);
    this.#f.op(W.i64_and);
  }

  /** Leaves the index of that instruction in its block. */
  pushIndex(): void {
    this.#field(W.i32_load16_u, STEP.trap);
    this.#f.i32(INDEX_SHIFT);
    this.#f.op(W.i32_shr_u);
  }
}
