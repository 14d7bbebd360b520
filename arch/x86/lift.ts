// SPDX-License-Identifier: Apache-2.0
// Lifts a block of x86-64 code to IR: decodes instruction after instruction and calls the lifting function
// that the form's mnemonic names.
//
// A block ends at a control transfer, at the limits it is given, at the end of a page, or before an
// instruction that cannot be fetched or decoded. An instruction that straddles a page is a block of its own.

import { TRAP_ILLEGAL, TRAP_PROTECTION } from "../../include/linux/cpu.ts";
import type { Fetch, Lifted, LiftLimits } from "../../virt/frontend.ts";
import type { IrBuilder } from "../../virt/ir/builder.ts";
import { PAGE_SIZE } from "../../virt/layout.ts";
import { DECODE_FETCH, DECODE_OK, DECODE_TOO_LONG, Decoder } from "./decode.ts";
import { ARITHMETIC } from "./lift/arith.ts";
import { Lift, type Lifter, type LifterTable } from "./lift/context.ts";
import { CONTROL } from "./lift/control.ts";
import { MOVES } from "./lift/move.ts";
import { SHA } from "./lift/sha.ts";
import { SHIFTS } from "./lift/shift.ts";
import { STRINGS } from "./lift/string.ts";
import { SYSTEM } from "./lift/system.ts";
import { SSE_MOVES } from "./lift/sse-move.ts";
import { SSE_INTEGER } from "./lift/sse-int.ts";
import { SSE_FLOAT } from "./lift/sse-fp.ts";
import { SSE4 } from "./lift/sse4.ts";
import { withMmx } from "./lift/vector.ts";
import { X87_LIFTERS } from "./lift/x87.ts";
import { X86_FORMS } from "./tables/forms.ts";

const LIFTERS: LifterTable = {
  ...ARITHMETIC,
  ...MOVES,
  ...SHIFTS,
  ...CONTROL,
  ...STRINGS,
  ...SYSTEM,
  ...SSE_MOVES,
  ...SSE_INTEGER,
  ...SSE_FLOAT,
  ...SSE4,
  ...SHA,
  ...X87_LIFTERS,
};

function privileged(l: Lift): void {
  l.trap(TRAP_PROTECTION);
}

function illegal(l: Lift): void {
  l.trap(TRAP_ILLEGAL);
}

/** The lifting function of each form, by its id. */
const BY_FORM: readonly Lifter[] = X86_FORMS.map((form) => {
  const lifter = LIFTERS[form.mnemonic] ?? (form.privileged ? privileged : illegal);
  return form.attributes.has("mmx") ? withMmx(lifter) : lifter;
});

/** Names of the forms that have no lifting function yet. */
export function unliftedForms(): string[] {
  return X86_FORMS.filter((form) => BY_FORM[form.id] === illegal).map((form) => form.name);
}

export class X86Lifter {
  readonly #decoder = new Decoder();
  /** Of the last block: blocks mostly come from the same builder, in the same mode. */
  #last: Lift | undefined;

  lift(builder: IrBuilder, fetch: Fetch, pc: number, limits: LiftLimits, mode: number, out: Lifted): void {
    const decoder = this.#decoder;
    const { insn } = decoder;
    const l = this.#liftFor(builder, mode);
    const pageEnd = (Math.floor(pc / PAGE_SIZE) + 1) * PAGE_SIZE;
    const endPc = Math.min(limits.endPc, pageEnd);
    let at = pc;
    let count = 0;
    out.faultPc = 0;
    do {
      const status = decoder.decode(fetch, at);
      const next = at + insn.length;
      const first = count === 0;
      if (status === DECODE_FETCH) {
        if (first) {
          out.bytes = 0;
          out.faultPc = insn.faultPc;
          return;
        }
        break;
      }
      if (next > pageEnd && !first) break;
      builder.insn(at, insn.length);
      count++;
      if (status !== DECODE_OK) {
        l.trap(status === DECODE_TOO_LONG ? TRAP_PROTECTION : TRAP_ILLEGAL, at);
        at = next;
        break;
      }
      l.begin();
      BY_FORM[insn.form.id]!(l);
      at = next;
    } while (!l.ended && count < limits.instructionsMax && at < endPc && builder.hasRoom);
    if (!l.ended) builder.jump(at);
    out.bytes = at - pc;
  }
  #liftFor(builder: IrBuilder, mode: number): Lift {
    let l = this.#last;
    if (l === undefined || l.b !== builder || l.mode !== mode) {
      l = new Lift(builder, this.#decoder.insn, mode);
      this.#last = l;
    }
    l.ended = false;
    return l;
  }
}
