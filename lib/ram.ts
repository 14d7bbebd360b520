// SPDX-License-Identifier: Apache-2.0
// Guest RAM: one WebAssembly.Memory and the typed views over it.
//
// Invariant: the views are fields that are replaced whenever the memory grows, so no one may keep a view
// across something that can allocate frames. Read them afresh: `ram.u32[address >>> 2]`.

const WASM_PAGE = 65536;
/** What a memory that grows begins with, where a host refuses all at once: pages that nobody has touched cost a host nothing, while an engine takes each growth for memory pressure. */
const FIRST_BYTES = [2 ** 30, 2 ** 27];

export class Ram {
  readonly memory: WebAssembly.Memory;
  /** Most bytes that the memory may ever hold. */
  readonly limitBytes: number;
  /** Pages of WebAssembly, when they are all there from the start and the memory cannot grow; otherwise 0. */
  readonly fixedPages: number;
  u8!: Uint8Array;
  u16!: Uint16Array;
  u32!: Uint32Array;
  i32!: Int32Array;
  f64!: Float64Array;
  view!: DataView;

  /** `limitBytes` counts everything below and including the last frame; at most 4 GiB. */
  constructor(limitBytes: number, initialBytes: number = limitBytes) {
    this.limitBytes = limitBytes;
    this.memory = makeMemory(initialBytes, limitBytes);
    const { byteLength } = this.memory.buffer;
    this.fixedPages = byteLength < limitBytes ? 0 : byteLength / WASM_PAGE;
    this.#refresh();
  }

  get sizeBytes(): number {
    return this.u8.length;
  }

  /** Makes at least `bytes` addressable (doubling up to the limit). False when the limit or the host says no. */
  ensure(bytes: number): boolean {
    if (bytes <= this.u8.length) return true;
    if (bytes > this.limitBytes) return false;
    const target = Math.min(this.limitBytes, Math.max(bytes, this.u8.length * 2));
    const pages = Math.ceil(target / WASM_PAGE) - this.u8.length / WASM_PAGE;
    try {
      this.memory.grow(pages);
    } catch {
      return false;
    }
    this.#refresh();
    return true;
  }

  /** Reads a 64-bit unsigned value as a number: exact below 2^53. */
  readU64(address: number): number {
    const i = address >>> 2;
    return this.u32[i]! + this.u32[i + 1]! * 0x1_0000_0000;
  }

  /** Writes a safe integer (negative allowed) as 64 bits. */
  writeU64(address: number, value: number): void {
    const i = address >>> 2;
    this.u32[i] = value >>> 0;
    this.u32[i + 1] = Math.floor(value / 0x1_0000_0000) >>> 0;
  }

  #refresh(): void {
    const buffer = this.memory.buffer;
    this.u8 = new Uint8Array(buffer);
    this.u16 = new Uint16Array(buffer);
    this.u32 = new Uint32Array(buffer);
    this.i32 = new Int32Array(buffer);
    this.f64 = new Float64Array(buffer);
    this.view = new DataView(buffer);
  }
}

/** Begins with `initialBytes`, or with less where the host refuses that. */
function makeMemory(initialBytes: number, limitBytes: number): WebAssembly.Memory {
  const sizes = [initialBytes, ...FIRST_BYTES.filter((less) => less < initialBytes)];
  for (;;) {
    try {
      return new WebAssembly.Memory({
        initial: Math.ceil(sizes[0]! / WASM_PAGE),
        maximum: Math.ceil(limitBytes / WASM_PAGE),
      });
    } catch (error) {
      sizes.shift();
      if (!(error instanceof RangeError) || sizes.length === 0) throw error;
    }
  }
}
