// SPDX-License-Identifier: Apache-2.0
// Trees, the summary and the page, from a profile made by hand. The page's script runs over a stand-in for a document.

import assert from "node:assert/strict";
import { test } from "node:test";
import { createContext, runInContext } from "node:vm";

import { escapeHtml, flameGraph } from "./flame-graph.ts";
import type { Frame, Profile } from "./profile.ts";
import { summary } from "./summary.ts";
import { makeTree, symbolTable } from "./tree.ts";

const START: Frame = { symbol: "_start", file: "/bin/a" };
const MAIN: Frame = { symbol: "main", file: "/bin/a" };
const LEAF: Frame = { symbol: "operator<", file: "/lib/c.so" };

function makeProfile(hasTime: boolean): Profile {
  const time = (ns: number): number => (hasTime ? ns : 0);
  return {
    hasTime,
    counters: { tlbFills: 1234, oddCounter: 5, slices: 0 },
    stacks: [
      { comm: "a", frames: [START, MAIN, LEAF], samples: 6, instructions: 600, hostNs: time(6e6) },
      { comm: "a", frames: [START, MAIN, MAIN], samples: 3, instructions: 300, hostNs: time(3e6) },
    ],
    kernel: [{ comm: "a", name: "read(2)", count: 7, hostNs: time(1e6) }],
    samples: 9,
    period: 100,
    instructions: 900,
    hostNs: time(9e6),
  };
}

test("a tree adds up what is beneath", () => {
  const root = makeTree(makeProfile(true), "calls");
  assert.deepEqual([root.instructions, root.hostNs, root.samples], [900, 10e6, 9]);
  const [process] = root.children;
  assert.deepEqual(process?.children.map((child) => [child.name, child.hostNs]), [["[kernel]", 1e6], [
    "_start",
    9e6,
  ]]);
  const main = process?.children[1]?.children[0];
  assert.deepEqual(main?.children.map((child) => [child.name, child.samples]), [["main", 3], [
    "operator<",
    6,
  ]]);
});

test("by file and symbol only the innermost frame counts", () => {
  const files = makeTree(makeProfile(true), "files").children[0]?.children ?? [];
  assert.deepEqual(files.map((file) => [file.name, file.samples]), [["/bin/a", 3], ["/lib/c.so", 6], [
    "[kernel]",
    0,
  ]]);
});

test("a recursive function counts once", () => {
  const rows = symbolTable(makeProfile(true), "instructions");
  assert.deepEqual(rows.map((row) => [row.symbol, row.self, row.total]), [
    ["operator<", 600, 600],
    ["main", 300, 900],
    ["_start", 0, 900],
  ]);
});

test("the summary has symbols, kernel functions and counters", () => {
  const text = summary(makeProfile(true));
  assert.match(text, /60\.00% +60\.00% {2}operator< {2}\/lib\/c\.so/);
  assert.match(text, / 7 +1\.00 ms {2}read\(2\)/);
  assert.match(text, /1,234 {2}TLB misses/);
  assert.match(text, /5 {2}oddCounter/);
  assert.doesNotMatch(text, /visits of TypeScript/);
  const virtual = summary(makeProfile(false));
  assert.match(virtual, /share of instructions/);
  assert.match(virtual, / 7 +- {2}read\(2\)/);
});

interface Box {
  readonly style: { cssText: string };
  textContent: string;
  readonly marks: Set<string>;
  onclick?: () => void;
  value: string;
  oninput?: () => void;
  hidden: boolean;
}

/** As much of a document as the page's script touches. */
function openPage(html: string): { boxes: Box[]; element: (id: string) => Box } {
  const boxes: Box[] = [];
  const make = (): Box & Record<string, unknown> => {
    const marks = new Set<string>();
    return {
      style: Object.assign({ cssText: "" }, { setProperty: () => {} }),
      classList: { add: (name: string) => marks.add(name) },
      marks,
      textContent: "",
      value: "",
      hidden: false,
      clientWidth: 1000,
      setAttribute: () => {},
      append: (box: Box) => void boxes.push(box),
      replaceChildren: () => void boxes.splice(0),
    };
  };
  const elements = new Map<string, Box>();
  const element = (id: string): Box => {
    const found = elements.get(id) ?? make();
    elements.set(id, found);
    return found;
  };
  const document = { getElementById: element, createElement: make, querySelectorAll: () => [] };
  const script = /<script>(.*)<\/script>/s.exec(html)?.[1] ?? "";
  runInContext(script, createContext({ document, addEventListener: () => {} }));
  return { boxes, element };
}

test("the page draws a box a frame, zooms, and finds", () => {
  const { boxes, element } = openPage(flameGraph(makeProfile(true), "a"));
  const shown = (): string[] => boxes.map((box) => box.textContent);
  assert.deepEqual(shown().toSorted(), [
    "[kernel]",
    "_start",
    "a",
    "all",
    "main",
    "main",
    "operator<",
    "read(2)",
  ]);
  const leaf = boxes.find((box) => box.textContent === "operator<");
  assert.match(leaf?.style.cssText ?? "", /width:600px/);
  assert.equal(element("reset").hidden, true);
  leaf?.onclick?.();
  assert.match(boxes.find((box) => box.textContent === "operator<")?.style.cssText ?? "", /width:1000px/);
  assert.equal(shown().includes("[kernel]"), false);
  assert.equal(element("reset").hidden, false);
  element("reset").onclick?.();
  element("search").value = "MAIN";
  element("search").oninput?.();
  assert.equal(boxes.filter((box) => box.marks.has("hit")).length, 2);
  assert.equal(element("found").textContent, "90.00% in or beneath a match");
});

test("the page holds names that look like markup", () => {
  assert.equal(escapeHtml("a<b>&\""), "a&lt;b&gt;&amp;&quot;");
  const html = flameGraph(makeProfile(false), "sh -c 'echo </script>'");
  assert.equal(html.split("</script>").length, 2);
  assert.match(html, /sh -c 'echo &lt;\/script&gt;'/);
  assert.doesNotMatch(html, /https?:/);
});
