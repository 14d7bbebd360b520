// SPDX-License-Identifier: Apache-2.0
// The browser build in headless Chromium, on the test image that a local server gives out in ranges.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { type FileServer, serveFiles } from "../../serve/files.ts";
import { Chromium, type Page } from "../browser/chromium.ts";
import { testImage } from "./image.ts";

const file = (path: string): string => new URL(`../../../../${path}`, import.meta.url).pathname;

let server: FileServer;
let browser: Chromium;

before(async () => {
  server = await serveFiles({
    "/": file("samples/hello-browser/index.html"),
    "/debian.img": testImage(),
    "/*": file("dist/browser"),
  });
  browser = await Chromium.launch();
});

after(async () => {
  await browser[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

async function openPage(path: string): Promise<Page> {
  const page = await browser.page();
  await page.open(server.url + path);
  return page;
}

/** Runs the body of an async function in the page, with the library's door as `rookery`. */
function inPage(page: Page, body: string): Promise<unknown> {
  return page.evaluate(`import("/rookery.js").then(async (rookery) => {
    const { Machine, httpDisk } = rookery;
    ${body}
  })`);
}

test("a page runs echo and python on an image that it reads in ranges", async () => {
  const page = await openPage("");
  const results = await inPage(
    page,
    `
    const machine = await Machine.boot({ root: httpDisk("/debian.img"), memory: "512MiB" });
    const echo = await machine.exec(["echo", "hi", "there"]);
    const python = await machine.exec(["python3", "-c", "print(6 * 7)"]);
    const failing = await machine.exec("echo oops >&2; exit 3");
    await machine[Symbol.asyncDispose]();
    return [echo, python, failing].map(({ stdout, stderr, exitCode }) => [stdout, stderr, exitCode]);
  `,
  );
  assert.deepEqual(results, [["hi there\n", "", 0], ["42\n", "", 0], ["", "oops\n", 3]]);
  assert.ok(server.sent.get("/debian.img")! < 100e6, "more than a part of the image was fetched");
});
