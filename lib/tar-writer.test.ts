// SPDX-License-Identifier: Apache-2.0
// What the writer writes, the reader of lib/tar.ts reads back.

import assert from "node:assert/strict";
import { test } from "node:test";

import { type TarHeader, TarParser } from "./tar.ts";
import { tarEnd, tarHeader, tarPadding } from "./tar-writer.ts";

test("entries come back as they were", () => {
  const base = {
    mode: 0o4755,
    uid: 5,
    gid: 3_000_000_000,
    mtime: 1_700_000_000,
    mtimeNs: 12_345,
    linkPath: "",
    major: 0,
    minor: 0,
    xattrs: new Map([["security.capability", Uint8Array.of(1, 0, 0xff, 10)]]),
  };
  const file: TarHeader = { ...base, path: `${"d/".repeat(80)}f\xe4`, type: "file", sizeBytes: 5 };
  const device: TarHeader = {
    ...base,
    path: "null",
    type: "char",
    sizeBytes: 0,
    major: 1,
    minor: 3,
    mtimeNs: 0,
    gid: 0,
    xattrs: new Map(),
  };
  const headers: TarHeader[] = [];
  const data: number[] = [];
  const parser = new TarParser({
    begin: (header) => void headers.push(header),
    data: (bytes) => void data.push(...bytes),
    end: () => {},
  });
  for (
    const piece of [tarHeader(file), Uint8Array.of(1, 2, 3, 4, 5), tarPadding(5), tarHeader(device), tarEnd()]
  ) {
    parser.push(piece);
  }
  assert.deepEqual(headers, [file, device]);
  assert.deepEqual(data, [1, 2, 3, 4, 5]);
});
