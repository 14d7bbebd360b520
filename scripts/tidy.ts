// SPDX-License-Identifier: Apache-2.0
// Checks the shape of the tree: `node dist/scripts/tidy.js`. The rules are in scripts/tidy/rules.ts.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

import { type Finding, RULES, type SourceFile } from "./tidy/rules.ts";

/** Every text file that git knows or would know. */
export function readTree(): SourceFile[] {
  const list = execFileSync("git", ["ls-files", "-co", "--exclude-standard", "-z"], { encoding: "utf8" });
  return list
    .split("\0")
    .filter((path) => /\.(ts|mjs|js|c|h|sh|md|json)$/.test(path))
    .flatMap((path) => {
      try {
        return [{ path, text: readFileSync(path, "utf8") }];
      } catch {
        return []; // deleted in the working tree
      }
    });
}

/** All findings of all rules. */
export function tidy(files: readonly SourceFile[]): Finding[] {
  return RULES.flatMap((rule) => rule.check(files));
}

if (process.argv[1]?.endsWith("tidy.js") === true) {
  const findings = tidy(readTree());
  for (const f of findings) console.error(`${f.path}:${f.line}: ${f.message} [${f.rule}]`);
  console.error(findings.length === 0 ? "tidy: nothing to say" : `tidy: ${findings.length} findings`);
  process.exitCode = findings.length === 0 ? 0 : 1;
}
