// SPDX-License-Identifier: Apache-2.0
// What a region keeps in RAM. Its code finds it by an argument, so that the code itself names no address and may be
// kept and used elsewhere.
//
//   +0   u32  slow exits left until STATUS_SLOW_OFTEN
//   +4   u32  1 once it was entered by the function for entries other than the first, where there are two
//   +8   i32  by entry: offset of its block from the anchor
//   ...  32 bytes by direct transfer to other code, a link: i64 key (valid while it equals LINK_KEY), u32 table index,
//        u32 entry word, u32 the entry word when the link leads to the function that was foreseen (0: to no one), u32 spare,
//        i64 the key once more when it does lead there, else all ones. The link of a steady jump (stubs.ts) has the guest address that
//        it leads to in the place of that; where an indirect call is only watched, a link has nothing but the address that it went to last, and in the
//        place of the foreseen one how often that changed
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
export const LINK_PC_AT = 24;
export const LINK_CHANGES_AT = 16;

export interface DataLayout {
  readonly offsets: readonly number[];
  readonly linksAt: number;
}

/** `offsets`: of the entries' blocks from the anchor. */
export function layOut(offsets: readonly number[]): DataLayout {
  return { offsets, linksAt: (OFFSETS_AT + offsets.length * 4 + 15) & ~15 };
}

/** The links of a region: what each is for, and its number. */
export class Links {
  readonly #numbers = new Map<string, number>();

  /** `kind`: whether `offset` is that of where the jump leads to, of the place that says where, or of a block whose call is watched. */
  numberOf(kind: "target" | "place" | "site", offset: number): number {
    const key = `${kind} ${offset}`;
    const number = this.#numbers.get(key) ?? this.#numbers.size;
    this.#numbers.set(key, number);
    return number;
  }

  get count(): number {
    return this.#numbers.size;
  }
}

export function dataBytes(layout: DataLayout, links: number): number {
  return layout.linksAt + links * LINK_BYTES;
}

export function writeData(view: DataView, base: number, layout: DataLayout, links: number): void {
  const { offsets } = layout;
  view.setInt32(base, 0, true);
  view.setInt32(base + OTHERS_USED_AT, 0, true);
  offsets.forEach((offset, n) => view.setInt32(base + OFFSETS_AT + n * 4, offset, true));
  for (let n = 0; n < links; n++) {
    const link = base + layout.linksAt + n * LINK_BYTES;
    view.setInt32(link, -1, true);
    view.setInt32(link + 4, -1, true); // no key: tags are never all ones
    view.setInt32(link + LINK_FORESEEN_AT, 0, true);
    view.setBigInt64(link + LINK_DIRECT_AT, -1n, true);
  }
}
