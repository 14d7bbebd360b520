// SPDX-License-Identifier: Apache-2.0
// Writes Documentation/compat/syscalls.md: every system call of x86-64 with how much of it there is.
//
//   node dist/scripts/support-table.js [--check]
//
// --check fails when the page differs from what the declarations say.

import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { SYSCALL_NAMES } from "../arch/x86/entry/syscall_64.ts";
import { SYSCALLS } from "../init/syscalls.ts";

const PAGE = join(dirname(fileURLToPath(import.meta.url)), "../../Documentation/compat/syscalls.md");

function table(): string {
  const declared = new Map(SYSCALLS.map((call) => [call.name, call]));
  const rows: string[] = [];
  const counts = { full: 0, partial: 0, missing: 0 };
  SYSCALL_NAMES.forEach((name, number) => {
    if (name === undefined) return;
    const support = declared.get(name)?.support;
    const level = support?.level ?? "missing";
    counts[level]++;
    rows.push(`| ${String(number)} | \`${name}\` | ${level} | ${support?.missing ?? ""} |`);
  });
  const total = counts.full + counts.partial + counts.missing;
  return [
    "# System calls of x86-64",
    "",
    "Generated from the declarations by `scripts/support-table.ts`; do not edit.",
    "",
    `Of ${String(total)} calls ${String(counts.full)} are full, ${String(counts.partial)} partial, `
    + `${String(counts.missing)} missing. A missing call`,
    "answers ENOSYS; a missing part gives the errno that Linux gives when the feature is not configured.",
    "",
    "| number | name | level | what is missing |",
    "| ---: | --- | --- | --- |",
    ...rows,
    "",
  ].join("\n");
}

const text = table();
if (process.argv.includes("--check")) {
  if (readFileSync(PAGE, "utf8") !== text) {
    process.stderr.write(
      "Documentation/compat/syscalls.md is out of date: run node dist/scripts/support-table.js\n",
    );
    process.exitCode = 1;
  }
} else {
  writeFileSync(PAGE, text);
}
