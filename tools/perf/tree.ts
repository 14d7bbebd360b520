// SPDX-License-Identifier: Apache-2.0
// A profile as a tree for drawing, in two views: by call chain, and by file and symbol.

import type { Frame, Profile } from "./profile.ts";
import { COMPILE } from "./recorder.ts";

export type View = "calls" | "files";

export interface TreeNode {
  readonly name: string;
  /** Where it comes from, for colour and for the tip; "[kernel]" or "[compiler]" for what is not the program's. */
  readonly file: string;
  /** Of the node and all beneath it. */
  instructions: number;
  hostNs: number;
  samples: number;
  readonly children: TreeNode[];
}

export const KERNEL = "[kernel]";
export const COMPILER = "[compiler]";

/** Whose a function is that is not the program's. */
function ownerOf(name: string): string {
  return name === COMPILE ? COMPILER : KERNEL;
}

function makeNode(name: string, file: string): TreeNode {
  return { name, file, instructions: 0, hostNs: 0, samples: 0, children: [] };
}

class TreeBuilder {
  readonly root: TreeNode = makeNode("all", "");
  readonly #index = new Map<TreeNode, Map<string, TreeNode>>();

  add(path: readonly Frame[], weight: Pick<TreeNode, "instructions" | "hostNs" | "samples">): void {
    let node = this.root;
    addWeight(node, weight);
    for (const frame of path) {
      node = this.#child(node, frame);
      addWeight(node, weight);
    }
  }

  #child(node: TreeNode, { symbol, file }: Frame): TreeNode {
    let children = this.#index.get(node);
    if (children === undefined) this.#index.set(node, children = new Map<string, TreeNode>());
    const key = `${symbol}\0${file}`;
    let child = children.get(key);
    if (child === undefined) {
      children.set(key, child = makeNode(symbol, file));
      node.children.push(child);
    }
    return child;
  }
}

function addWeight(node: TreeNode, weight: Pick<TreeNode, "instructions" | "hostNs" | "samples">): void {
  node.instructions += weight.instructions;
  node.hostNs += weight.hostNs;
  node.samples += weight.samples;
}

/** Children by name, so that the same profile gives the same picture. */
function sortTree(node: TreeNode): void {
  node.children.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  for (const child of node.children) sortTree(child);
}

export function makeTree(profile: Profile, view: View): TreeNode {
  const builder = new TreeBuilder();
  for (const stack of profile.stacks) {
    const leaf = stack.frames.at(-1);
    if (leaf === undefined) continue;
    const path = view === "calls" ? stack.frames : [{ symbol: leaf.file, file: leaf.file }, leaf];
    builder.add([{ symbol: stack.comm, file: "" }, ...path], stack);
  }
  for (const { comm, name, hostNs } of profile.kernel) {
    if (hostNs === 0) continue;
    const path = [{ symbol: comm, file: "" }, { symbol: KERNEL, file: KERNEL }, {
      symbol: name,
      file: KERNEL,
    }];
    builder.add(path, { hostNs, instructions: 0, samples: 0 });
  }
  sortTree(builder.root);
  return builder.root;
}

export interface SymbolRow extends Frame {
  /** Innermost frame there, or anywhere in the chain. */
  self: number;
  total: number;
}

/** The weight of each symbol, greatest self first. */
export function symbolTable(profile: Profile, weightOf: "hostNs" | "instructions"): SymbolRow[] {
  const rows = new Map<string, SymbolRow>();
  const row = (frame: Frame): SymbolRow => {
    const key = `${frame.symbol}\0${frame.file}`;
    let found = rows.get(key);
    if (found === undefined) rows.set(key, found = { ...frame, self: 0, total: 0 });
    return found;
  };
  for (const stack of profile.stacks) {
    const weight = stack[weightOf];
    const leaf = stack.frames.at(-1);
    if (leaf !== undefined) row(leaf).self += weight;
    // A recursive function counts once.
    for (const frame of new Set(stack.frames)) row(frame).total += weight;
  }
  if (weightOf === "hostNs") {
    for (const { name, hostNs } of profile.kernel) {
      const entry = row({ symbol: name, file: ownerOf(name) });
      entry.self += hostNs;
      entry.total += hostNs;
    }
  }
  return [...rows.values()].filter((entry) => entry.total > 0).sort((a, b) => b.self - a.self);
}
