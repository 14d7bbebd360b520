// SPDX-License-Identifier: Apache-2.0
// Forms that are not compared with the processor, each with the reason, and those compared with a bound.

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
