// SPDX-License-Identifier: Apache-2.0
// The names in a directory of tmpfs, by name and in the order of their creation.
//
// Positions for readdir are serial numbers, so they survive changes, and a listing goes on where it was by binary search: one of
// 100,000 names costs what it costs by name, however many calls it takes. Names that are gone stay in that order for a while.

import type { DirEntry, Inode } from "../../include/linux/fs.ts";
import { direntType } from "../../include/uapi/stat.ts";
import { partitionPoint } from "../../lib/partition-point.ts";

/** Listings go from the newest name to the oldest, as Linux's do: positions count down from here. */
const SERIALS_END = 0x7fff_0000;
/** Entries that are gone and stay listed, beside as many as there are. */
const GONE_MAX = 100;

interface Entry<T extends Inode> {
  readonly name: string;
  readonly inode: T;
  readonly serial: number;
}

export class Names<T extends Inode> {
  readonly #entries = new Map<string, Entry<T>>();
  /** By serial number, with some that are gone. */
  #bySerial: Entry<T>[] = [];
  #nextSerial = 1;

  get size(): number {
    return this.#entries.size;
  }

  get(name: string): T | undefined {
    return this.#entries.get(name)?.inode;
  }

  /** Precondition: the name is free. */
  add(name: string, inode: T): void {
    const entry = { name, inode, serial: this.#nextSerial++ };
    this.#entries.set(name, entry);
    this.#bySerial.push(entry);
  }

  delete(name: string): void {
    const entries = this.#entries;
    entries.delete(name);
    if (this.#bySerial.length > 2 * entries.size + GONE_MAX) {
      this.#bySerial = this.#bySerial.filter((entry) => entries.get(entry.name) === entry);
    }
  }

  /** As Inode.iterate. */
  iterate(position: number, emit: (entry: DirEntry, next: number) => boolean): void {
    const before = SERIALS_END - position;
    for (let n = partitionPoint(this.#bySerial, ({ serial }) => serial < before) - 1; n >= 0; n--) {
      const entry = this.#bySerial[n]!;
      const { name, inode, serial } = entry;
      if (this.#entries.get(name) !== entry) continue;
      if (!emit({ name, ino: inode.ino, type: direntType(inode.mode) }, SERIALS_END - serial)) return;
    }
  }
}
