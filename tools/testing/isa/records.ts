// SPDX-License-Identifier: Apache-2.0
// The machine state that an instance starts from and ends in, and the binary form in which both travel
// to and from native-runner.c (struct header, instance, result there).
//
// Invariants: everything is little-endian 32-bit words; offsets here equal those of the C structures.

export const PAGE = 4096;
/** Where instructions are placed, and how far apart instances begin (slots straddle pages now and then). */
export const CODE_BASE = 0x1000_0000;
export const SLOT_BYTES = 160;
/** The data area: pages of several rights side by side, so that accesses cross from any kind into any. */
export const DATA_BASE = 0x2000_0000;
export const UNMAPPED = 0;
export const READ_ONLY = 1;
export const READ_WRITE = 3;
export const DATA_PAGES: readonly number[] = [
  UNMAPPED,
  READ_WRITE,
  READ_WRITE,
  READ_ONLY,
  UNMAPPED,
  READ_ONLY,
  READ_WRITE,
  UNMAPPED,
];
export const DATA_BYTES: number = DATA_PAGES.length * PAGE;
export const FS_BASE: number = DATA_BASE + 0x1230;
export const GS_BASE: number = DATA_BASE + 0x1ff8;

/** Word indices into an instance or a result. */
export const GPR = 0; // 16 pairs
export const RFLAGS = 32;
export const RIP = 34;
export const WINDOW_ADDRESS = 36;
export const WINDOW_BYTES = 38;
export const SIGNAL = 36;
export const SIGNAL_CODE = 37;
export const SIGNAL_ADDRESS = 38;
export const TRAP_NUMBER = 40;
export const TRAP_ERROR = 41;
export const DIFF_BYTES = 42;
export const FX = 40; // in an instance
export const RESULT_FX = 44; // in a result
export const FX_WORDS = 104;
export const INSTANCE_WORDS: number = FX + FX_WORDS;
export const RESULT_WORDS: number = RESULT_FX + FX_WORDS;

/** Word indices within the FXSAVE image. */
export const FX_CONTROL = 0; // FCW, FSW
export const FX_TAG = 1; // abridged tag, FOP
export const FX_FIP = 2;
export const FX_FDP = 4;
export const FX_MXCSR = 6;
export const FX_ST = 8;
export const FX_XMM = 40;

const HEADER_BYTES = 48;
const MAGIC = 0x31414f52;

const align16 = (bytes: number): number => (bytes + 15) & ~15;

/** One start state with what is to run: `words` is the instance structure, `window` fresh data bytes. */
export interface Instance {
  readonly words: Uint32Array;
  readonly window: Uint8Array;
}

/** Words of data memory that differ from their initial contents: offset in the area, then 8 bytes. */
export interface MemoryDiff {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

export interface Result {
  readonly words: Uint32Array;
  readonly diffs: readonly MemoryDiff[];
}

export interface Batch {
  readonly code: Uint8Array;
  /** Initial contents of the data area. */
  readonly background: Uint8Array;
  readonly instances: readonly Instance[];
}

export function encodeBatch(batch: Batch): Uint8Array {
  const instanceBytes = batch.instances.reduce(
    (sum, instance) => sum + INSTANCE_WORDS * 4 + align16(instance.window.length),
    0,
  );
  const start = HEADER_BYTES + align16(DATA_PAGES.length) + DATA_BYTES + align16(batch.code.length);
  const bytes = new Uint8Array(start + instanceBytes);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MAGIC, true);
  view.setUint32(4, batch.instances.length, true);
  view.setBigUint64(8, BigInt(CODE_BASE), true);
  view.setUint32(16, batch.code.length, true);
  view.setUint32(20, DATA_PAGES.length, true);
  view.setBigUint64(24, BigInt(DATA_BASE), true);
  view.setBigUint64(32, BigInt(FS_BASE), true);
  view.setBigUint64(40, BigInt(GS_BASE), true);
  bytes.set(DATA_PAGES, HEADER_BYTES);
  bytes.set(batch.background, HEADER_BYTES + align16(DATA_PAGES.length));
  bytes.set(batch.code, HEADER_BYTES + align16(DATA_PAGES.length) + DATA_BYTES);
  let at = start;
  for (const { words, window } of batch.instances) {
    new Uint32Array(bytes.buffer, at, INSTANCE_WORDS).set(words);
    bytes.set(window, at + INSTANCE_WORDS * 4);
    at += INSTANCE_WORDS * 4 + align16(window.length);
  }
  return bytes;
}

export function decodeResults(output: Uint8Array, count: number): Result[] {
  const copy = output.byteOffset % 4 === 0 ? output : Uint8Array.from(output);
  const results: Result[] = [];
  let at = 0;
  for (let i = 0; i < count; i++) {
    if (at + RESULT_WORDS * 4 > copy.length) throw new Error(`native runner stopped after ${i} of ${count}`);
    const words = new Uint32Array(copy.buffer, copy.byteOffset + at, RESULT_WORDS);
    at += RESULT_WORDS * 4;
    const end = at + words[DIFF_BYTES]!;
    const diffs: MemoryDiff[] = [];
    for (; at < end; at += 16) {
      const view = new DataView(copy.buffer, copy.byteOffset + at, 4);
      diffs.push({ offset: view.getUint32(0, true), bytes: copy.subarray(at + 8, at + 16) });
    }
    results.push({ words, diffs });
  }
  return results;
}
