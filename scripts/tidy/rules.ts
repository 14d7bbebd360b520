// SPDX-License-Identifier: Apache-2.0
// The rules that the tree checks on itself. Each has a short name, which the message and Documentation/guidelines.md
// use. A rule sees one file at a time, or all of them, as text: it needs no compiler.

export interface SourceFile {
  /** Relative to the top of the tree, "/"-separated. */
  readonly path: string;
  readonly text: string;
}

export interface Finding {
  readonly rule: string;
  readonly path: string;
  /** From 1; 0 for the whole file. */
  readonly line: number;
  readonly message: string;
}

export interface Rule {
  readonly name: string;
  check(files: readonly SourceFile[]): Finding[];
}

const isSource = (path: string): boolean => /\.(ts|c|sh|mjs|js)$/.test(path);
const isTypeScript = (path: string): boolean => path.endsWith(".ts") && !path.endsWith(".d.ts");
const isTest = (path: string): boolean => path.endsWith(".test.ts");

/** True where time, chance and the like come from the host itself. */
function isHostSide(path: string): boolean {
  return /^(virt\/host|tools|scripts|bench|samples)\//.test(path) || isTest(path);
}

/** What runs in a page or a Worker, and is compiled with the browser's types (tsconfig.browser.json). */
function isBrowserSide(path: string): boolean {
  return /^(virt\/host\/browser|bench\/browser)\/|^samples\/hello-browser\/worker\.ts$/.test(path)
    && !isTest(path);
}

/** What runs in Node, and may import its modules. */
function isNodeSide(path: string): boolean {
  if (isBrowserSide(path)) return false;
  return /^(virt\/host\/node|tools|scripts|bench|samples)\//.test(path) || isTest(path);
}

/** Runs `test` on each line of each file that `applies`. */
function lineRule(
  name: string,
  applies: (path: string) => boolean,
  test: (line: string, path: string) => string | undefined,
): Rule {
  return {
    name,
    check: (files) =>
      files.filter((file) => applies(file.path)).flatMap((file) =>
        file.text.split("\n").flatMap((line, index) => {
          const message = test(line, file.path);
          return message === undefined ? [] : [{ rule: name, path: file.path, line: index + 1, message }];
        })
      ),
  };
}

/** Code with comments and string contents blanked, so that words in prose do not count. */
function codeOnly(line: string): string {
  return line
    .replace(/"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`/g, "\"\"")
    .replace(/\/\/.*$/, "")
    .replace(/^\s*\*.*$/, "")
    .replace(/\/\*.*?(\*\/|$)/g, "");
}

const spdx: Rule = {
  name: "spdx",
  check: (files) =>
    files
      .filter((f) =>
        isSource(f.path) && !f.text.slice(0, 300).includes("SPDX-License-Identifier: Apache-2.0")
      )
      .map((f) => ({
        rule: "spdx",
        path: f.path,
        line: 1,
        message: "no SPDX-License-Identifier: Apache-2.0 line",
      })),
};

const LINES_MAX = 500;
/** Files that may be longer, with the reason. */
const LONG_FILES: Readonly<Record<string, string>> = {
  "virt/translate/block.ts": "one pass over a block: values, memory and flags share its tables",
};

/** Tables are read by looking up, not from top to bottom. */
const isTable = (path: string): boolean => /\/tables?\//.test(path) || path.startsWith("include/uapi/");

const maxLines: Rule = {
  name: "max-lines",
  check: (files) =>
    files
      .filter((f) => isTypeScript(f.path) && !isTable(f.path) && LONG_FILES[f.path] === undefined)
      .map((f) => ({ path: f.path, lines: f.text.split("\n").length - 1 }))
      .filter(({ lines }) => lines > LINES_MAX)
      .map(({ path, lines }) => ({
        rule: "max-lines",
        path,
        line: 0,
        message: `${lines} lines; split it by meaning (at most ${LINES_MAX}) or list it with a reason`,
      })),
};

