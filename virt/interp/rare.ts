// SPDX-License-Identifier: Apache-2.0
// The interpreter's second function: one record of a rare kind (floats, vectors, helpers, ext).
// Returns how many bytes to advance, or 0 after a trap, whose status is in CPU_STATE.trapKind.

import { CPU_BASE, CPU_STATE, TLB_READ, TLB_WRITE } from "../layout.ts";
import { HELPERS, Op, type OpInfo, OPS } from "../ir/ops.ts";
import { pushHost, pushTlbHit } from "../runtime/inline.ts";
import type { RuntimeFunctions } from "../runtime/module.ts";
import { stateAddress } from "../runtime/status.ts";
import { Assembler, type Label } from "../wasm/assembler.ts";
import { I32, I64, W } from "../wasm/opcodes.ts";
import { RECORD_BYTES } from "./bytecode.ts";
import { type HandlerRow, type Handlers, hasLane } from "./handlers.ts";
import { emitComputation, pushAddressOf, pushSlot, type SlotContext, storeResult } from "./slots.ts";

/** Parameters of the function: the record, and the import that calls TypeScript. */
export function emitRareInterpreter(handlers: Handlers, runtime: RuntimeFunctions): Assembler {
  return new RareGenerator(runtime).run(
    handlers.rows.slice(handlers.hotCount, handlers.count),
    handlers.hotCount,
  );
}

const LANE_BYTES: { readonly [shape: string]: number } = {
  i8x16: 1,
  i16x8: 2,
  i32x4: 4,
  i64x2: 8,
  f32x4: 4,
  f64x2: 8,
};
const LANE_STORES: { readonly [bytes: number]: number } = {
  1: W.i32_store8,
  2: W.i32_store16,
  4: W.i32_store,
  8: W.i64_store,
};

class RareGenerator implements SlotContext {
  readonly f: Assembler = new Assembler([I32], [I32]);
  readonly ip = 0;
  readonly runtime: RuntimeFunctions;
  readonly #va = this.f.local(I64);
  readonly #entry = this.f.local(I32);
  readonly #host = this.f.local(I32);

  constructor(runtime: RuntimeFunctions) {
    this.runtime = runtime;
  }

  run(rows: readonly HandlerRow[], first: number): Assembler {
    const f = this.f;
    const labels: Label[] = [];
    for (let n = 0; n < rows.length; n++) labels.unshift(f.block());
    f.get(this.ip);
    f.memory(W.i32_load16_u, 0);
    f.i32(first);
    f.op(W.i32_sub);
    f.brTable(labels, labels[0]!);
    for (const row of rows) {
      f.end();
      const advance = row.variant === "helper" ? this.#emitHelper(row.id) : this.#emitOp(OPS[row.id]!);
      f.i32(advance);
      f.return_();
    }
    f.op(W.unreachable);
    return f;
  }

