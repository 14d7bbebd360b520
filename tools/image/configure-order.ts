// SPDX-License-Identifier: Apache-2.0
// The order in which unpacked packages are configured: what a package needs comes before it.

import { parseDependencies } from "./dependency.ts";
import { satisfies } from "./resolve.ts";
import type { Package } from "./resolve.ts";

/** Accounts and base directories come first, as other packages' scripts take them for granted. */
const FIRST = ["base-passwd", "base-files"];

/** All packages, each after those it depends on; cycles are cut where they are met, dpkg does the same. */
export function configureOrder(packages: readonly Package[]): Package[] {
  const order: Package[] = [];
  const visited = new Set<Package>();
  const needs = (one: Package): Package[] =>
    [...parseDependencies(one.control.get("Pre-Depends")), ...parseDependencies(one.control.get("Depends"))]
      .flatMap((group) =>
        packages.filter((other) => group.some((dependency) => satisfies(other, dependency)))
      );
  const visit = (one: Package): void => {
    if (visited.has(one)) return;
    visited.add(one);
    for (const other of needs(one)) visit(other);
    order.push(one);
  };
  for (const name of FIRST) for (const one of packages) if (one.name === name) visit(one);
  for (const one of packages) if (one.isEssential) visit(one);
  for (const one of packages) visit(one);
  return order;
}
