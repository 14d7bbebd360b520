// SPDX-License-Identifier: Apache-2.0
// A region as stores keep it, for their tests.

import type { StoredRegion } from "../../include/host/translations.ts";

/** One block of three instructions, 16 bytes into the first of `pages`. */
export function storedRegion(name: string, pages: StoredRegion["pages"]): StoredRegion {
  return {
    name,
    anchorOffset: 16,
    mode: 0,
    pages,
    offsets: [0],
    entries: [0],
    switches: [],
    exits: [],
    apart: [],
    callees: [],
    links: 0,
    calls: [],
    sites: [],
    instructions: 3,
    generation: 0,
    hasGroups: true,
    tables: "none",
  };
}
