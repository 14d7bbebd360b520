// SPDX-License-Identifier: Apache-2.0
// Bytes in memory as a disk. What is written changes them.

import type { HostDisk } from "../../../include/host/host.ts";

export function memoryDisk(bytes: Uint8Array, options: { readOnly?: boolean } = {}): HostDisk {
  return {
    sizeBytes: bytes.length,
    isReadOnly: options.readOnly ?? false,
    read(offset, into) {
      into.set(bytes.subarray(offset, offset + into.length));
      return undefined;
    },
    write(offset, from) {
      bytes.set(from, offset);
      return undefined;
    },
    flush: () => undefined,
  };
}
