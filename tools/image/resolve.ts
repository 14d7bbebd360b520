// SPDX-License-Identifier: Apache-2.0
// Which packages an image needs: the closure of the wanted ones under Pre-Depends and Depends.
//
// One version of each name is known (a single suite). A group with one way to be satisfied is settled before a
// group with several, so that a choice falls on what is needed anyway. Among several the first alternative
// that can be had wins, and a real package goes before a virtual one; among the providers of a virtual
// package the one with the highest priority wins, then the first by name. The outcome depends on nothing else.

import { formatAlternatives, parseDependencies } from "./dependency.ts";
import type { Alternatives, Dependency } from "./dependency.ts";
import { satisfiesRelation } from "./version.ts";
import { paragraphs } from "../../lib/deb822.ts";
import type { Paragraph } from "../../lib/deb822.ts";

export interface Package {
  readonly name: string;
  readonly version: string;
  readonly architecture: string;
  readonly priority: string;
  readonly isEssential: boolean;
  readonly depends: readonly Alternatives[];
  readonly preDepends: readonly Alternatives[];
  readonly conflicts: readonly Alternatives[];
  readonly provides: readonly Alternatives[];
  /** The paragraph of the index. */
  readonly control: Paragraph;
}

const PRIORITIES = ["required", "important", "standard", "optional", "extra"];

/** Reads a package's paragraph; throws when a field that must be there is missing. */
function parsePackage(control: Paragraph): Package {
  const need = (field: string): string => {
    const value = control.get(field);
    if (value === undefined) {
      throw new Error(`package index: ${control.get("Package") ?? "?"} has no ${field}`);
    }
    return value;
  };
  return {
    name: need("Package"),
    version: need("Version"),
    architecture: need("Architecture"),
    priority: control.get("Priority") ?? "optional",
    isEssential: control.get("Essential") === "yes",
    depends: parseDependencies(control.get("Depends")),
    preDepends: parseDependencies(control.get("Pre-Depends")),
    conflicts: [
      ...parseDependencies(control.get("Conflicts")),
      ...parseDependencies(control.get("Breaks")),
    ],
    provides: parseDependencies(control.get("Provides")),
    control,
  };
}

/** The packages of a suite, by name and by what they provide. Paragraphs are read when they are asked for. */
export class PackageIndex {
  readonly #texts = new Map<string, string>();
  readonly #packages = new Map<string, Package>();
  readonly #providers = new Map<string, string[]>();

  /** `texts` are the files "Packages" of the components wanted. */
  constructor(texts: readonly string[]) {
    for (const text of texts) {
      for (let start = 0; start < text.length;) {
        let end = text.indexOf("\n\n", start);
        if (end < 0) end = text.length;
        this.#add(text.slice(start, end));
        start = end + 2;
      }
    }
  }

