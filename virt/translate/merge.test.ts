// SPDX-License-Identifier: Apache-2.0
// Which regions are to be one: those of a function that lead into each other, when much of the time went into more than one of them.

import assert from "node:assert/strict";
import { test } from "node:test";

import { INSN_BYTES, ToyCode, type ToyCodeLine } from "../testing/toy-code.ts";
import type { Region } from "./live.ts";
import { findMerges } from "./merge.ts";

/** Two regions that lead into each other: 0 to 2, and 3 to 6. Another function begins at 8. */
const CODE: readonly ToyCodeLine[] = [
  ["plain"],
  ["if", 5],
  ["to", 0],
  ["plain"], // 3
  ["to", 1],
  ["plain"],
  ["to", 8],
  ["return"],
  ["plain"], // 8
  ["return"],
];

interface Kind {
  readonly samples: number;
  readonly isSettled?: boolean;
  readonly isClaimed?: boolean;
  readonly switches?: readonly (readonly [number, readonly number[]])[];
}

/** A region of blocks that begin at these instructions, the anchor first. */
function region([anchor, ...more]: readonly number[], kind: Kind): Region {
  const { samples, isSettled = false, isClaimed = false, switches = [] } = kind;
  const offsets = [0, ...more.map((n) => (n - anchor!) * INSN_BYTES)];
  return {
    anchorPc: anchor! * INSN_BYTES,
    offsets: new Set(offsets),
    samples,
    isClaimed,
    module: { isSettled },
    facts: { switches },
  } as unknown as Region; // nothing else of it is read
}

function merges(regions: readonly Region[], code: readonly ToyCodeLine[] = CODE): Region[][] {
  return findMerges(new ToyCode(code), regions, ({ anchorPc }) => anchorPc).map((
    merge,
  ) => [...merge.regions]);
}

test("regions that lead into each other are to be one, the most used first", () => {
  const [little, much] = [region([0, 1, 2], { samples: 100 }), region([5, 3], { samples: 300 })];
  assert.deepEqual(merges([little, much]), [[much, little]]);
  const [merge] = findMerges(new ToyCode(CODE), [little, much], ({ anchorPc }) => anchorPc);
  assert.equal(merge!.blocks, 5);
});

test("a jump to where a function begins may be a call of another", () => {
  const [caller, callee] = [region([5, 3], { samples: 300 }), region([8], { samples: 300 })];
  assert.deepEqual(merges([caller, callee]), []);
});

test("nothing is done for what took little time, is taken already, or when nothing ran for long", () => {
  const parts = (first: Kind, second: Kind): Region[] => [region([0, 1, 2], first), region([5, 3], second)];
  assert.deepEqual(merges(parts({ samples: 1000 }, { samples: 9 })), []);
  assert.deepEqual(merges(parts({ samples: 1000, isSettled: true }, { samples: 50 })), []);
  assert.equal(merges(parts({ samples: 1000, isSettled: true }, { samples: 60 })).length, 1);
  const settled = { samples: 500, isSettled: true };
  assert.deepEqual(merges(parts(settled, settled)), []);
  assert.deepEqual(merges(parts({ samples: 1000 }, { samples: 500, isClaimed: true })), []);
  assert.deepEqual(merges(parts({ samples: 100 }, { samples: 99 })), []);
});

test("a region that makes it too large stays out", () => {
  const lines = Array.from({ length: 900 }, (_, n): ToyCodeLine => ["to", (n + 1) % 900]);
  const part = (first: number, count: number, samples: number): Region =>
    region(Array.from({ length: count }, (_, n) => first + n), { samples });
  const [large, middle, small] = [part(1, 250, 900), part(251, 200, 800), part(451, 100, 700)];
  assert.deepEqual(merges([large, middle, small], lines), [[large, small]]);
});

test("where an indirect jump of one went in another is known in what they become", () => {
  const code: readonly ToyCodeLine[] = [["switch", 1, 3], ["to", 0], ["plain"], ["to", 1]];
  const first = region([0, 1], { samples: 300, switches: [[0, [INSN_BYTES]]] });
  const [merge] = findMerges(new ToyCode(code), [first, region([3], { samples: 300 })], (r) => r.anchorPc);
  assert.deepEqual([...merge!.switches], [[0, [INSN_BYTES, 3 * INSN_BYTES]]]);
});
