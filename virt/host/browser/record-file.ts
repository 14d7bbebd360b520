// SPDX-License-Identifier: Apache-2.0
// Named records in one file that is read and written at once, where a power cut or a closed tab may come at any time.
//
// Two slots of 64 bytes stand at the beginning; the valid one of the higher generation leads to the index, which is JSON and lies behind the
// records it names. Invariant: what the newest slot leads to is never overwritten: a commit writes records, an index, and, when
// those are safe, the other slot. A slot: u32 magic, u32 generation, 32 bytes key, u32 offset and u32 length of the
// index, u32 CRC-32C of the index, u32 zero, u32 CRC-32C of what stands before in the slot, u32 zero. All is little-endian.
// A file of another key, or one that is torn, is empty. Records that are not used for long go first when there is too much.

import { crc32c } from "../../../lib/crc32c.ts";

/** What is asked of a FileSystemSyncAccessHandle. Source: File System Standard, WHATWG. */
export interface SyncFile {
  read(into: Uint8Array, options: { at: number }): number;
  write(bytes: Uint8Array<ArrayBuffer>, options: { at: number }): number;
  truncate(size: number): void;
  getSize(): number;
  flush(): void;
}

/** A name, the bytes, and what the index is to know of them beside. */
export interface NewRecord {
  readonly name: string;
  readonly parts: readonly Uint8Array[];
  readonly note?: readonly string[];
}

/** In the index: offset, length, CRC-32C, and the note. */
type Row = readonly [at: number, length: number, crc: number, note?: readonly string[]];

const MAGIC = 0x5452_4b52; // "RKRT"
const SLOT_BYTES = 64;
const SLOT_KEY_AT = 8;
const KEY_BYTES = 32;
const SLOT_INDEX_AT = SLOT_KEY_AT + KEY_BYTES;
const SLOT_CRC_AT = 56;
const RECORDS_AT = 2 * SLOT_BYTES;
/** Records above this are more than is kept: the oldest go, until three quarters are left. */
const BYTES_MAX = 128 * 2 ** 20;
/** Space of records that are gone, which is given back when it is as much as what is left, and more than this. */
const WASTE_BYTES_MIN = 4 * 2 ** 20;

interface Slot {
  readonly generation: number;
  readonly at: number;
  readonly length: number;
  readonly crc: number;
}

export class RecordFile {
  readonly #file: SyncFile;
  readonly #key: Uint8Array;
  readonly #bytesMax: number;
  #generation = 0;
  /** Where the next record goes. */
  #end: number;
  /** Those used longest ago first. */
  #rows: ReadonlyMap<string, Row>;
  /** Names that were read since the last commit. */
  readonly #used = new Set<string>();

