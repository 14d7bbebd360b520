// SPDX-License-Identifier: Apache-2.0

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { Cache, fetchBytes } from "./cache.ts";
import type { Wanted } from "./cache.ts";

const BODY = Buffer.alloc(200_000, "rookery ");
const SHA256 = createHash("sha256").update(BODY).digest("hex");

type Answer = (response: ServerResponse, request: number) => void;

/** Runs `body` with a cache and a server that gives the n-th request (from 1) to `answer`. */
async function withServer(
  answer: Answer,
  body: (wanted: Wanted, cache: Cache, directory: string, requests: () => number) => Promise<void>,
): Promise<void> {
  let requests = 0;
  const server = createServer((_, response) => {
    answer(response, ++requests);
  });
  await new Promise<void>((done) => {
    server.listen(0, "127.0.0.1", done);
  });
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const directory = mkdtempSync(join(tmpdir(), "rookery-cache-"));
  try {
    const wanted = { url: `http://127.0.0.1:${String(port)}/file`, sha256: SHA256, sizeBytes: BODY.length };
    await body(wanted, new Cache(directory), directory, () => requests);
  } finally {
    server.closeAllConnections();
    server.close();
    rmSync(directory, { recursive: true });
  }
}

function filesUnder(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
    .map((entry) => entry.name);
}

test("a file is fetched once and counted", async () => {
  await withServer((response) => response.end(BODY), async (wanted, cache, directory, requests) => {
    for (let round = 0; round < 2; round++) {
      let counted = 0;
      await cache.fetch([wanted], (count) => {
        counted += count;
      });
      assert.equal(counted, BODY.length);
    }
    assert.equal(requests(), 1);
    assert.ok(BODY.equals(await cache.read(wanted)));
    assert.deepEqual(filesUnder(directory), [SHA256]);
  });
});

test("a torn download is tried again, then told; nothing stays", async () => {
  const tear: Answer = (response) => {
    response.writeHead(200, { "content-length": BODY.length });
    response.write(BODY.subarray(0, 1000), () => {
      response.destroy();
    });
  };
  await withServer(tear, async (wanted, cache, directory, requests) => {
    let counted = 0;
    await assert.rejects(
      cache.fetch([wanted], (count) => {
        counted += count;
      }),
      /broke off/,
    );
    assert.equal(requests(), 3);
    assert.equal(counted, 0);
    assert.deepEqual(filesUnder(directory), []);
  });
});

test("a download that breaks off once succeeds", async () => {
  const tearOnce: Answer = (response, request) => {
    if (request > 1) response.end(BODY);
    else {response.writeHead(200, { "content-length": BODY.length }).write(BODY.subarray(0, 9), () => {
        response.destroy();
      });}
  };
  await withServer(tearOnce, async (wanted, cache) => {
    await cache.fetch([wanted], () => undefined);
    assert.ok(BODY.equals(await cache.read(wanted)));
  });
});

test("a wrong checksum and a wrong length are told; nothing stays", async () => {
  const flipped = Buffer.from(BODY);
  flipped[77] = flipped[77]! ^ 1;
  await withServer((response) => response.end(flipped), async (wanted, cache, directory) => {
    await assert.rejects(cache.fetch([wanted], () => undefined), /SHA-256 is wrong/);
    assert.deepEqual(filesUnder(directory), []);
  });
  await withServer((response) => response.end(BODY.subarray(1)), async (wanted, cache) => {
    await assert.rejects(cache.fetch([wanted], () => undefined), /199999 bytes came, 200000 were promised/);
  });
});

test("a missing file is told at once", async () => {
  await withServer((response) => response.writeHead(404).end(), async (wanted, cache, _, requests) => {
    await assert.rejects(cache.fetch([wanted], () => undefined), /answered 404/);
    await assert.rejects(fetchBytes(wanted.url), /answered 404/);
    assert.equal(requests(), 2);
  });
});

test("a copy damaged in the cache is noticed and removed", async () => {
  await withServer((response) => response.end(BODY), async (wanted, cache, directory) => {
    await cache.fetch([wanted], () => undefined);
    writeFileSync(cache.path(SHA256), Buffer.alloc(BODY.length));
    await assert.rejects(cache.read(wanted), /damaged/);
    assert.deepEqual(filesUnder(directory), []);
    await cache.fetch([wanted], () => undefined);
    assert.ok(BODY.equals(await cache.read(wanted)));
  });
});
