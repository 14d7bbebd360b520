// SPDX-License-Identifier: Apache-2.0
// The way from the command line to `run`, which brings the whole kernel with it: from the bundle beside this module
// with the bytecode of an earlier run, or, where nothing is bundled, as modules.

import { existsSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";

import { setPatience, tuneEngine } from "../../virt/host/node/engine.ts";
import { builtFolder, loadCached } from "./code-cache.ts";
import type * as runModule from "./run.ts";

type Run = (words: readonly string[]) => Promise<number>;

/** `run`; what it compiled is written down when it ends. */
export async function loadRun(): Promise<Run> {
  tuneEngine();
  setPatience(true);
  const bundle = fileURLToPath(new URL("run.cjs", import.meta.url));
  if (!existsSync(bundle)) return (await import("./run.ts")).run;
  const loaded = loadCached<typeof runModule>(bundle);
  const built = builtFolder(dirname(bundle));
  return async (words) => {
    try {
      return await loaded.exports.run(words, built);
    } finally {
      loaded.save();
    }
  };
}
