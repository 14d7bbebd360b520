// SPDX-License-Identifier: Apache-2.0
// What a region keeps in RAM. Its code finds it by an argument, so that the code itself names no address and may be
// kept and used elsewhere.
//
//   +0   u32  slow exits left until STATUS_SLOW_OFTEN
//   +4   u32  1 once it was entered by the function for entries other than the first
//   +8   i32  by entry: offset of its block from the anchor
//   ...  16 bytes by bucket of a hash of what indirect jumps go to: two of {i32 offset from the anchor, i32 entry}
//   ...  32 bytes by direct transfer to other code, a link: i64 key (valid while it equals LINK_KEY), u32 table index,
//        u32 entry word, u32 the entry word when the link leads to the function that was foreseen (0: to no one), u32 spare,
//        i64 the key once more when it does lead there, else all ones
//
// The entry word is the address of the data, a multiple of 256, plus the number of the entry.

export const DATA_ALIGNMENT = 256;
export const OTHERS_USED_AT = 4;
export const OFFSETS_AT = 8;
export const LINK_BYTES = 32;
export const LINK_INDEX_AT = 8;
export const LINK_ENTRY_AT = 12;
export const LINK_FORESEEN_AT = 16;
export const LINK_DIRECT_AT = 24;

export interface DataLayout {
  readonly offsets: readonly number[];
  readonly mapAt: number;
  readonly map: SwitchMap;
  readonly linksAt: number;
}

/** No block is that far from its anchor. */
const NO_OFFSET = 0x7fff_ffff;

/** `offsets`: of the entries' blocks from the anchor; `targets`: those that indirect jumps of the region go to. */
export function layOut(offsets: readonly number[], targets: readonly number[]): DataLayout {
  const mapAt = (OFFSETS_AT + offsets.length * 4 + 7) & ~7;
  const map = hashTargets(offsets, targets);
  const linksAt = (mapAt + map.places.length * 8 + 15) & ~15;
  return { offsets, mapAt, map, linksAt };
}

export function dataBytes(layout: DataLayout, links: number): number {
  return layout.linksAt + links * LINK_BYTES;
}

export function writeData(view: DataView, base: number, layout: DataLayout, links: number): void {
  const { offsets } = layout;
  view.setInt32(base, 0, true);
  view.setInt32(base + OTHERS_USED_AT, 0, true);
  offsets.forEach((offset, n) => view.setInt32(base + OFFSETS_AT + n * 4, offset, true));
  layout.map.places.forEach((place, n) => {
    view.setInt32(base + layout.mapAt + n * 8, place?.offset ?? NO_OFFSET, true);
    view.setInt32(base + layout.mapAt + n * 8 + 4, place?.number ?? 0, true);
  });
  for (let n = 0; n < links; n++) {
    const link = base + layout.linksAt + n * LINK_BYTES;
    view.setInt32(link, -1, true);
    view.setInt32(link + 4, -1, true); // no key: tags are never all ones
    view.setInt32(link + LINK_FORESEEN_AT, 0, true);
    view.setBigInt64(link + LINK_DIRECT_AT, -1n, true);
  }
}

interface SwitchMap {
  readonly factor: number;
  readonly shift: number;
  /** Two entries a bucket: offset and number, or undefined. */
  readonly places: readonly ({ readonly offset: number; readonly number: number } | undefined)[];
}

const FACTORS_TRIED = 32;

/** The best of some hash functions. A target without a place is found by the jump cache. */
function hashTargets(offsets: readonly number[], targets: readonly number[]): SwitchMap {
  const bits = Math.max(1, Math.ceil(Math.log2(targets.length + 1)) + 1);
  const shift = 32 - bits;
  let best: SwitchMap | undefined;
  let bestCount = -1;
  for (let n = 0; n < FACTORS_TRIED && bestCount < targets.length; n++) {
    const factor = Math.imul(0x9e37_79b1, 2 * n + 1);
    const places = Array.from<SwitchMap["places"][number]>({ length: 2 << bits });
    let count = 0;
    for (const offset of targets) {
      const bucket = (Math.imul(offset, factor) >>> shift) * 2;
      const free = [bucket, bucket + 1].find((at) => places[at] === undefined);
      if (free === undefined) continue;
      places[free] = { offset, number: offsets.indexOf(offset) };
      count++;
    }
    if (count <= bestCount) continue;
    bestCount = count;
    best = { factor, shift, places };
  }
  if (best === undefined) throw new Error("no hash was tried");
  return best;
}
