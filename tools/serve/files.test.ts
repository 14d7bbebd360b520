// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { parseRange, serveFiles } from "./files.ts";

test("ranges of bytes", () => {
  assert.deepEqual(parseRange("bytes=0-99", 1000), { start: 0, end: 99 });
  assert.deepEqual(parseRange("bytes=900-", 1000), { start: 900, end: 999 });
  assert.deepEqual(parseRange("bytes=900-5000", 1000), { start: 900, end: 999 });
  assert.deepEqual(parseRange("bytes=-10", 1000), { start: 990, end: 999 });
  assert.equal(parseRange("bytes=1000-", 1000), "unsatisfiable");
  for (const header of [undefined, "bytes=-", "bytes=a-b", "lines=0-1", "bytes=0-1,5-6"]) {
    assert.equal(parseRange(header, 1000), undefined);
  }
});

/** Status and body for a path as it is, dots and all. */
function get(url: string, path: string, headers = {}): Promise<{ status: number | undefined; body: string }> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    request({ hostname, port, path, headers }, (answer) => {
      let body = "";
      answer.setEncoding("utf8").on("data", (text: string) => body += text);
      answer.on("end", () => resolve({ status: answer.statusCode, body }));
    }).on("error", reject).end();
  });
}

test("files by name, files of the directory, and nothing beside them", async (t) => {
  const top = mkdtempSync(join(tmpdir(), "rookery-serve-"));
  t.after(() => rmSync(top, { recursive: true }));
  mkdirSync(join(top, "open"));
  writeFileSync(join(top, "secret"), "secret");
  writeFileSync(join(top, "image"), "0123456789");
  writeFileSync(join(top, "open", "page.html"), "page");
  await using server = await serveFiles({ "/img": join(top, "image"), "/*": join(top, "open") });
  assert.deepEqual(await get(server.url, "/img"), { status: 200, body: "0123456789" });
  assert.deepEqual(await get(server.url, "/img", { range: "bytes=2-4" }), { status: 206, body: "234" });
  assert.equal((await get(server.url, "/img", { range: "bytes=10-" })).status, 416);
  assert.deepEqual(await get(server.url, "/page.html?x=1"), { status: 200, body: "page" });
  assert.equal(server.sent.get("/img"), 13);
  for (
    const path of ["/secret", "/../secret", "/a%2f..%2f..%2fsecret", "/%2e%2e%2fsecret", "/%", "/open", "/"]
  ) {
    assert.equal((await get(server.url, path)).status, 404, path);
  }
});
