// SPDX-License-Identifier: Apache-2.0
// Packs the records of a block that was lowered: what can be a step (steps.ts) becomes one, and fewer of them.
//
// A copy of a register or a constant that is only read is read where it comes from; flags are set before what they are made of is lost, or by the
// comparison at the end; a result that is moved at once is made where it goes. Forwards over the records to find these, backwards for what nobody
// reads any more, forwards to write.

import type { Ram } from "../../lib/ram.ts";
import { CC_LOGIC } from "../ir/cc.ts";
import { Op } from "../ir/ops.ts";
import { CPU_BASE, CPU_STATE } from "../layout.ts";
import type { Handlers } from "./handlers.ts";
import { FORM, KIND, mayTrap } from "./forms.ts";
import { AS_CANONICAL, AS_COMPARISON, AS_IT_IS, AS_RETURN, AS_STEP, GONE, Records } from "./records.ts";
import { StepWriter } from "./step-writer.ts";
import { BYTE_SLOTS_END, LOW_TEMPS, SLOT_CC, SLOT_PC, SLOT_ZERO } from "./steps.ts";

const RSP = CPU_BASE + CPU_STATE.gpr + 4 * 8;
const CANONICAL_SHIFT = 47;

export class Packing {
  readonly #handlers: Handlers;
  readonly #r: Records;
  readonly #writer: StepWriter;

  constructor(ram: Ram, handlers: Handlers) {
    this.#handlers = handlers;
    this.#r = new Records(ram, handlers);
    this.#writer = new StepWriter(ram, handlers, this.#r);
  }

  /** The addresses of the records in order, and where the last one ends; `slotsEnd`: of the slots that they name. Returns where they end now. */
  pack(starts: Int32Array, end: number, slotsEnd: number): number {
    this.#r.take(starts, slotsEnd);
    for (let n = 0; n < starts.length; n++) this.#improve(n);
    this.#dropUnread();
    return this.#writer.write(end);
  }

  #improve(n: number): void {
    const what = this.#r.what[n]!;
    if (what === AS_STEP) {
      const kind = this.#r.forms.kind[this.#r.handler[n]!]!;
      this.#readWhereItComesFrom(n);
      if (this.#r.form[n] === FORM.flags) {
        if (this.#setBeforeLast(n)) return;
      } else if (kind === KIND.unary && this.#moveAtOnce(n)) return;
    } else if (what === AS_COMPARISON) {
      this.#readWhereItComesFrom(n);
      this.#setWithComparison(n);
      return;
    } else {
      this.#findCanonical(n);
      this.#findReturn(n);
    }
    this.#r.noteWrites(n);
  }

  #readWhereItComesFrom(n: number): void {
    const { a, b, base } = this.#r;
    if (a[n]! < LOW_TEMPS && b[n]! < LOW_TEMPS && base[n]! < LOW_TEMPS) return;
    const narrow = this.#r.isNarrow(n);
    this.#r.a[n] = this.#copied(this.#r.a[n]!, narrow);
    this.#r.b[n] = this.#copied(this.#r.b[n]!, narrow);
    this.#r.base[n] = this.#copied(this.#r.base[n]!, false);
    this.#readAfterAdditions(n);
    this.#takeConstants(n);
  }

