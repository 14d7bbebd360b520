// SPDX-License-Identifier: Apache-2.0
// Structures in bytes: little-endian fields at offsets.

/** Little-endian 64-bit words. */
export function words64(...values: readonly (number | bigint)[]): Uint8Array {
  const bytes = new Uint8Array(values.length * 8);
  const view = viewOf(bytes);
  values.forEach((value, index) => {
    if (typeof value === "bigint") view.setBigInt64(index * 8, value);
    else writeS64(view, index * 8, value);
  });
  return bytes;
}

/** Little-endian 32-bit words. */
export function words32(...values: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(values.length * 4);
  const view = viewOf(bytes);
  values.forEach((value, index) => view.setInt32(index * 4, value));
  return bytes;
}

/** As DataView, little-endian always. A DataView on a small array makes V8 move its bytes out of the heap, which
 *  costs microseconds; this costs nothing. */
export class LittleView {
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  getInt32(at: number): number {
    const bytes = this.#bytes;
    return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
  }

  getUint32(at: number): number {
    return this.getInt32(at) >>> 0;
  }

  getUint16(at: number): number {
    return this.#bytes[at]! | (this.#bytes[at + 1]! << 8);
  }

  getUint8(at: number): number {
    return this.#bytes[at]!;
  }

  getBigInt64(at: number): bigint {
    return BigInt.asIntN(64, (BigInt(this.getUint32(at + 4)) << 32n) | BigInt(this.getUint32(at)));
  }

  setInt32(at: number, value: number): void {
    const bytes = this.#bytes;
    bytes[at] = value;
    bytes[at + 1] = value >>> 8;
    bytes[at + 2] = value >>> 16;
    bytes[at + 3] = value >>> 24;
  }

  setUint16(at: number, value: number): void {
    this.#bytes[at] = value;
    this.#bytes[at + 1] = value >>> 8;
  }

  setUint8(at: number, value: number): void {
    this.#bytes[at] = value;
  }

  setBigInt64(at: number, value: bigint): void {
    this.setInt32(at, Number(BigInt.asIntN(32, value)));
    this.setInt32(at + 4, Number(BigInt.asIntN(32, value >> 32n)));
  }
}

export function viewOf(bytes: Uint8Array): LittleView {
  return new LittleView(bytes);
}

/** A signed 64-bit field as a number: exact within +-2^53, else rounded. */
export function readS64(view: LittleView, offset: number): number {
  return view.getInt32(offset + 4) * 0x1_0000_0000 + view.getUint32(offset);
}

/** An unsigned 64-bit field as a number. */
export function readU64(view: LittleView, offset: number): number {
  return view.getUint32(offset + 4) * 0x1_0000_0000 + view.getUint32(offset);
}

/** Writes an integer of at most 2^53 in size as 64 bits. */
export function writeS64(view: LittleView, offset: number, value: number): void {
  view.setInt32(offset, value | 0); // the low half of any integer
  view.setInt32(offset + 4, Math.floor(value / 0x1_0000_0000));
}
