// SPDX-License-Identifier: Apache-2.0
// Forms that are not compared with the processor, each with the reason, and those compared with a bound.

import type { Insn } from "../../../arch/x86/decode.ts";
import type { X86Form } from "../../../arch/x86/tables/forms.ts";

const BY_MNEMONIC: ReadonlyMap<string, string> = new Map([
  ["SYSCALL", "enters the kernel; covered by the system call tests"],
  ["CPUID", "promises less than the host does, by design; covered by arch/x86 unit tests"],
  ["RDTSC", "time differs; covered by arch/x86 unit tests"],
  ["RDTSCP", "time differs; covered by arch/x86 unit tests"],
  ["SGDT", "Linux emulates it under UMIP with made-up values"],
  ["SIDT", "Linux emulates it under UMIP with made-up values"],
  ["SMSW", "Linux emulates it under UMIP with made-up values"],
  ["SLDT", "Linux emulates it under UMIP with made-up values"],
  ["STR", "Linux emulates it under UMIP with made-up values"],
]);

/** Why the form is not tested, or undefined. */
export function exclusion(form: X86Form): string | undefined {
  if (form.attributes.has("tzcnt")) return "the host has BMI1 (TZCNT), which CPUID does not promise here";
  if (form.attributes.has("lzcnt")) return "the host has LZCNT, which CPUID does not promise here";
  return BY_MNEMONIC.get(form.mnemonic);
}

const SELECTOR_FORMS: ReadonlySet<string> = new Set(["MOV_TO_SEGMENT", "LAR", "LSL", "VERR", "VERW"]);
/** Linux's selector of 32-bit code, with any requested privilege. */
const USER_CS32 = 0x20;
/** The vectors that a guest kernel under PVM calls its host by, in the processor's user mode. */
const HYPERCALL_FIRST = 0x17;
const HYPERCALL_LAST = 0x1b;

/**
 * Whether processors differ in the instance: VERW with LOCK raises #UD on Zen 1 (as by the manual), and is executed on Zen 5 (as here).
 * Or whether the kernel of this machine may be a guest itself (PVM: in the processor's user mode, without hardware for it) and the
 * instance then would not do as on a processor: INT by vectors that its host takes, and a segment of 32-bit code, which
 * a host of 64-bit code alone leaves out. `low`: the low half of a register.
 */
export function dependsOnHost(insn: Insn, low: (register: number) => number): boolean {
  const { mnemonic } = insn.form;
  if (mnemonic === "VERW" && insn.lock) return true;
  if (mnemonic === "INT") {
    const vector = insn.imm & 0xff;
    return vector >= HYPERCALL_FIRST && vector <= HYPERCALL_LAST;
  }
  return SELECTOR_FORMS.has(mnemonic) && insn.isReg && (low(insn.rm) & 0xfffc) === USER_CS32;
}

/** x87 functions whose results may differ from the processor's by so many units in the last place. */
export const ULP_BOUND: ReadonlyMap<string, number> = new Map([
  ["F2XM1", 1],
  ["FYL2X", 1],
  ["FYL2XP1", 1],
  ["FPATAN", 1],
  ["FPTAN", 1],
  ["FSIN", 1],
  ["FCOS", 1],
  ["FSINCOS", 1],
]);

/** SSE approximations: relative error allowed against the processor's own approximation, per lane. */
export const APPROXIMATE: ReadonlyMap<string, number> = new Map([
  ["RCPPS", 2 ** -11],
  ["RCPSS", 2 ** -11],
  ["RSQRTPS", 2 ** -11],
  ["RSQRTSS", 2 ** -11],
]);
