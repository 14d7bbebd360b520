// SPDX-License-Identifier: Apache-2.0
// Bundles the command line (a few large modules load in a fraction of the time of hundreds of small ones, and start-up
// is what a user of `rookery run` feels first) and the browser build, which a page can import as it is. What `run`
// needs is one script, so that tools/cli/code-cache.ts can keep the bytecode of all of it; its first line names its
// content.

import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";

import { build, type BuildOptions, type Plugin } from "esbuild";

import { IDENTITY_FILE } from "../virt/host/node/translations.ts";
import { warmUp } from "./warm-up.ts";

const top = new URL("../../", import.meta.url).pathname;

const BROWSER_DIRECTORY = `${top}dist/browser`;

const COMMON: BuildOptions = {
  bundle: true,
  minifySyntax: true,
  minifyWhitespace: true,
  sourcemap: true,
  logLevel: "warning",
};

export const BIN_DIRECTORY: string = `${top}dist/bin`;

const FOR_NODE: BuildOptions = { ...COMMON, platform: "node", target: "node20" };
const NODE: BuildOptions = { ...FOR_NODE, outdir: BIN_DIRECTORY };

/** What `run` does not need, as modules. */
const OTHER_COMMANDS: BuildOptions = {
  ...NODE,
  entryPoints: Object.fromEntries(
    ["image", "doctor", "version", "start"].map((name) => [name, `${top}dist/tools/cli/${name}.js`]),
  ),
  splitting: true,
  format: "esm",
  outExtension: { ".js": ".mjs" },
  // commander is CommonJS and asks for node:* modules through require.
  banner: {
    js:
      "import { createRequire as requireFor } from \"node:module\"; const require = requireFor(import.meta.url);",
  },
  // The first is bundled below, and found; the others are used by the image builder alone and loaded from node_modules.
  external: ["./run.js", "openpgp", "xz-decompress", "fzstd"],
};

/** Other commands stay in modules of their own. */
const otherCommands: Plugin = {
  name: "other-commands",
  setup(plugin) {
    plugin.onResolve({ filter: /^\.\/(image|doctor|version)\.js$/ }, ({ path }) => ({
      path: path.replace(/js$/, "mjs"),
      external: true,
    }));
  },
};

/** CommonJS: Node loads its loader of modules only for a program that is one, and that is a tenth of a short run. */
const COMMAND_LINE: BuildOptions = {
  ...NODE,
  entryPoints: { rookery: `${top}dist/tools/cli/main.js` },
  format: "cjs",
  banner: { js: "const importMetaUrl = require(\"node:url\").pathToFileURL(__filename).href;" },
  define: { "import.meta.url": "importMetaUrl" },
  external: ["./run.js"],
  plugins: [otherCommands],
};

/** commander could start subcommands that are programs, and loads this module for it; here it never does. */
const lazyChildProcess: Plugin = {
  name: "lazy-child-process",
  setup(plugin) {
    plugin.onResolve({ filter: /^node:child_process$/ }, ({ path }) => ({ path, namespace: "lazy" }));
    plugin.onLoad({ filter: /.*/, namespace: "lazy" }, ({ path }) => ({
      contents: `module.exports = { get spawn() { return process.getBuiltinModule("${path}").spawn; } };`,
    }));
  },
};

/**
 * What a run asks for only when it has code to translate that no store has, or a profile to write: a third of the whole. It is a bundle of its own, which
 * the first use of one of its names loads (tools/cli/code-cache.ts). Modules that both ask for are in both, so they must have no state.
 */
const ASIDE: readonly string[] = [
  "arch/x86/lift.js",
  "arch/x86/quick.js",
  "tools/perf/flame-graph.js",
  "tools/perf/profiler.js",
  "tools/perf/summary.js",
  "virt/lifting.js",
  "virt/runtime/module.js",
  "virt/translate/draft.js",
  "virt/translate/region.js",
];
const ASIDE_FILE = "./aside.cjs";

const aside: Plugin = {
  name: "aside",
  setup(plugin) {
    plugin.onResolve({ filter: /\.js$/, namespace: "file" }, ({ path, resolveDir }) => {
      const name = relative(`${top}dist`, join(resolveDir, path));
      return ASIDE.includes(name) ? { path: name, namespace: "aside" } : undefined;
    });
    plugin.onLoad({ filter: /.*/, namespace: "aside" }, async ({ path }) => {
      const module: object = await import(`${top}dist/${path}`);
      const getters = Object.keys(module).map((name) => `get ${name}() { return load().${name}; }`);
      return {
        contents:
          `let loaded; const load = () => (loaded ??= require("${ASIDE_FILE}")["${path}"]); module.exports = { ${
            getters.join(", ")
          } };`,
      };
    });
  },
};

