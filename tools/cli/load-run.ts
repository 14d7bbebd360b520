// SPDX-License-Identifier: Apache-2.0
// The way from the command line to `run`, which brings the whole kernel with it: from the bundle beside this module
// with the bytecode of an earlier run, or, where nothing is bundled, as modules.

import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { setFlagsFromString } from "node:v8";

import { loadCached } from "./code-cache.ts";
import type * as runModule from "./run.ts";

type Run = typeof runModule.run;

/** Node 20's V8 optimises a function after 66 KB of its bytecode were run; most of a short run would be compiled for
 *  nothing, so at first it is told to wait. Later engines count otherwise and have a compiler in between. */
const HASTY_ENGINE = /^11\./;
const PATIENT = "--interrupt-budget=1000000";
const USUAL = "--interrupt-budget=67584";
const PATIENCE_MS = 250;

function setFlags(flags: string): void {
  if (HASTY_ENGINE.test(process.versions.v8)) setFlagsFromString(flags);
}

/** `run`; what it compiled is written down when it ends. */
export async function loadRun(): Promise<Run> {
  setFlags(PATIENT);
  const patience = setTimeout(() => setFlags(USUAL), PATIENCE_MS).unref();
  const bundle = fileURLToPath(new URL("run.cjs", import.meta.url));
  if (!existsSync(bundle)) return (await import("./run.ts")).run;
  const loaded = loadCached<typeof runModule>(bundle);
  return async (words) => {
    try {
      return await loaded.exports.run(words);
    } finally {
      // Bytecode is for the flags that it was made under, and will be loaded under these.
      clearTimeout(patience);
      setFlags(PATIENT);
      loaded.save();
    }
  };
}
