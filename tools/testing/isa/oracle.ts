// SPDX-License-Identifier: Apache-2.0
// The instruction oracle: runs generated instances on this machine's CPU and in Rookery and compares.
//
//   node dist/tools/testing/isa/oracle.js [--instances N] [--seed N] [--form TEXT] [--backend interp|translate|step|both]
//                                         [--report FILE] [--replay KEY] [--limit N]
//
// --form takes a part of a form's name, or @x87, @mmx ... for forms with that attribute.

import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { type Backend, runOracle } from "./run.ts";
import { runUndefinedOpcodes } from "./undefined-opcodes.ts";
import { coverageText, reportText } from "./report.ts";
import { replay } from "./replay.ts";

const { values } = parseArgs({
  options: {
    instances: { type: "string", default: "1000000" },
    seed: { type: "string", default: "1" },
    form: { type: "string" },
    backend: { type: "string", default: "both" },
    report: { type: "string" },
    replay: { type: "string" },
    sequences: { type: "string", default: "yes" },
  },
});

function backendsOf(name: string): Backend[] {
  if (name === "both") return ["interp", "translate"];
  if (name === "interp" || name === "translate" || name === "step") return [name];
  throw new RangeError(`--backend is interp, translate, step or both, not ${name}`);
}

if (values.replay !== undefined) {
  console.log(replay(values.replay, backendsOf(values.backend)));
} else {
  const summary = runOracle({
    instances: Number(values.instances),
    seed: Number(values.seed),
    form: values.form,
    backends: backendsOf(values.backend),
    sequences: values.sequences === "yes" && values.form === undefined,
    progress: (line) => console.log(line),
  });
  const text = reportText(summary);
  if (values.report !== undefined) writeFileSync(values.report, text);
  console.log(text);
  console.log(coverageText(summary));
  const { count, wrong, onHost } = runUndefinedOpcodes();
  console.log(
    `Codes without a form: ${count}, not refused here: ${wrong.length === 0 ? "none" : wrong.join(" ")}`,
  );
  console.log(`Of them the host executes (extensions that CPUID does not promise here): ${onHost.join(" ")}`);
  const isClean = summary.differing === 0 && summary.missingForms.length === 0 && wrong.length === 0;
  process.exitCode = isClean ? 0 : 1;
}
