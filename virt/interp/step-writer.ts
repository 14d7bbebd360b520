// SPDX-License-Identifier: Apache-2.0
// Writes packed records (pack.ts) over those that they were made of: there are never more.

import type { Ram } from "../../lib/ram.ts";
import { RECORD_BYTES } from "./bytecode.ts";
import type { Handlers } from "./handlers.ts";
import { FORM, isStore, mayTrap, NARROW, type Shift, shiftOf } from "./forms.ts";
import { joinSequences } from "./join.ts";
import { AS_CANONICAL, AS_COMPARISON, AS_RETURN, AS_STEP, GONE, type Records } from "./records.ts";
import { INDEX_SHIFT, SLOT_CC, SLOT_SINK, SLOT_ZERO, STEP } from "./steps.ts";

const ACCESS_BITS = [8, 16, 32, 64] as const;

export class StepWriter {
  readonly #ram: Ram;
  readonly #handlers: Handlers;
  readonly #r: Records;
  readonly #written: Int32Array;

  constructor(ram: Ram, handlers: Handlers, records: Records) {
    this.#ram = ram;
    this.#handlers = handlers;
    this.#r = records;
    this.#written = new Int32Array(records.what.length);
  }

  /** Where the last of the old records ends; returns where the last of the new ones does. */
  write(end: number): number {
    const { u32 } = this.#ram;
    let to = this.#r.starts[0]!;
    let count = 0;
    for (let n = 0; n < this.#r.count; n++) {
      const from = this.#r.starts[n]!;
      const next = n + 1 < this.#r.count ? this.#r.starts[n + 1]! : end;
      switch (this.#r.what[n]) {
        case GONE:
          continue;
        case AS_STEP:
          this.#writeStep(n, to);
          break;
        case AS_COMPARISON:
          this.#writeComparison(n, from, to);
          break;
        default:
          for (let word = 0; word < RECORD_BYTES / 4; word++) {
            u32[(to >>> 2) + word] = u32[(from >>> 2) + word]!;
          }
          if (this.#r.what[n] === AS_CANONICAL) this.#writeCanonical(n, to);
          if (this.#r.what[n] === AS_RETURN) this.#writeReturn(n, to);
      }
      for (let at = RECORD_BYTES; at < next - from; at += 4) u32[(to + at) >>> 2] = u32[(from + at) >>> 2]!;
      this.#written[count++] = to;
      to += next - from;
    }
    joinSequences(this.#ram, this.#handlers, this.#written.subarray(0, count));
    return to;
  }

  #writeStep(n: number, to: number): void {
    const { u8, u16, i32 } = this.#ram;
    const { special } = this.#handlers;
    const form = this.#r.form[n]!;
    if (mayTrap(form)) {
      this.#writeAccess(n, to);
      return;
    }
    u16[(to + STEP.dst) >>> 1] = this.#r.dst[n]!;
    u16[(to + STEP.a) >>> 1] = this.#r.a[n]!;
    u16[(to + STEP.b) >>> 1] = this.#r.b[n]!;
    i32[(to + STEP.imm) >>> 2] = this.#r.imm[n]!;
    i32[(to >>> 2) + 3] = 0;
    if (form === FORM.add64) {
      u16[to >>> 1] = special.add;
    } else if (form < FORM.and64) {
      u16[to >>> 1] = special.add_more;
      u8[to + STEP.row] = form;
    } else if (form <= FORM.xor32) {
      u16[to >>> 1] = special.logic;
      u8[to + STEP.row] = form - FORM.and64;
    } else if (form === FORM.flags) {
      u16[to >>> 1] = special.flags;
      u16[(to + STEP.ccOp) >>> 1] = this.#r.cc[n]!;
    } else if (form >= FORM.scaled && form < FORM.shl64) {
      u16[to >>> 1] = special.scaled;
      u8[to + STEP.scale] = form - FORM.scaled;
    } else {
      this.#writeShift(to, shiftOf(form));
    }
  }

  #writeShift(to: number, { left, right, mask }: Shift): void {
    const { u8, u16, u32 } = this.#ram;
    u16[to >>> 1] = this.#handlers.special.shift;
    u8[to + STEP.left] = left;
    u8[to + STEP.right] = right;
    u32[(to + STEP.mask) >>> 2] = mask >= 32 ? 0xffff_ffff : 2 ** mask - 1;
    u32[(to + STEP.mask + 4) >>> 2] = mask <= 32 ? 0 : 2 ** (mask - 32) - 1;
  }

  #writeAccess(n: number, to: number): void {
    const { u16, u32, i32 } = this.#ram;
    const { special } = this.#handlers;
    const form = this.#r.form[n]!;
    const trap = u32[(this.#r.starts[n]! >>> 2) + 3]!;
    const size = ACCESS_BITS[(form - FORM.load8) & 3]!;
    u16[to >>> 1] = isStore(form) ? special[`store_${size}`] : special[`load_${size}`];
    u16[(to + STEP.value) >>> 1] = isStore(form) ? this.#r.b[n]! : this.#r.dst[n]!;
    u16[(to + STEP.base) >>> 1] = this.#r.base[n]!;
    u16[(to + STEP.trap) >>> 1] = (trap & 0xffff) | ((trap >>> 16) << INDEX_SHIFT);
    i32[(to + STEP.displacement) >>> 2] = this.#r.displacement[n]!;
    i32[(to + STEP.stored) >>> 2] = this.#r.imm[n]!;
  }

  #writeComparison(n: number, from: number, to: number): void {
    const { u8, u16, i32 } = this.#ram;
    const { special } = this.#handlers;
    const handler = this.#r.handler[n]!;
    const sets = this.#r.cc[n]! >= 0;
    const count = u16[(from >>> 1) + 1]!;
    u16[to >>> 1] = (this.#r.forms.flags[handler]! & NARROW) !== 0 ? special.compare_32 : special.compare_64;
    u8[to + STEP.count] = count;
    u8[to + STEP.compareOp] = sets ? this.#r.cc[n]! : 0;
    u16[(to + STEP.a) >>> 1] = this.#r.a[n]!;
    u16[(to + STEP.b) >>> 1] = this.#r.b[n]!;
    i32[(to + STEP.imm) >>> 2] = this.#r.imm[n]!;
    u8[to + STEP.ccA] = (sets ? this.#r.ccA : SLOT_ZERO) >>> 3;
    u8[to + STEP.ccB] = (sets ? this.#r.ccB : SLOT_ZERO) >>> 3;
    u8[to + STEP.holds] = this.#r.forms.holds[handler]!;
    u8[to + STEP.cc] = (sets ? SLOT_CC : SLOT_SINK) >>> 3;
  }

  #writeCanonical(n: number, to: number): void {
    const { u16 } = this.#ram;
    u16[to >>> 1] = this.#handlers.special.canonical;
    u16[(to >>> 1) + 2] = this.#r.a[n]!;
  }

  #writeReturn(n: number, to: number): void {
    const { u16, i32 } = this.#ram;
    const { check } = this.#r;
    const from = this.#r.starts[check]!;
    u16[to >>> 1] = this.#handlers.special.return;
    i32[(to >>> 2) + 2] = this.#r.imm[n]!;
    u16[(to >>> 1) + 3] = i32[(from >>> 2) + 2]!; // the kind of the trap
    i32[(to >>> 2) + 3] = i32[(from >>> 2) + 3]!;
  }
}
