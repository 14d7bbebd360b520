// SPDX-License-Identifier: Apache-2.0
// Relations between packages: "a (>= 1), b:any | c [amd64] <!nocheck>". Source: deb-control(5), Policy 7.1.

import type { Relation } from "./version.ts";

export interface Dependency {
  readonly name: string;
  /** The part after the colon ("any", "native", an architecture), if there is one. */
  readonly qualifier: string | undefined;
  readonly constraint: { readonly relation: Relation; readonly version: string } | undefined;
}

/** One of these must hold. */
export type Alternatives = readonly Dependency[];

const PATTERN =
  /^([A-Za-z0-9][A-Za-z0-9+.-]*)(?::([a-z0-9-]+))?\s*(?:\(\s*(<<|<=|=|>=|>>|<|>)\s*([^\s)]+)\s*\))?$/;
/** The old spellings "<" and ">" mean "or equal". */
const RELATIONS: ReadonlyMap<string, Relation> = new Map([
  ["<<", "<<"],
  ["<=", "<="],
  ["=", "="],
  [">=", ">="],
  [">>", ">>"],
  ["<", "<="],
  [">", ">="],
]);

function parseDependency(text: string): Dependency {
  const match = PATTERN.exec(text);
  const name = match?.[1];
  if (match === null || name === undefined) throw new Error(`cannot read the dependency "${text}"`);
  const relation = RELATIONS.get(match[3] ?? "");
  const version = match[4];
  return {
    name,
    qualifier: match[2],
    constraint: relation === undefined || version === undefined ? undefined : { relation, version },
  };
}

/** The groups of a dependency field; an absent or empty field has none. */
export function parseDependencies(field: string | undefined): Alternatives[] {
  if (field === undefined) return [];
  return field.split(",").map((group) => group.trim()).filter((group) => group !== "")
    .map((group) => group.split("|").map((text) => parseDependency(text.trim())));
}

/** A dependency as it would stand in a control file, for messages. */
export function formatAlternatives(alternatives: Alternatives): string {
  return alternatives.map(({ name, qualifier, constraint }) => {
    const version = constraint === undefined ? "" : ` (${constraint.relation} ${constraint.version})`;
    return `${name}${qualifier === undefined ? "" : `:${qualifier}`}${version}`;
  }).join(" | ");
}
