// SPDX-License-Identifier: Apache-2.0
// A profile as one HTML file that needs nothing else: flame graph, symbols, kernel functions, counters.

import { PAGE_SCRIPT } from "./page-script.ts";
import { PAGE_STYLE } from "./page-style.ts";
import type { Profile } from "./profile.ts";
import { callRows, counterRows, grouped, headline, milliseconds } from "./summary.ts";
import { makeTree, symbolTable, type TreeNode } from "./tree.ts";

const SYMBOLS_SHOWN = 60;

/** [name, file, instructions, microseconds, children]; names are indices. */
type PageNode = readonly [number, number, number, number, readonly PageNode[]];

class Names {
  readonly #index = new Map<string, number>();

  of(name: string): number {
    const index = this.#index.get(name) ?? this.#index.size;
    this.#index.set(name, index);
    return index;
  }

  get all(): string[] {
    return [...this.#index.keys()];
  }
}

function pageNode(node: TreeNode, names: Names): PageNode {
  const { name, file, instructions, hostNs, children } = node;
  return [
    names.of(name),
    names.of(file),
    instructions,
    Math.round(hostNs / 1000),
    children.map((child) => pageNode(child, names)),
  ];
}

export function escapeHtml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll(
    "\"",
    "&quot;",
  );
}

/** JSON that may stand in a script element. */
function scriptJson(value: unknown): string {
  return JSON.stringify(value).replaceAll("<", "\\u003c");
}

interface Column {
  readonly head: string;
  readonly isNumber?: boolean;
}

function table(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const cell = (tag: "td" | "th", text: string, column: Column | undefined): string => {
    const isNumber = column?.isNumber === true;
    const inner = tag === "td" && !isNumber ? `<code>${escapeHtml(text)}</code>` : escapeHtml(text);
    return `<${tag}${isNumber ? " class=n" : ""}>${inner}</${tag}>`;
  };
  const head = columns.map((column) => cell("th", column.head, column)).join("");
  const body = rows.map((row) => `<tr>${row.map((text, n) => cell("td", text, columns[n])).join("")}</tr>`);
  return `<table><thead><tr>${head}</tr></thead><tbody>${body.join("\n")}</tbody></table>`;
}

function radios(
  name: string,
  label: string,
  choices: readonly (readonly [value: string, text: string])[],
): string {
  const inputs = choices.map(([value, text], n) =>
    `<label><input type=radio name=${name} value=${value}${
      n === 0 ? " checked" : ""
    }><span>${text}</span></label>`
  );
  return `<fieldset aria-label="${label}">${inputs.join("")}</fieldset>`;
}

function symbolSection(profile: Profile): string {
  const weightOf = profile.hasTime ? "hostNs" : "instructions";
  const rows = symbolTable(profile, weightOf);
  const all = Math.max(1, rows.reduce((sum, row) => sum + row.self, 0));
  const share = (value: number): string => `${(100 * value / all).toFixed(2)} %`;
  const numbers = [{ head: "self", isNumber: true }, { head: "with callees", isNumber: true }];
  return table(
    [...numbers, { head: `symbol (share of ${profile.hasTime ? "host time" : "instructions"})` }, {
      head: "file",
    }],
    rows.slice(0, SYMBOLS_SHOWN).map((row) => [share(row.self), share(row.total), row.symbol, row.file]),
  );
}

function kernelSection(profile: Profile): string {
  return table(
    [{ head: "calls", isNumber: true }, { head: "host time", isNumber: true }, { head: "function" }],
    callRows(profile).map(({ name, count, hostNs }) => [
      grouped(count),
      profile.hasTime ? milliseconds(hostNs) : "-",
      name,
    ]),
  );
}

const ABOUT_STACKS =
  `Call chains are unwound from a copy of the registers and the stack by the frame tables that
compilers write for exceptions (.eh_frame); no frame pointers, no guesses. Where the tables or the copy (16 KiB) end, the
chain hangs from [callers unknown]. Functions that an optimiser inlined or left by a tail call do not appear. A stripped
file has no names for its inner functions: they are shown by their start and the symbol that stands before them. A sample
is taken where translated code can be left, at the end of a loop's round or at a call, so a long stretch of straight code
counts for the place behind it.`;
const ABOUT_TIME =
  `The host time of a frame is the time in its code and in the translator for it; "compile module" is
V8's compiler, without what it does later on threads of its own. The time of a system call leaves its sleep out and is not
tied to the program's call chain.`;

/** The whole page. `command` is what ran. */
export function flameGraph(profile: Profile, command: string): string {
  const names = new Names();
  const trees = {
    calls: pageNode(makeTree(profile, "calls"), names),
    files: pageNode(makeTree(profile, "files"), names),
  };
  const data = scriptJson({ hasTime: profile.hasTime, names: names.all, trees });
  const weights = profile.hasTime
    ? radios("weight", "Width", [["3", "host time"], ["2", "instructions"]])
    : "<span>width: instructions</span>";
  const title = escapeHtml(command);
  return `<!doctype html>
<html lang=en><meta charset=utf-8><meta name=viewport content="width=device-width, initial-scale=1">
<title>perf: ${title}</title><style>${PAGE_STYLE}</style>
<h1>${title}</h1>
<p>${escapeHtml(headline(profile))}.</p>
<div class=bar>
${radios("view", "View", [["calls", "process, calls"], ["files", "process, file, symbol"]])}
${weights}
<input type=search id=search placeholder="search ( / )" aria-label="Search symbols and files">
<span id=found role=status></span>
<button id=reset hidden>reset zoom (Esc)</button>
</div>
<div id=graph></div>
<div id=tip>A box is a frame, beneath it what it called. Click one to zoom in.</div>
<p>${ABOUT_STACKS}</p>
${profile.hasTime ? `<p>${ABOUT_TIME}</p>` : ""}
<h2>Symbols</h2>
${symbolSection(profile)}
<h2>Kernel and compiler</h2>
${kernelSection(profile)}
<h2>Machine</h2>
${
    table(
      [{ head: "count", isNumber: true }, { head: "counter" }],
      counterRows(profile).map(({ words, value }) => [grouped(value), words]),
    )
  }
<script>const profile = ${data};
${PAGE_SCRIPT}</script>
</html>
`;
}