  #add(text: string): void {
    const name = /^Package: *(\S+)/m.exec(text)?.[1];
    if (name === undefined) return;
    this.#texts.set(name, text);
    const at = text.indexOf("\nProvides:");
    if (at < 0) return;
    const end = text.indexOf("\n", at + 1);
    for (const [provided] of parseDependencies(text.slice(at + 10, end < 0 ? undefined : end))) {
      if (provided === undefined) continue;
      const list = this.#providers.get(provided.name);
      if (list === undefined) this.#providers.set(provided.name, [name]);
      else list.push(name);
    }
  }

  get(name: string): Package | undefined {
    const known = this.#packages.get(name);
    const text = this.#texts.get(name);
    if (known !== undefined || text === undefined) return known;
    for (const paragraph of paragraphs(text)) {
      const parsed = parsePackage(paragraph);
      this.#packages.set(name, parsed);
      return parsed;
    }
    return undefined;
  }

  /** The names of all packages of this priority, in order. */
  withPriority(priority: string): string[] {
    const line = `\nPriority: ${priority}`;
    const names: string[] = [];
    for (const [name, text] of this.#texts) if (`${text}\n`.includes(`${line}\n`)) names.push(name);
    return names.sort();
  }

  /** All packages that satisfy `dependency`, the best first. */
  candidates(dependency: Dependency): Package[] {
    const real = this.get(dependency.name);
    const providers = (this.#providers.get(dependency.name) ?? [])
      .map((name) => this.get(name))
      .filter((candidate) => candidate !== undefined)
      .filter((candidate) => candidate !== real && satisfies(candidate, dependency))
      .sort(byPriority);
    return real !== undefined && satisfies(real, dependency) ? [real, ...providers] : providers;
  }
}

function byPriority(a: Package, b: Package): number {
  return PRIORITIES.indexOf(a.priority) - PRIORITIES.indexOf(b.priority) || (a.name < b.name ? -1 : 1);
}

/** Whether installing `candidate` fulfils `dependency`, by its own name or by what it provides. */
export function satisfies(candidate: Package, dependency: Dependency): boolean {
  const { constraint } = dependency;
  if (candidate.name === dependency.name) {
    return constraint === undefined
      || satisfiesRelation(candidate.version, constraint.relation, constraint.version);
  }
  return candidate.provides.some(([provided]) => {
    if (provided?.name !== dependency.name) return false;
    if (constraint === undefined) return true;
    const version = provided.constraint?.version;
    return version !== undefined && satisfiesRelation(version, constraint.relation, constraint.version);
  });
}

interface Need {
  readonly group: Alternatives;
  readonly wantedBy: string;
}

/** The wanted packages and all they need, by name. Throws an Error that names what cannot be had. */
export function resolve(index: PackageIndex, wanted: readonly string[]): Package[] {
  const selected = new Map<string, Package>();
  const needs: Need[] = wanted.map((name) => ({
    group: [{ name, qualifier: undefined, constraint: undefined }],
    wantedBy: "",
  }));
  let deferred: Need[] = [];
  const select = (chosen: Package): void => {
    if (selected.has(chosen.name)) return;
    selected.set(chosen.name, chosen);
    for (const group of [...chosen.preDepends, ...chosen.depends]) {
      needs.push({ group, wantedBy: chosen.name });
    }
  };
  while (needs.length > 0 || deferred.length > 0) {
    const need = needs.shift();
    if (need === undefined) {
      const [first, ...rest] = deferred;
      deferred = rest;
      if (first !== undefined && !isMet(first.group, selected)) select(choose(index, first, selected));
      continue;
    }
    if (isMet(need.group, selected)) continue;
    const [first] = need.group;
    const isPlain = need.group.length === 1 && first !== undefined && index.candidates(first).length <= 1;
    if (isPlain || need.wantedBy === "") select(choose(index, need, selected));
    else deferred.push(need);
  }
  const packages = [...selected.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  refuseConflicts(packages);
  return packages;
}

function isMet(group: Alternatives, selected: ReadonlyMap<string, Package>): boolean {
  return group.some((dependency) => {
    const named = selected.get(dependency.name);
    if (named !== undefined && satisfies(named, dependency)) return true;
    for (const candidate of selected.values()) {
      if (candidate.provides.length > 0 && satisfies(candidate, dependency)) return true;
    }
    return false;
  });
}

function choose(index: PackageIndex, need: Need, selected: ReadonlyMap<string, Package>): Package {
  const candidates = need.group.flatMap((dependency) => index.candidates(dependency));
  const peaceful = candidates.find((candidate) =>
    ![...selected.values()].some((other) => doConflict(candidate, other) || doConflict(other, candidate))
  );
  const chosen = peaceful ?? candidates[0];
  if (chosen !== undefined) return chosen;
  const text = formatAlternatives(need.group);
  throw new Error(
    need.wantedBy === ""
      ? `no package ${text} in the suite`
      : `${need.wantedBy} needs ${text}: not in the suite`,
  );
}

function doConflict(one: Package, other: Package): boolean {
  return one !== other
    && one.conflicts.some((group) => group.some((dependency) => satisfies(other, dependency)));
}

function refuseConflicts(packages: readonly Package[]): void {
  for (const one of packages) {
    for (const other of packages) {
      if (doConflict(one, other)) {
        throw new Error(`${one.name} and ${other.name} cannot be installed together`);
      }
    }
  }
}
