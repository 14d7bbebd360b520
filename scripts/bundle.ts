// SPDX-License-Identifier: Apache-2.0
// Bundles the command line: a few large modules load in a fraction of the time of hundreds of small ones, and start-up
// is what a user of `rookery run` feels first.

import { build } from "esbuild";

const top = new URL("../../", import.meta.url).pathname;

await build({
  entryPoints: { rookery: `${top}dist/tools/cli/main.js`, start: `${top}dist/tools/cli/start.js` },
  outdir: `${top}dist/bin`,
  bundle: true,
  splitting: true,
  format: "esm",
  platform: "node",
  target: "node20",
  minifySyntax: true,
  minifyWhitespace: true,
  sourcemap: true,
  logLevel: "warning",
  // commander is CommonJS and asks for node:* modules through require.
  banner: {
    js: "import { createRequire } from \"node:module\"; const require = createRequire(import.meta.url);",
  },
  // Used by the image builder alone; loaded from node_modules when it runs.
  external: ["openpgp", "xz-decompress", "fzstd"],
});
