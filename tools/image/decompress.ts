// SPDX-License-Identifier: Apache-2.0
// The compressions that a .deb may use: none, gzip, xz, zstd. Source: deb(5).

import { createGunzip } from "node:zlib";
import { Readable } from "node:stream";
import { Decompress as ZstdDecompress } from "fzstd";
import xz from "xz-decompress";

export type Compression = "none" | "gz" | "xz" | "zst";

const PIECE_BYTES = 1 << 16;

/** The compression that a file name tells ("data.tar.xz"); undefined when it is none that we know. */
export function compressionOf(name: string): Compression | undefined {
  const extension = /\.tar(?:\.(\w+))?$/.exec(name);
  if (extension === null) return undefined;
  switch (extension[1]) {
    case undefined:
      return "none";
    case "gz":
    case "xz":
    case "zst":
      return extension[1];
    default:
      return undefined;
  }
}

function* pieces(bytes: Uint8Array): Generator<Uint8Array, void, void> {
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) yield bytes.subarray(at, at + PIECE_BYTES);
}

/** Unpacks `bytes`, giving the result piece by piece to `take`. Throws on damaged input. */
export async function decompress(
  bytes: Uint8Array,
  compression: Compression,
  take: (bytes: Uint8Array) => void,
): Promise<void> {
  switch (compression) {
    case "none":
      take(bytes);
      return;
    case "gz":
      for await (const piece of Readable.from(pieces(bytes)).pipe(createGunzip())) take(asBytes(piece));
      return;
    case "xz": {
      const source = new ReadableStream<Uint8Array>({
        start(controller) {
          for (const piece of pieces(bytes)) controller.enqueue(piece);
          controller.close();
        },
      });
      const reader = new xz.XzReadableStream(source).getReader();
      for (let next = await reader.read(); !next.done; next = await reader.read()) take(next.value);
      return;
    }
    case "zst": {
      const stream = new ZstdDecompress((piece) => {
        take(piece);
      });
      const all = [...pieces(bytes)];
      all.forEach((piece, index) => {
        stream.push(piece, index === all.length - 1);
      });
      return;
    }
  }
}

function asBytes(piece: unknown): Uint8Array {
  if (piece instanceof Uint8Array) return piece;
  throw new Error("a stream of bytes gave something else");
}
