// SPDX-License-Identifier: Apache-2.0
// CRC-32C (Castagnoli), reflected, polynomial 0x1edc6f41. Source: RFC 3720, section 12.1.

const TABLE: Int32Array = buildTable();

function buildTable(): Int32Array {
  const table = new Int32Array(256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 0 ? crc >>> 1 : (crc >>> 1) ^ 0x82f63b78;
    table[byte] = crc;
  }
  return table;
}

/** The register after `bytes`, begun from `seed`, with no inversion: the customary CRC is `~crc32c(~0, …)`. */
export function crc32c(seed: number, bytes: Uint8Array): number {
  let crc = seed;
  for (let index = 0; index < bytes.length; index++) crc = TABLE[(crc ^ bytes[index]!) & 0xff]! ^ (crc >>> 8);
  return crc >>> 0;
}
