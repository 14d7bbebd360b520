// SPDX-License-Identifier: Apache-2.0
// A Blob as a disk: a file that the user chose, or a download that the browser keeps. Read piece by piece.

import type { HostDisk } from "../../../include/host/host.ts";
import { LazyDisk, type LazyDiskOptions } from "./lazy-disk.ts";

/** What is asked of a Blob. */
export interface BlobLike {
  readonly size: number;
  slice(start: number, end: number): { arrayBuffer(): Promise<ArrayBuffer> };
}

export function blobDisk(blob: BlobLike, options?: LazyDiskOptions): HostDisk {
  return new LazyDisk({
    sizeBytes: blob.size,
    fetch: async (start, end) => new Uint8Array(await blob.slice(start, end).arrayBuffer()),
  }, options);
}