  #emitHelper(id: number): number {
    const info = HELPERS[id]!;
    storeResult(this, info.result, () => {
      for (let n = 0; n < info.operands.length; n++) pushSlot(this, info.operands, n);
      this.f.call(this.runtime.helpers.get(info.name)!);
    });
    return RECORD_BYTES;
  }

  #emitOp(info: OpInfo): number {
    switch (info.id) {
      case Op.const128:
        storeResult(this, "v", () => this.#pushExtra());
        return 2 * RECORD_BYTES;
      case Op.i8x16_shuffle:
        this.#emitShuffle();
        return 2 * RECORD_BYTES;
      case Op.load128:
        this.#emitLoad128();
        return RECORD_BYTES;
      case Op.store128:
        this.#emitStore128();
        return RECORD_BYTES;
      case Op.ext:
      case Op.ext_state:
        this.#emitExt();
        return RECORD_BYTES;
      default:
        if (hasLane(info)) this.#emitLane(info);
        else emitComputation(this, info);
        return RECORD_BYTES;
    }
  }

  /** The 16 bytes after the record. */
  #pushExtra(): void {
    this.f.get(this.ip);
    this.f.memory(W.v128_load, RECORD_BYTES);
  }

  /** Lanes known at run time only: each source through swizzle, which gives 0 for lanes it does not have. */
  #emitShuffle(): void {
    const f = this.f;
    storeResult(this, "v", () => {
      pushSlot(this, "vv", 0);
      this.#pushExtra();
      f.op(W.i8x16_swizzle);
      pushSlot(this, "vv", 1);
      this.#pushExtra();
      f.i32(16);
      f.op(W.i8x16_splat);
      f.op(W.i8x16_sub);
      f.op(W.i8x16_swizzle);
      f.op(W.v128_or);
    });
  }

  /** imm is lane * lane bytes: slots are in memory, so a lane is an address. */
  #emitLane(info: OpInfo): void {
    const f = this.f;
    const bytes = LANE_BYTES[info.name.slice(0, 5)]!;
    const extract = info.name.includes("extract");
    const offset = (): void => {
      f.get(this.ip);
      f.memory(W.i32_load, 8);
      f.op(W.i32_add);
    };
    if (extract) {
      storeResult(this, bytes === 8 ? "l" : "i", () => {
        pushAddressOf(this, 0);
        offset();
        f.memory(laneLoad(bytes, info.name.endsWith("_s")), CPU_BASE);
      });
      return;
    }
    storeResult(this, "v", () => pushSlot(this, "v", 0));
    f.get(this.ip);
    f.memory(W.i32_load16_u, 2);
    offset();
    pushSlot(this, bytes === 8 ? "vl" : "vi", 1);
    f.memory(LANE_STORES[bytes]!, CPU_BASE);
  }

  #address(): void {
    const f = this.f;
    pushSlot(this, "l", 0);
    f.get(this.ip);
    f.memory(W.i64_load32_s, 8);
    f.op(W.i64_add);
    f.set(this.#va);
  }

  #fault(): void {
    this.f.i32(0);
    this.f.return_();
  }

  #emitLoad128(): void {
    const f = this.f;
    this.#address();
    pushTlbHit(f, TLB_READ, 16, this.#va, this.#entry);
    f.if_();
    pushHost(f, TLB_READ, this.#va, this.#entry);
    f.set(this.#host);
    f.else_();
    f.get(this.#va);
    f.i32(16);
    f.call(this.runtime.loadSlow);
    f.tee(this.#host);
    f.op(W.i32_eqz);
    f.if_();
    this.#fault();
    f.end();
    f.end();
    storeResult(this, "v", () => {
      f.get(this.#host);
      f.memory(W.v128_load, 0);
    });
  }

  #emitStore128(): void {
    const f = this.f;
    this.#address();
    pushTlbHit(f, TLB_WRITE, 16, this.#va, this.#entry);
    f.if_();
    pushHost(f, TLB_WRITE, this.#va, this.#entry);
    pushSlot(this, "lv", 1);
    f.memory(W.v128_store, 0);
    f.else_();
    f.get(this.#va);
    pushSlot(this, "lv", 1);
    f.call(this.runtime.storeSlow128);
    f.if_();
    this.#fault();
    f.end();
    f.end();
  }

  /** pc and the budget in memory are made exact for what TypeScript may want to know. */
  #emitExt(): void {
    const f = this.f;
    const field = (name: "pc" | "budget", offset: number, op: number): void => {
      f.i32(CPU_BASE);
      f.i32(CPU_BASE);
      f.memory(W.i64_load, CPU_STATE[name]);
      f.get(this.ip);
      f.memory(W.i64_load16_u, offset);
      f.op(op);
      f.memory(W.i64_store, CPU_STATE[name]);
    };
    field("pc", 12, W.i64_add);
    field("budget", 14, W.i64_sub);
    f.get(this.ip);
    f.memory(W.i32_load, 8);
    f.call(this.runtime.ext);
    f.tee(this.#host);
    f.if_();
    f.i32(stateAddress("trapKind"));
    f.get(this.#host);
    f.memory(W.i32_store, 0);
    this.#fault();
    f.end();
    field("budget", 14, W.i64_add);
  }
}

function laneLoad(bytes: number, signed: boolean): number {
  switch (bytes) {
    case 1:
      return signed ? W.i32_load8_s : W.i32_load8_u;
    case 2:
      return signed ? W.i32_load16_s : W.i32_load16_u;
    case 4:
      return W.i32_load;
    default:
      return W.i64_load;
  }
}