  /** `key` says what the records mean, in at most 32 characters of ASCII. Throws what the file throws. */
  constructor(file: SyncFile, key: string, bytesMax: number = BYTES_MAX) {
    this.#file = file;
    this.#key = new Uint8Array(KEY_BYTES);
    new TextEncoder().encodeInto(key, this.#key);
    this.#bytesMax = bytesMax;
    const slots = [0, 1].flatMap((number) => this.#readSlot(number) ?? []);
    this.#generation = Math.max(0, ...slots.map(({ generation }) => generation));
    this.#end = Math.max(RECORDS_AT, ...slots.map(({ at, length }) => at + length));
    const newest = slots.find(({ generation }) => generation === this.#generation);
    const rows = newest === undefined ? undefined : this.#readIndex(newest);
    this.#rows = rows ?? new Map();
    if (rows === undefined) this.#clear();
  }

  /** Of the record; undefined when there is none. */
  length(name: string): number | undefined {
    return this.#rows.get(name)?.[1];
  }

  /** Names and notes of all that have one. */
  *notes(): Generator<readonly [name: string, note: readonly string[]]> {
    for (const [name, [, , , note]] of this.#rows) if (note !== undefined) yield [name, note];
  }

  /** Reads a whole record; false, with anything in `into`, when it is not what was written. */
  read(name: string, into: Uint8Array): boolean {
    const row = this.#rows.get(name);
    if (row === undefined || !this.#readRow(row, into)) return false;
    this.#used.add(name);
    return true;
  }

  /** Replaces and adds records, and takes those of `gone` out. Throws what the file throws; the records are then as before, or none. */
  commit(records: readonly NewRecord[], gone: readonly string[] = []): void {
    if (records.length === 0 && gone.length === 0) return;
    const rows = new Map(this.#rows);
    for (const name of this.#used) moveToEnd(rows, name);
    for (const name of gone) rows.delete(name);
    let end = this.#end;
    for (const { name, parts, note } of records) {
      const row = this.#writeRecord(end, parts, note);
      end += row[1];
      rows.delete(name);
      rows.set(name, row);
    }
    this.#used.clear();
    const live = forgetOldest(rows, this.#bytesMax);
    const waste = end - RECORDS_AT - live;
    if (waste > Math.max(live, WASTE_BYTES_MIN)) this.#compact(rows);
    else this.#writeIndex(rows, end);
  }

  #writeRecord(at: number, parts: readonly Uint8Array[], note: readonly string[] | undefined): Row {
    let crc = ~0;
    let length = 0;
    for (const part of parts) {
      this.#write(part, at + length);
      crc = crc32c(crc, part);
      length += part.length;
    }
    return note === undefined ? [at, length, ~crc >>> 0] : [at, length, ~crc >>> 0, note];
  }

  #writeIndex(rows: ReadonlyMap<string, Row>, end: number): void {
    const index = new TextEncoder().encode(JSON.stringify([...rows]));
    this.#write(index, end);
    this.#file.flush();
    this.#generation++;
    const slot = new Uint8Array(SLOT_BYTES);
    const view = new DataView(slot.buffer);
    view.setUint32(0, MAGIC, true);
    view.setUint32(4, this.#generation, true);
    slot.set(this.#key, SLOT_KEY_AT);
    view.setUint32(SLOT_INDEX_AT, end, true);
    view.setUint32(SLOT_INDEX_AT + 4, index.length, true);
    view.setUint32(SLOT_INDEX_AT + 8, crcOf(index), true);
    view.setUint32(SLOT_CRC_AT, crcOf(slot.subarray(0, SLOT_CRC_AT)), true);
    this.#write(slot, (this.#generation & 1) * SLOT_BYTES);
    this.#file.flush();
    this.#rows = rows;
    this.#end = end + index.length;
  }

  /** Writes everything anew from the beginning. The slots go first: until the new index is there the file is empty. */
  #compact(rows: ReadonlyMap<string, Row>): void {
    const records = [...rows].flatMap(([name, row]): NewRecord[] => {
      const bytes = new Uint8Array(row[1]);
      const [, , , note] = row;
      return this.#readRow(row, bytes)
        ? [{ name, parts: [bytes], ...(note === undefined ? {} : { note }) }]
        : [];
    });
    this.#clear();
    const kept = new Map<string, Row>();
    let end = RECORDS_AT;
    for (const { name, parts, note } of records) {
      const row = this.#writeRecord(end, parts, note);
      kept.set(name, row);
      end += row[1];
    }
    this.#writeIndex(kept, end);
  }

  #clear(): void {
    this.#rows = new Map();
    this.#end = RECORDS_AT;
    this.#file.truncate(0);
    this.#file.flush();
  }

  #readSlot(number: number): Slot | undefined {
    const bytes = new Uint8Array(SLOT_BYTES);
    if (this.#file.read(bytes, { at: number * SLOT_BYTES }) !== SLOT_BYTES) return undefined;
    const view = new DataView(bytes.buffer);
    const word = (at: number): number => view.getUint32(at, true);
    if (word(0) !== MAGIC || word(SLOT_CRC_AT) !== crcOf(bytes.subarray(0, SLOT_CRC_AT))) return undefined;
    if (this.#key.some((byte, n) => bytes[SLOT_KEY_AT + n] !== byte)) return undefined;
    const [at, length, crc] = [word(SLOT_INDEX_AT), word(SLOT_INDEX_AT + 4), word(SLOT_INDEX_AT + 8)];
    return { generation: word(4), at, length, crc };
  }

  #readIndex({ at, length, crc }: Slot): Map<string, Row> | undefined {
    if (at + length > this.#file.getSize()) return undefined;
    const bytes = new Uint8Array(length);
    if (!this.#readRow([at, length, crc], bytes)) return undefined;
    return new Map(JSON.parse(new TextDecoder().decode(bytes)) as [string, Row][]); // as written
  }

  #readRow([at, length, crc]: Row, into: Uint8Array): boolean {
    return this.#file.read(into, { at }) === length && crcOf(into) === crc;
  }

  #write(bytes: Uint8Array, at: number): void {
    const written = this.#file.write(bytes as Uint8Array<ArrayBuffer>, { at }); // shared memory is not used
    if (written !== bytes.length) throw new Error("the browser's quota is used up");
  }
}

function crcOf(bytes: Uint8Array): number {
  return ~crc32c(~0, bytes) >>> 0;
}

function moveToEnd(rows: Map<string, Row>, name: string): void {
  const row = rows.get(name);
  if (row === undefined) return;
  rows.delete(name);
  rows.set(name, row);
}

/** How many bytes of records are left. */
function forgetOldest(rows: Map<string, Row>, bytesMax: number): number {
  let live = 0;
  for (const [, length] of rows.values()) live += length;
  if (live <= bytesMax) return live;
  for (const [name, [, length]] of rows) {
    if (live <= bytesMax * 0.75) break;
    rows.delete(name);
    live -= length;
  }
  return live;
}
