// SPDX-License-Identifier: Apache-2.0
// Bundles the command line (a few large modules load in a fraction of the time of hundreds of small ones, and start-up
// is what a user of `rookery run` feels first) and the browser build, which a page can import as it is.

import { rmSync } from "node:fs";

import { build, type BuildOptions } from "esbuild";

const top = new URL("../../", import.meta.url).pathname;

const BROWSER_DIRECTORY = `${top}dist/browser`;

const COMMON: BuildOptions = {
  bundle: true,
  splitting: true,
  format: "esm",
  minifySyntax: true,
  minifyWhitespace: true,
  sourcemap: true,
  logLevel: "warning",
};

const COMMAND_LINE: BuildOptions = {
  ...COMMON,
  entryPoints: { rookery: `${top}dist/tools/cli/main.js`, start: `${top}dist/tools/cli/start.js` },
  outdir: `${top}dist/bin`,
  platform: "node",
  target: "node20",
  // commander is CommonJS and asks for node:* modules through require.
  banner: {
    js: "import { createRequire } from \"node:module\"; const require = createRequire(import.meta.url);",
  },
  // Used by the image builder alone; loaded from node_modules when it runs.
  external: ["openpgp", "xz-decompress", "fzstd"],
};

/** For pages: an import of a Node module is an error. */
export const BROWSER: BuildOptions = {
  ...COMMON,
  entryPoints: {
    rookery: `${top}dist/virt/host/browser/index.js`,
    "hello-browser": `${top}dist/samples/hello-browser/worker.js`,
    bench: `${top}dist/bench/browser/worker.js`,
  },
  outdir: BROWSER_DIRECTORY,
  platform: "browser",
  target: "es2022",
};

if (process.argv[1]?.endsWith("bundle.js") === true) {
  rmSync(BROWSER_DIRECTORY, { recursive: true, force: true }); // Chunks of earlier builds stay otherwise.
  await build(COMMAND_LINE);
  await build(BROWSER);
}
