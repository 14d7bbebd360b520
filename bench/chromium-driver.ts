// SPDX-License-Identifier: Apache-2.0
// Runs a workload in a Worker of headless Chromium and prints what it prints: a contender for the meter, which counts
// the whole browser.
//
//   node dist/bench/chromium-driver.js IMAGE PROGRAMS PROFILE PORT ARGV...
//
// PROGRAMS is the directory that becomes /bench, PROFILE where the browser keeps what is its own. What is kept belongs to an origin, of which
// PORT is a part.

import { readdirSync } from "node:fs";
import { join } from "node:path";

import { serveFiles } from "../tools/serve/files.ts";
import { Chromium, type Page } from "../tools/testing/browser/chromium.ts";

const BLANK = new URL("../../tools/testing/browser/blank.html", import.meta.url).pathname;
const BUILD = new URL("../browser", import.meta.url).pathname;

/** Starts the Worker of bench/browser/worker.ts in `page`; resolves with the exit code of the workload. */
async function work(page: Page, request: object): Promise<number> {
  const ended = new Promise<number>((resolve, reject) => {
    void page.onMessage((text) => {
      const message: unknown = JSON.parse(text);
      if (typeof message === "number") resolve(message);
      else if (String(message).startsWith("FAILED")) reject(new Error(String(message)));
      else process.stdout.write(String(message));
    });
  });
  await page.evaluate(`{
    const worker = new Worker("/bench.js", { type: "module" });
    worker.onmessage = ({ data }) => send(JSON.stringify(data));
    worker.onerror = ({ message }) => send(JSON.stringify("FAILED " + message));
    worker.postMessage(${JSON.stringify(request)});
  }`);
  return ended;
}

const [image, directory, profile, port, ...argv] = process.argv.slice(2);
if (image === undefined || directory === undefined || profile === undefined || port === undefined) {
  throw new Error("usage: node dist/bench/chromium-driver.js IMAGE PROGRAMS PROFILE PORT ARGV...");
}
const names = readdirSync(directory);
await using server = await serveFiles({
  "/blank": BLANK,
  "/image": image,
  ...Object.fromEntries(names.map((name) => [`/programs/${name}`, join(directory, name)])),
  "/*": BUILD,
}, Number(port));
await using browser = await Chromium.launch(profile);
const page = await browser.page();
await page.open(`${server.url}blank`);
process.exitCode = await work(page, {
  image: "/image",
  programs: Object.fromEntries(names.map((name) => [name, `/programs/${name}`])),
  argv,
});