const AMBIENT =
  /(?<![.\w])(Date|performance|setTimeout|setInterval|setImmediate|queueMicrotask|globalThis)(?=[.(])|Math\.random/;

const noAmbient = lineRule(
  "no-ambient",
  (path) => isTypeScript(path) && !isHostSide(path),
  (line) => {
    const match = AMBIENT.exec(codeOnly(line));
    return match === null
      ? undefined
      : `${match[0]} reaches outside; time, chance and output come through Host`;
  },
);

const noModuleState = lineRule(
  "no-module-state",
  (path) => isTypeScript(path) && !isHostSide(path),
  (line) =>
    /^(export )?let /.test(line)
      ? "module-level `let`: state hangs from Kernel, Task, SuperBlock or Cpu"
      : undefined,
);

const noUnfinished = lineRule(
  "no-unfinished",
  (path) => isSource(path) && !path.startsWith("scripts/tidy/"),
  (line) =>
    /\b(TODO|FIXME|XXX|HACK)\b|\.skip\(|\.only\(|test\.todo|@ts-(ignore|nocheck|expect-error)|\bas any\b/
        .test(line)
      ? "unfinished work: finish it, make it data in the support table, or take it out"
      : undefined,
);

const noMachineWords = lineRule(
  "no-machine-words",
  (path) => !path.startsWith("scripts/tidy/") && path !== "package-lock.json",
  (line) =>
    /(?<![\w.])\/home\/\w+\//.test(line)
      ? "a path of one machine"
      : undefined,
);

/** Lower ranks may not import higher ones (Documentation/guidelines.md, "layers"). */
const LAYERS: readonly (readonly [RegExp, number])[] = [
  [/^include\/uapi\//, 0],
  [/^(lib|crypto)\//, 1],
  [/^include\//, 2],
  [/^(arch|virt)\/(?!host)/, 3],
  [/^(mm|block|kernel|certs)\/|^security\/commoncap\.ts$/, 4],
  [/^fs\/[^/]+$/, 5],
  [/^(net\/[^/]+|net\/core\/.*|ipc\/.*|security\/.*)$/, 6],
  [/^(fs\/[^/]+|net\/[^/]+|drivers|sound|usr)\//, 7],
  [/^init\//, 8],
  [/^virt\/host\//, 9],
  [/^(tools|scripts|samples|bench)\//, 10],
];

function rankOf(path: string): number {
  return LAYERS.find(([pattern]) => pattern.test(path))?.[1] ?? -1;
}

/** Resolves a relative import of `from`. */
function resolveImport(from: string, specifier: string): string {
  const parts = from.split("/").slice(0, -1);
  for (const part of specifier.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== ".") parts.push(part);
  }
  return parts.join("/");
}

/** Why `from` may not import `to`, if so. */
export function layerViolation(from: string, to: string): string | undefined {
  if (isTest(from)) return undefined;
  const a = rankOf(from);
  const b = rankOf(to);
  if (a < 0 || b < 0) return `no layer is known for ${a < 0 ? from : to}`;
  if (b > a) return `${from} (layer ${a}) must not import ${to} (layer ${b})`;
  if (isBrowserSide(from) && isNodeSide(to)) return "a page has no Node";
  if (isBrowserSide(to) && !isBrowserSide(from)) {
    return "only what runs in a page may import virt/host/browser";
  }
  if (/^virt\/host\/(?!node\/)/.test(from) && to.startsWith("virt/host/node/")) {
    return "only Node's own host knows Node";
  }
  if (a === 4 && b === 3 && !/^virt\/(layout|ir)/.test(to)) {
    return "the kernel knows the machine only as Cpu and GuestArch";
  }
  const family = /^(fs|net|drivers)\/([^/]+)\//;
  const x = family.exec(from);
  const y = family.exec(to);
  if (a === 7 && b === 7 && x !== null && y !== null && x[1] === y[1] && x[1] === "fs" && x[2] !== y[2]) {
    return `siblings do not meet: ${x[0]} and ${y[0]}`;
  }
  return undefined;
}

const layers = lineRule("layers", isTypeScript, (line, path) => {
  const match = /^(?:import|export)\b(?! type)[^"]*from "(\.[^"]+)"/.exec(line)
    ?? /^\} from "(\.[^"]+)"/.exec(line);
  if (match !== null) return layerViolation(path, resolveImport(path, match[1]!));
  if (/(?:^import |^\} from |\bimport\().*"node:/.test(line) && !isNodeSide(path)) {
    return "node:* belongs to virt/host/node and tools";
  }
  return undefined;
});

/** A call of a generator whose result is dropped does nothing at all. */
const droppedGenerator: Rule = {
  name: "dropped-generator",
  check: (files) => {
    const sources = files.filter((f) => isTypeScript(f.path) && !isTest(f.path));
    const sleeping = new Set<string>();
    const plain = new Set<string>();
    for (const { text } of sources) {
      for (const m of text.matchAll(/function\* (\w+)|^\s+(?:override |async |static )*\*(#?\w+)\(/gm)) {
        sleeping.add((m[1] ?? m[2])!);
      }
      for (
        const m of text.matchAll(
          /function (\w+)[(<]|^ {2}(?:override |static |async )*(#?\w+)(?:<[^>]*>)?\(.*\{$/gm,
        )
      ) {
        plain.add((m[1] ?? m[2])!);
      }
    }
    return sources.flatMap((file) =>
      file.text.split("\n").flatMap((line, index, lines) => {
        const name = /^\s+(?:this\.)?(#?\w+)\(.*\);$/.exec(codeOnly(line))?.[1];
        if (name === undefined || !sleeping.has(name) || plain.has(name)) return [];
        // The continuation of an expression that does something with the generator.
        if (/(=>|[=?:(,|&])$/.test(codeOnly(lines[index - 1] ?? "").trimEnd())) return [];
        return [{
          rule: "dropped-generator",
          path: file.path,
          line: index + 1,
          message: `${name} is a generator: without yield* the call does nothing`,
        }];
      })
    );
  },
};

export const RULES: readonly Rule[] = [
  spdx,
  maxLines,
  noAmbient,
  noModuleState,
  noUnfinished,
  noMachineWords,
  layers,
  droppedGenerator,
];
