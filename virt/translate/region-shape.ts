// SPDX-License-Identifier: Apache-2.0
// What is known of a region when its code is emitted.

import type { DataLayout, Links } from "./data.ts";
import type { Graph } from "./graph.ts";
import type { IrBlock } from "./ir-block.ts";
import type { RegionNames } from "./transfer.ts";

/** Node n >= 1 of the graph is blocks[n - 1]: the region's own, and after them copies of others' (inline.ts). */
export interface RegionShape {
  readonly graph: Graph;
  readonly blocks: readonly IrBlock[];
  /** Guest address of the anchor; addresses are used only as offsets from it. */
  readonly anchorPc: number;
  /** By node: where it goes on in the region, by guest address; and what the target of a guard or a copy's return is compared with. */
  readonly ways: readonly ReadonlyMap<number, number>[];
  readonly expected: ReadonlyMap<number, number>;
  readonly layout: DataLayout;
  /** Nodes that indirect jumps in the region go to; with none, they leave it. */
  readonly switchTargets: readonly number[];
  /** Whether accesses share checks (memory.ts). */
  readonly hasGroups: boolean;
  /** Guest addresses of instructions whose blocks do not. */
  readonly apart: ReadonlySet<number>;
  /** Whether code comes in at the first entry alone. */
  readonly isFirstOnly: boolean;
  /** Functions of the module that make up the region: for the first entry, and for the others. */
  readonly names: RegionNames;
  /** More are added. */
  readonly links: Links;
  readonly foresee: (offset: number, link: number) => string | undefined;
  /** By guest address of a block with an indirect call: offset of the region of the module that it went to before. */
  readonly expectedCall: (pc: number) => number | undefined;
  /** Whether it is noted where indirect calls go. */
  readonly watchesCalls: boolean;
  readonly noteSite: (offset: number, link: number) => void;
  /** Whether code at a guest address outside runs often enough for a link of its own. */
  readonly isBusy: (pc: number) => boolean;
}
