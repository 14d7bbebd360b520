// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type RequestListener } from "node:http";
import { test, type TestContext } from "node:test";

import type { HostDisk } from "../../../include/host/host.ts";
import { parseRange } from "../../../tools/serve/files.ts";
import { blobDisk } from "./blob-disk.ts";
import { httpDisk } from "./http-disk.ts";

const IMAGE = Uint8Array.from({ length: 5000 }, (_, at) => (at * 13) & 0xff);

function serve(t: TestContext, listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      assert.ok(address !== null && typeof address !== "string");
      resolve(`http://127.0.0.1:${address.port}/image`);
    });
  });
}

function rangeOf(req: IncomingMessage): { start: number; end: number } {
  const range = parseRange(req.headers.range, IMAGE.length);
  assert.ok(typeof range === "object");
  return range;
}

/** The answer to a range request, with what `headers` adds. */
function partial(
  req: IncomingMessage,
  headers: Record<string, string> = {},
): [Record<string, string>, Uint8Array] {
  const { start, end } = rangeOf(req);
  const bytes = IMAGE.subarray(start, end + 1);
  return [{ "Content-Range": `bytes ${start}-${end}/${IMAGE.length}`, ...headers }, bytes];
}

async function read(disk: HostDisk, offset: number, length: number): Promise<Uint8Array> {
  const into = new Uint8Array(length);
  await disk.read(offset, into);
  return into;
}

test("reads through range requests, with the headers that were asked for", async (t) => {
  const seen: (string | undefined)[] = [];
  const url = await serve(t, (req, res) => {
    seen.push(`${String(req.headers.range)} ${String(req.headers["x-key"])}`);
    const [headers, bytes] = partial(req, { ETag: "\"1\"" });
    res.writeHead(206, headers).end(bytes);
  });
  const disk = await httpDisk(url, { chunkBytes: 1024, headers: { "X-Key": "k" } });
  assert.equal(disk.sizeBytes, IMAGE.length);
  assert.deepEqual(await read(disk, 1000, 100), IMAGE.subarray(1000, 1100));
  assert.deepEqual(seen, ["bytes=0-0 k", "bytes=0-2047 k"]);
});

test("a server without ranges sends everything once", async (t) => {
  let count = 0;
  const url = await serve(t, (_, res) => {
    count++;
    res.writeHead(200).end(IMAGE);
  });
  const disk = await httpDisk(url);
  assert.equal(disk.sizeBytes, IMAGE.length);
  assert.deepEqual(await read(disk, 4000, 1000), IMAGE.subarray(4000));
  assert.equal(count, 1);
});

test("HEAD tells the size where Content-Range is hidden", async (t) => {
  const url = await serve(t, (req, res) => {
    if (req.method === "HEAD") res.writeHead(200, { "Content-Length": IMAGE.length }).end();
    else res.writeHead(206).end(partial(req)[1]);
  });
  assert.equal((await httpDisk(url)).sizeBytes, IMAGE.length);
});

test("a passing failure is tried again, a lasting one is told", async (t) => {
  let count = 0;
  const url = await serve(t, (req, res) => {
    if (req.url === "/image" && ++count % 2 === 1) res.writeHead(503).end();
    else if (req.url === "/image") res.writeHead(206, partial(req)[0]).end(partial(req)[1]);
    else res.writeHead(404).end();
  });
  const disk = await httpDisk(url);
  assert.deepEqual(await read(disk, 0, 10), IMAGE.subarray(0, 10));
  await assert.rejects(httpDisk(url.replace("image", "nothing")), /HTTP status 404/);
});

test("an image that has changed is read no further", async (t) => {
  let version = 1;
  const url = await serve(t, (req, res) => {
    const [headers, bytes] = partial(req, { ETag: `"${version}"` });
    res.writeHead(206, headers).end(bytes);
  });
  const disk = await httpDisk(url, { chunkBytes: 1024 });
  await read(disk, 0, 10);
  version = 2;
  await assert.rejects(read(disk, 3000, 10), /has changed/);
});

test("a Blob is a disk", async () => {
  const disk = blobDisk(new Blob([IMAGE]), { chunkBytes: 512 });
  assert.equal(disk.isReadOnly, true);
  assert.deepEqual(await read(disk, 500, 600), IMAGE.subarray(500, 1100));
});