  /** What is read instead of a slot: where it was copied from, or the register that has come to the same by additions. */
  #copied(slot: number, narrow: boolean): number {
    const by = this.#r.sourceOf(slot);
    if (by < 0) return slot;
    const from = this.#r.a[by]!;
    const isSame = this.#r.form[by] === FORM.add64
      ? this.#r.changeSince(slot) === 0
      : narrow && this.#r.isCopy(by) && this.#r.lastWrite(from) < by;
    if (!isSame) return slot;
    this.#r.replaceUse(slot, from);
    return from;
  }

  /** Instead of a copy of a register that was added to since: pops and returns read the stack pointer so. */
  #readAfterAdditions(n: number): void {
    const r = this.#r;
    const base = r.changeSince(r.base[n]!);
    if (base !== undefined) this.#readInstead(n, r.base, r.displacement, r.a[r.sourceOf(r.base[n]!)]!, -base);
    const a = r.isAddition(n) ? r.changeSince(r.a[n]!) : undefined;
    if (a !== undefined) this.#readInstead(n, r.a, r.imm, r.a[r.sourceOf(r.a[n]!)]!, -a);
  }

  #takeConstants(n: number): void {
    const r = this.#r;
    const b = r.sourceOf(r.b[n]!);
    if (b >= 0 && this.#isConstant(b)) this.#readInstead(n, r.b, r.imm, r.b[b]!, r.imm[b]!);
    const base = r.sourceOf(r.base[n]!);
    if (base >= 0 && this.#isConstant(base)) {
      this.#readInstead(n, r.base, r.displacement, r.b[base]!, r.imm[base]!);
    }
    const a = r.sourceOf(r.a[n]!);
    if (a < 0 || !this.#isConstant(a) || r.b[a] !== SLOT_ZERO) return;
    if (r.imm[a] === 0) {
      this.#readInstead(n, r.a, r.imm, SLOT_ZERO, 0);
    } else if (this.#isCommutative(n) && r.imm[n] === 0 && r.b[n] !== SLOT_ZERO) {
      this.#readInstead(n, r.a, r.imm, SLOT_ZERO, r.imm[a]!);
      r.a[n] = r.b[n]!;
      r.b[n] = SLOT_ZERO;
    }
  }

  /** Makes an operand another slot, and adds what that lacks to a number of the record, where it has room. */
  #readInstead(n: number, slots: Uint16Array, numbers: Int32Array, slot: number, more: number): void {
    const sum = numbers[n]! + more;
    if (sum !== (sum | 0)) return;
    numbers[n] = sum;
    this.#r.replaceUse(slots[n]!, slot);
    slots[n] = slot;
  }

  /** A number, or one from where the block begins. */
  #isConstant(by: number): boolean {
    const b = this.#r.b[by];
    return this.#r.a[by] === SLOT_ZERO && (b === SLOT_ZERO || b === SLOT_PC)
      && this.#r.form[by] === FORM.add64;
  }

  #isCommutative(n: number): boolean {
    const form = this.#r.form[n]!;
    return form <= FORM.xor32 && form !== FORM.sub64 && form !== FORM.sub32;
  }

  /** Flags of what the record before computes are set before it, so that its operands need no copies; not where a comparison is to set them. */
  #setBeforeLast(n: number): boolean {
    const last = this.#r.before(n);
    if (last < 0 || this.#r.what[last] !== AS_STEP || this.#r.form[last]! > FORM.xor32) return false;
    if (this.#r.what[n + 1] === AS_COMPARISON && n + 1 < this.#r.count) return false;
    if (this.#readsFlags(last) || !this.#hasSameOperands(last, n)) return false;
    this.#r.replaceUse(this.#r.a[n]!, this.#r.a[last]!);
    this.#r.replaceUse(this.#r.b[n]!, this.#r.b[last]!);
    this.#r.a[n] = this.#r.a[last]!;
    this.#r.b[n] = this.#r.b[last]!;
    swap(this.#r.handler, n, last);
    swap(this.#r.form, n, last);
    swap(this.#r.dst, n, last);
    swap(this.#r.cc, n, last);
    const dst = this.#r.dst[n]!;
    this.#r.noteCcWritten(last);
    this.#r.writeBefore[n] = this.#r.writeBefore[last]!;
    this.#r.sumAtCopy[n] = this.#r.sumAtCopy[last]!;
    this.#r.written[dst >>> 3] = n;
    if (dst >= LOW_TEMPS) this.#r.madeBy[dst >>> 3] = n;
    return true;
  }

  #hasSameOperands(last: number, n: number): boolean {
    if (this.#r.imm[last] !== this.#r.imm[n]) return false;
    const narrow = this.#r.isNarrow(n);
    return this.#isSame(last, this.#r.a[last]!, this.#r.a[n]!, narrow)
      && this.#isSame(last, this.#r.b[last]!, this.#r.b[n]!, narrow);
  }

  /** Whether a slot has now what record `last` read from another. */
  #isSame(last: number, read: number, slot: number, narrow: boolean): boolean {
    if (read === slot) return slot !== this.#r.dst[last];
    const by = this.#r.sourceOf(slot);
    if (by < 0 || !this.#r.isCopy(by) || this.#r.a[by] !== read) return false;
    if (this.#r.form[by] === FORM.add32 && !narrow) return false;
    const written = this.#r.dst[last] === read ? this.#r.writeBefore[last]! : this.#r.lastWrite(read);
    return Math.max(written, this.#r.allWritten) < by;
  }

  /** A result that is only moved is made where it goes. */
  #moveAtOnce(n: number): boolean {
    const from = this.#r.a[n]!;
    const form = this.#r.form[n]!;
    if ((form !== FORM.add64 && form !== FORM.add32) || from < LOW_TEMPS || this.#r.uses[from >>> 3] !== 1) {
      return false;
    }
    const last = this.#r.before(n);
    if (last < 0 || this.#r.what[last] !== AS_STEP || this.#r.dst[last] !== from) return false;
    if (form === FORM.add32 && !this.#narrowResult(last)) return false;
    this.#r.drop(n);
    this.#r.what[last] = AS_STEP;
    this.#r.dst[last] = this.#r.dst[n]!;
    this.#r.noteWrites(last);
    return true;
  }

  /** Makes the upper half of a result 0. */
  #narrowResult(n: number): boolean {
    const form = this.#r.form[n]!;
    if (form <= FORM.xor32) this.#r.form[n] = form | 1;
    return form <= FORM.sext16 || form >= FORM.shl32 || (form >= FORM.load8 && form <= FORM.load32);
  }

  /** The comparison that ends the block sets the flags that were to be set before it. */
  #setWithComparison(n: number): void {
    let setter = this.#r.before(n);
    if (setter >= 0 && !this.#isSetter(setter)) {
      const between = setter;
      if (this.#r.what[between] !== AS_STEP || mayTrap(this.#r.form[between]!)) return;
      setter = this.#r.before(between);
      if (setter < 0 || !this.#isSetter(setter)) return;
      const dst = this.#r.dst[between];
      if (dst === this.#r.a[setter] || dst === this.#r.b[setter] || this.#readsFlags(between)) return;
    }
    if (setter < 0 || this.#readsFlags(n) || this.#readsFlags(setter)) return;
    if (Math.max(this.#r.a[setter]!, this.#r.b[setter]!) >= BYTE_SLOTS_END) return;
    const isLogic = this.#r.cc[setter]! >> 2 === CC_LOGIC;
    if (!isLogic && this.#r.imm[setter] !== this.#r.imm[n]) return;
    this.#r.cc[n] = this.#r.cc[setter]!;
    this.#r.ccA = this.#r.a[setter]!;
    this.#r.ccB = isLogic ? SLOT_ZERO : this.#r.b[setter]!;
    // Its reads of slots are the comparison's now.
    this.#r.what[setter] = GONE;
    if (isLogic) this.#r.uses[this.#r.b[setter]! >>> 3]!--;
  }

  #readsFlags(n: number): boolean {
    return isFlags(this.#r.a[n]!) || isFlags(this.#r.b[n]!);
  }

  #isSetter(n: number): boolean {
    return this.#r.what[n] === AS_STEP && this.#r.form[n] === FORM.flags;
  }

  /** The check of an address in four records. */
  #findCanonical(n: number): void {
    const { plain, immediate } = this.#handlers;
    if (this.#r.handler[n] !== plain[Op.trap_if]) return;
    const compare = this.#r.before(n);
    const add = this.#r.before(compare);
    const shift = this.#r.before(add);
    if (
      shift < 0 || this.#r.what[compare] !== AS_IT_IS || this.#r.what[add] !== AS_STEP
      || this.#r.what[shift] !== AS_STEP
    ) return;
    if (this.#r.handler[compare] !== immediate[Op.i64_gt_u] || this.#r.imm[compare] !== 1) return;
    if (this.#r.form[add] !== FORM.add64 || this.#r.imm[add] !== 1 || this.#r.b[add] !== SLOT_ZERO) return;
    if (this.#r.form[shift] !== FORM.sar64 + CANONICAL_SHIFT) return;
    if (
      this.#r.a[n] !== this.#r.dst[compare] || this.#r.a[compare] !== this.#r.dst[add]
      || this.#r.a[add] !== this.#r.dst[shift]
    ) return;
    for (const by of [compare, add, shift]) {
      const dst = this.#r.dst[by]!;
      if (dst < LOW_TEMPS || this.#r.uses[dst >>> 3] !== 1) return;
    }
    for (const by of [compare, add, shift]) this.#r.what[by] = GONE;
    this.#r.what[n] = AS_CANONICAL;
    this.#r.a[n] = this.#r.a[shift]!;
  }

  /** An indirect jump right after the check of where to, and a change of the stack pointer. */
  #findReturn(n: number): void {
    if (this.#r.handler[n] !== this.#handlers.special.indirect) return;
    const add = this.#r.before(n);
    const check = this.#r.before(add);
    if (check < 0 || this.#r.what[check] !== AS_CANONICAL || this.#r.a[check] !== this.#r.a[n]) return;
    if (this.#r.what[add] !== AS_STEP || this.#r.form[add] !== FORM.add64) return;
    if (this.#r.dst[add] !== RSP || this.#r.a[add] !== RSP || this.#r.b[add] !== SLOT_ZERO) return;
    this.#r.what[n] = AS_RETURN;
    this.#r.imm[n] = this.#r.imm[add]!;
    this.#r.check = check;
    this.#r.what[add] = this.#r.what[check] = GONE;
  }

  #dropUnread(): void {
    for (let n = this.#r.count - 1; n >= 0; n--) {
      const dst = this.#r.dst[n]!;
      if (this.#r.what[n] !== AS_STEP || dst < LOW_TEMPS || this.#r.uses[dst >>> 3] !== 0) continue;
      if (mayTrap(this.#r.form[n]!)) continue;
      this.#r.countUses(n, -1);
      this.#r.what[n] = GONE;
    }
  }
}

function isFlags(slot: number): boolean {
  return slot >= SLOT_CC && slot < SLOT_CC + 24;
}

function swap(values: { [n: number]: number }, n: number, m: number): void {
  const value = values[n]!;
  values[n] = values[m]!;
  values[m] = value;
}
