// SPDX-License-Identifier: Apache-2.0
// Names of functions in a module of regions. A region's own name is that of its function for all entries.

/** An empty function in each module: an engine may keep code only of modules in which something is optimised. */
export const TRIFLE = "trifle";

const FIRST = ".first";

/** What the function for the first entry of a region is called, when there is one of its own. */
export function firstName(name: string): string {
  return name + FIRST;
}

/** The function that serves the first entry when there is none of its own. */
export function othersName(first: string): string {
  return first.slice(0, -FIRST.length);
}