export const RUN: BuildOptions = {
  ...FOR_NODE,
  format: "cjs",
  entryPoints: [`${top}dist/tools/cli/run.js`],
  outfile: `${BIN_DIRECTORY}/run.cjs`,
  external: [ASIDE_FILE],
  plugins: [lazyChildProcess, aside],
};

export const RUN_ASIDE: BuildOptions = {
  ...FOR_NODE,
  format: "cjs",
  stdin: {
    contents: `${ASIDE.map((name, n) => `import * as m${n} from "./${name}";`).join("\n")}
module.exports = { ${ASIDE.map((name, n) => `"${name}": m${n}`).join(", ")} };`,
    resolveDir: `${top}dist`,
    sourcefile: "aside.js",
  },
  outfile: `${BIN_DIRECTORY}/aside.cjs`,
};

/** Names the code that decides what a translation means. */
function translatorIdentity(): string {
  const hash = createHash("sha256");
  for (const folder of ["arch", "include", "lib", "virt"]) {
    const files = readdirSync(`${top}dist/${folder}`, { recursive: true, encoding: "utf8" });
    for (const file of files.filter((name) => name.endsWith(".js") && !name.includes(".test.")).sort()) {
      hash.update(file).update(readFileSync(`${top}dist/${folder}/${file}`));
    }
  }
  return hash.digest("hex").slice(0, 32);
}

/** For pages: an import of a Node module is an error. */
export const BROWSER: BuildOptions = {
  ...COMMON,
  entryPoints: {
    rookery: `${top}dist/virt/host/browser/index.js`,
    "hello-browser": `${top}dist/samples/hello-browser/worker.js`,
    bench: `${top}dist/bench/browser/worker.js`,
  },
  outdir: BROWSER_DIRECTORY,
  splitting: true,
  format: "esm",
  platform: "browser",
  target: "es2022",
};

/** The wrapper of a CommonJS module as part of the file: to put it around what was read would be a copy of all of it, at each start. */
function asFunction(text: string): string {
  return `(function(require,module,exports){${text}\n})`;
}

async function bundleScript(options: BuildOptions): Promise<void> {
  const { outputFiles } = await build({ ...options, write: false });
  for (const { path, text } of outputFiles) {
    const identity = createHash("sha256").update(text).digest("hex").slice(0, 32);
    writeFileSync(path, path.endsWith(".cjs") ? `// ${identity}\n${asFunction(text)}` : text);
  }
}

const OUTPUTS: readonly string[] = [BIN_DIRECTORY, BROWSER_DIRECTORY];
const STAMP = `${BIN_DIRECTORY}/inputs`;

/** Names what bundles are made of as it is now: the compiled files by name, size and time, and the installed packages. */
function inputsIdentity(): string {
  const hash = createHash("sha256");
  const note = (path: string): void => {
    const { size, mtimeMs } = statSync(path);
    hash.update(`${path} ${size} ${mtimeMs}\n`);
  };
  for (const file of readdirSync(`${top}dist`, { recursive: true, encoding: "utf8" }).sort()) {
    const path = join(`${top}dist`, file);
    if (file.endsWith(".js") && !OUTPUTS.some((folder) => path.startsWith(`${folder}/`))) note(path);
  }
  const packages = `${top}node_modules/.package-lock.json`;
  if (existsSync(packages)) note(packages);
  return hash.digest("hex");
}

/** Whether the bundles are those of the inputs: every start of a checkout asks. */
function isDone(inputs: string): boolean {
  return OUTPUTS.every((folder) => existsSync(folder)) && existsSync(STAMP)
    && readFileSync(STAMP, "utf8") === inputs;
}

async function bundleAll(): Promise<void> {
  const inputs = inputsIdentity();
  if (isDone(inputs)) return;
  // Chunks of earlier builds stay otherwise.
  for (const path of OUTPUTS) rmSync(path, { recursive: true, force: true });
  await build(OTHER_COMMANDS);
  await build(COMMAND_LINE);
  writeFileSync(`${BIN_DIRECTORY}/package.json`, `${JSON.stringify({ type: "commonjs" })}\n`);
  const translator = translatorIdentity();
  const define = { ROOKERY_BUILD: JSON.stringify(translator) };
  writeFileSync(join(BIN_DIRECTORY, IDENTITY_FILE), translator);
  await bundleScript({ ...RUN, define });
  await bundleScript(RUN_ASIDE);
  warmUp(BIN_DIRECTORY);
  await build({ ...BROWSER, define });
  writeFileSync(STAMP, inputs); // the last: what is torn is made anew
}

if (process.argv[1]?.endsWith("bundle.js") === true) await bundleAll();
