// SPDX-License-Identifier: Apache-2.0
// The browser build in headless Chromium, on the test image that a local server gives out in ranges.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import * as rookery from "../../../virt/host/browser/index.ts";
import { type FileServer, serveFiles } from "../../serve/files.ts";
import { Chromium, type Page } from "../browser/chromium.ts";
import { testImage } from "./image.ts";

const file = (path: string): string => new URL(`../../../../${path}`, import.meta.url).pathname;

/** Bytes of the image that a few programs may read. */
const IMAGE_PART_MAX = 100e6;

let server: FileServer;
let browser: Chromium;

before(async () => {
  server = await serveFiles({
    "/": file("samples/hello-browser/index.html"),
    "/blank": file("tools/testing/browser/blank.html"),
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

/** An expression that runs the body of an async function with the library's door as `rookery`. */
function withLibrary(body: string): string {
  return `import("${server.url}rookery.js").then(async (rookery) => {${body}})`;
}

/** As `evaluate`, in a Worker that ends with it. */
function inWorker(page: Page, body: string): Promise<unknown> {
  const source = `${withLibrary(body)}.then((value) => postMessage({ value }), (error) => {
    postMessage({ error: String(error) });
  })`;
  return page.evaluate(`new Promise((resolve, reject) => {
    const url = URL.createObjectURL(new Blob([${JSON.stringify(source)}], { type: "text/javascript" }));
    const worker = new Worker(url, { type: "module" });
    worker.onmessage = ({ data: { value, error } }) => {
      worker.terminate();
      if (error === undefined) resolve(value);
      else reject(new Error(error));
    };
    worker.onerror = ({ message }) => reject(new Error(message));
  })`);
}

test("a page runs echo and python on an image that it reads in ranges", async () => {
  const page = await openPage("blank");
  const results = await page.evaluate(withLibrary(`
    const machine = await rookery.Machine.boot({ root: rookery.httpDisk("/debian.img"), memory: "512MiB" });
    const echo = await machine.exec(["echo", "hi", "there"]);
    const python = await machine.exec(["python3", "-c", "print(6 * 7)"]);
    const failing = await machine.exec("echo oops >&2; exit 3");
    await machine[Symbol.asyncDispose]();
    return [echo, python, failing].map(({ stdout, stderr, exitCode }) => [stdout, stderr, exitCode]);
  `));
  assert.deepEqual(results, [["hi there\n", "", 0], ["42\n", "", 0], ["", "oops\n", 3]]);
  assert.ok(server.sent.get("/debian.img")! < IMAGE_PART_MAX, "more than a part of the image was fetched");
  assert.deepEqual(page.errors, []);
});

test("samples/hello-browser shows its answer", async () => {
  const page = await openPage("");
  const shown = await page.evaluate(`new Promise((resolve) => {
    const output = document.getElementById("output");
    const look = () => output.textContent.includes("\\n") && resolve(output.textContent);
    new MutationObserver(look).observe(output, { childList: true });
    look();
  })`);
  assert.equal(shown, "42 from Linux 0\n");
  assert.deepEqual(page.errors, []);
});

test("files in memory, a clock that goes on, sleep and chance in a Worker", async () => {
  const script = `#!/bin/sh
cat /data/text; echo changed > /data/text; cat /data/text
a=$(date +%s%N); sleep 0.05; b=$(date +%s%N); test $((b - a)) -ge 50000000 && echo slept
test "$(head -c 8 /dev/urandom | od -An -tx1)" != "$(head -c 8 /dev/urandom | od -An -tx1)" && echo random`;
  const tree = { run: script, text: "from the page\n" };
  const result = await inWorker(
    await openPage("blank"),
    `
    const machine = await rookery.Machine.boot({
      root: rookery.httpDisk("${server.url}debian.img"),
      memory: "512MiB",
      hostname: "tab",
      mounts: { "/data": rookery.memoryDirectory(${JSON.stringify(tree)}) },
    });
    const { stdout, stderr } = await machine.exec("/data/run; hostname");
    const seconds = await machine.exec("date +%s");
    return { stdout, stderr, skew: Math.abs(Number(seconds.stdout) - Date.now() / 1000) < 60 };
  `,
  );
  assert.deepEqual(result, {
    stdout: "from the page\nchanged\nslept\nrandom\ntab\n",
    stderr: "",
    skew: true,
  });
});

/** Boots, starts a shell, and hands its streams to the page. */
const SHELL_WORKER = `
  const machine = await rookery.Machine.boot({ root: rookery.httpDisk(image), memory: "512MiB" });
  const env = { PS1: "> ", TERM: "dumb" };
  const shell = machine.spawn("bash", ["--norc", "-i"], { tty: true, env });
  onmessage = ({ data }) => shell.resize(data);
  const { stdin, stdout } = shell;
  postMessage({ stdin, stdout }, [stdin, stdout]);
  postMessage((await shell.exited).exitCode);
`;

/** Types at the shell through `rookery.terminal`, as a person would: each line after the prompt before it. */
const TYPIST = `
  const received = [];
  let next = () => {};
  worker.onmessage = ({ data }) => { received.push(data); next(); };
  const message = async () => {
    while (received.length === 0) await new Promise((resolve) => next = resolve);
    return received.shift();
  };
  const streams = await message();
  let text = "", type, waiting;
  const listening = { dispose() {} };
  const link = rookery.terminal({ ...streams, resize: (size) => worker.postMessage(size) }, {
    cols: 91,
    rows: 33,
    write(bytes, done) {
      text += new TextDecoder().decode(bytes);
      if (waiting !== undefined && text.endsWith(waiting.end)) waiting.resolve();
      done();
    },
    onData(listener) { type = listener; return listening; },
    onResize: () => listening,
  });
  const until = (end) => new Promise((resolve) => {
    waiting = { end, resolve };
    if (text.endsWith(end)) resolve();
  });
  await until("> ");
  type("stty size; tty\\r");
  await until("tty1\\r\\n> ");
  type("sh -c 'echo ready; exec sleep 1000'\\r");
  await until("\\r\\nready\\r\\n");
  type("\\x03");
  await until("^C\\r\\n> ");
  type("exit 5\\r");
  await link.ended;
  return { lines: text.slice(text.indexOf("> ")).split("\\r\\n"), exitCode: await message() };
`;

test("one call wires a terminal: a shell in a Worker, its size, keys, job control and the end", async () => {
  const page = await openPage("blank");
  const source = `const image = "${server.url}debian.img"; ${withLibrary(SHELL_WORKER)}`;
  const shown = await page.evaluate(withLibrary(`
    const url = URL.createObjectURL(new Blob([${JSON.stringify(source)}], { type: "text/javascript" }));
    const worker = new Worker(url, { type: "module" });
    ${TYPIST}
  `));
  const command = "> sh -c 'echo ready; exec sleep 1000'";
  assert.deepEqual(shown, {
    lines: ["> stty size; tty", "33 91", "/dev/tty1", command, "ready", "^C", "> exit 5", "exit", ""],
    exitCode: 5,
  });
});

test("the same seed gives the same run in Chromium and in Node", async () => {
  const script = "date; echo $RANDOM; for i in 1 2 3; do (sleep 0.0$i; echo $i $$) & done; wait";
  const python = "import random, time; print(random.random(), id(object()), time.monotonic_ns())";
  const body = `
    const machine = await rookery.Machine.boot({
      root: rookery.httpDisk("${server.url}debian.img"),
      memory: "512MiB",
      seed: 42,
    });
    const shell = await machine.exec(${JSON.stringify(script)});
    const python = await machine.exec(["python3", "-c", ${JSON.stringify(python)}]);
    const { retired } = machine.statistics();
    await machine[Symbol.asyncDispose]();
    return [shell.stdout, python.stdout, retired];
  `;
  const there = await inWorker(await openPage("blank"), body);
  await using machine = await rookery.Machine.boot({
    root: rookery.httpDisk(`${server.url}debian.img`),
    memory: "512MiB",
    seed: 42,
  });
  const shellHere = await machine.exec(script);
  const pythonHere = await machine.exec(["python3", "-c", python]);
  assert.match(shellHere.stdout, /2020/);
  assert.deepEqual(there, [shellHere.stdout, pythonHere.stdout, machine.statistics()["retired"]]);
});

test("a disk of the origin's own file system keeps what is written, and is filled once", async () => {
  const page = await openPage("blank");
  const first = await inWorker(
    page,
    `
    using disk = await rookery.opfsDisk("small", { source: new Blob([new Uint8Array(5000).fill(7)]) });
    disk.write(4000, Uint8Array.of(1, 2, 3));
    disk.flush();
    return disk.sizeBytes;
  `,
  );
  const again = await inWorker(
    page,
    `
    using disk = await rookery.opfsDisk("small", { source: "/nowhere", readOnly: true });
    const into = new Uint8Array(6);
    disk.read(3998, into);
    using empty = await rookery.opfsDisk("new", { sizeBytes: 8192 });
    return [[...into], disk.sizeBytes, disk.isReadOnly, empty.sizeBytes];
  `,
  );
  assert.equal(first, 5000);
  assert.deepEqual(again, [[7, 7, 1, 2, 3, 7], 5000, true, 8192]);
});

/** Runs python in a Worker on translations of this origin; `end` is what is done when it has. */
function pythonOnTranslations(end: string): string {
  return `
    let translations;
    while ((translations = await rookery.opfsTranslations("python")) === undefined) await pause(20); // the Worker before has it
    const machine = await rookery.Machine.boot({
      root: rookery.httpDisk("${server.url}debian.img"),
      memory: "512MiB",
      translations,
    });
    const { stdout } = await machine.exec(["python3", "-c", "print(sum(i * i for i in range(100000)))"]);
    ${end}
    const { lifted, loadedBlocks, storedModules } = machine.statistics();
    return { stdout, lifted, loadedBlocks, storedModules };
  `;
}

test("a page that comes back begins with the translations of the time before, though that just went away", async () => {
  const page = await openPage("blank");
  const pause = "const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));";
  type Found = Record<"lifted" | "loadedBlocks" | "storedModules", number> & { stdout: string };
  const first = await inWorker(page, pause + pythonOnTranslations("await pause(4000);")) as Found;
  const second = await inWorker(
    page,
    pause + pythonOnTranslations("await machine[Symbol.asyncDispose]();"),
  ) as Found;
  for (const { stdout } of [first, second]) assert.equal(stdout, "333328333350000\n");
  assert.equal(first.loadedBlocks, 0);
  assert.equal(first.storedModules, 0);
  assert.ok(second.storedModules > 0);
  assert.ok(second.loadedBlocks > first.lifted / 2, `${second.loadedBlocks} of ${first.lifted}`);
  assert.ok(second.lifted < first.lifted / 20, `${second.lifted} of ${first.lifted}`);
});

test("outside a Worker, and while another machine has them, there are no translations to be had", async () => {
  const page = await openPage("blank");
  assert.equal(
    await page.evaluate(withLibrary("return await rookery.opfsTranslations('a') === undefined;")),
    true,
  );
  const both = await inWorker(
    page,
    `
    using first = await rookery.opfsTranslations("b");
    const second = await rookery.opfsTranslations("b");
    return [first !== undefined, second === undefined];
  `,
  );
  assert.deepEqual(both, [true, true]);
});

test("a disk that is not there rejects the boot in one line", async () => {
  const page = await openPage("blank");
  await assert.rejects(
    page.evaluate(withLibrary(`await rookery.Machine.boot({ root: rookery.httpDisk("/nowhere.img") });`)),
    /\/nowhere\.img: HTTP status 404/,
  );
});
