// SPDX-License-Identifier: Apache-2.0
// The merged listing of an overlay directory.
//
// Each name gets a serial number when it is first listed and keeps it, so that a listing that is under way neither
// skips nor repeats what stays while other names come and go (rm -r).

import type { DirEntry, Inode } from "../../include/linux/fs.ts";
import { isSleeping, type Sleeps } from "../../include/linux/wait.ts";
import { DT_CHR } from "../../include/uapi/stat.ts";
import { partitionPoint } from "../../lib/partition-point.ts";
import { isWhiteout, type OverlayNode } from "./layers.ts";

/** Entries of the upper layer that are asked for at a time. */
const BATCH = 256;

function* list(directory: Inode): Sleeps<DirEntry[]> {
  const entries: DirEntry[] = [];
  const answer = directory.iterate(0, (entry) => {
    entries.push(entry);
    return true;
  });
  if (isSleeping(answer)) yield* answer;
  return entries;
}

/** All visible entries, in the order of their serial numbers. */
export function* mergeEntries(node: OverlayNode): Sleeps<readonly DirEntry[]> {
  if (node.merged !== undefined) return node.merged;
  const found = new Map<string, DirEntry | undefined>();
  for (const layer of node.upper === undefined ? node.lowers : [node.upper, ...node.lowers]) {
    for (const entry of yield* list(layer)) {
      if (found.has(entry.name)) continue;
      found.set(entry.name, yield* visible(node, layer, entry));
    }
  }
  yield* numberNames(node, found);
  const entries: { entry: DirEntry; serial: number }[] = [];
  for (const [name, entry] of found) {
    if (entry !== undefined) entries.push({ entry, serial: node.serials?.get(name) ?? 0 });
  }
  entries.sort((one, other) => one.serial - other.serial);
  node.merged = entries.map(({ entry }) => entry);
  return node.merged;
}

/** The index of the first entry with a higher serial number. */
export function firstAfter(node: OverlayNode, entries: readonly DirEntry[], serial: number): number {
  return partitionPoint(entries, ({ name }) => (node.serials?.get(name) ?? 0) <= serial);
}

/** New names get their numbers: those of the lowest layer first, as Linux lists them. */
function* numberNames(node: OverlayNode, found: Map<string, DirEntry | undefined>): Sleeps<void> {
  const serials = node.serials ??= new Map();
  const lowest = node.lowers.at(-1);
  if (serials.size === 0 && lowest !== undefined) {
    for (const { name } of yield* list(lowest)) serials.set(name, node.nextSerial++);
  }
  for (const name of found.keys()) if (!serials.has(name)) serials.set(name, node.nextSerial++);
  // Numbers of names long gone are forgotten; a name that comes back is a new one.
  if (serials.size < 2 * found.size + 1000) return;
  for (const name of serials.keys()) if (!found.has(name)) serials.delete(name);
}

/** A directory of the upper layer alone is listed as it is there. */
export function* listUpper(
  node: OverlayNode,
  upper: Inode,
  position: number,
  emit: (entry: DirEntry, next: number) => boolean,
): Sleeps<void> {
  for (let from = position;;) {
    const batch: { entry: DirEntry; next: number }[] = [];
    const answer = upper.iterate(from, (entry, next) => {
      batch.push({ entry, next });
      return batch.length < BATCH;
    });
    if (isSleeping(answer)) yield* answer;
    for (const { entry, next } of batch) {
      const shown = yield* visible(node, upper, entry);
      if (shown !== undefined && !emit(shown, next)) return;
      from = next;
    }
    if (batch.length < BATCH) return;
  }
}

/** The entry as the overlay shows it; undefined for a whiteout. */
function* visible(node: OverlayNode, layer: Inode, entry: DirEntry): Sleeps<DirEntry | undefined> {
  const isUpper = layer === node.upper;
  if (!isUpper && entry.type !== DT_CHR) return entry;
  const answer = layer.lookup(entry.name);
  const inode = isSleeping(answer) ? yield* answer : answer;
  if (inode === undefined || isWhiteout(inode)) return undefined;
  if (!isUpper) return entry;
  const { superBlock } = node;
  return { ...entry, ino: superBlock.nodeOf(inode)?.ino ?? superBlock.upperIno(inode) };
}
