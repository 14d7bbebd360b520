// SPDX-License-Identifier: Apache-2.0
// Texts of a finished run: differences by form with reproducers, and the coverage list.

import { unliftedForms } from "../../../arch/x86/lift.ts";
import { X86_FORMS } from "../../../arch/x86/tables/forms.ts";
import { exclusion } from "./exclusions.ts";
import type { Summary } from "./run.ts";

export function reportText(summary: Summary): string {
  const { instances, executions, differing, unsteady, seconds, backends } = summary;
  const out = [
    "# Instruction oracle",
    "",
    `${instances} instances (${executions} executions, ${backends.join(" and ")}), seed ${summary.seed}, `
    + `${seconds.toFixed(0)} s: ${differing} differing${
      unsteady === 0 ? "" : `; ${unsteady} of the processor's did not come again`
    }.`,
    "Reproduce: `node dist/tools/testing/isa/oracle.js --replay KEY` (values: Rookery's, then the processor's).",
    "",
  ];
  const unlifted = new Set(unliftedForms());
  const missing = [...summary.forms.keys()].filter((name) => unlifted.has(name));
  if (missing.length > 0) out.push(`Not lifted yet (${missing.length}): ${missing.join("; ")}`, "");
  const forms = [...summary.forms.values()].filter((form) => form.differing > 0 && !unlifted.has(form.name));
  forms.sort((a, b) => b.differing / b.run - a.differing / a.run);
  for (const form of forms) {
    out.push(`## ${form.name}: ${form.differing} differing, ${form.run} instances`);
    for (const example of form.examples) {
      out.push(
        `- ${example.key} ${example.backend} ${example.bytes}: ${example.lines.slice(0, 3).join("; ")}`,
      );
    }
  }
  return `${out.join("\n")}\n`;
}

export function coverageText(summary: Summary): string {
  const out: string[] = [];
  const excluded = X86_FORMS.filter((form) => exclusion(form) !== undefined);
  out.push(
    `Forms: ${X86_FORMS.length}, run ${X86_FORMS.filter(({ name }) => summary.forms.has(name)).length}, `
      + `not tested ${excluded.length}:`,
  );
  for (const form of excluded) out.push(`  ${form.name}: ${exclusion(form)!}`);
  if (summary.missingForms.length > 0) {
    out.push(`Forms without an instance: ${summary.missingForms.join(", ")}`);
  }
  return out.join("\n");
}
