// SPDX-License-Identifier: Apache-2.0
// `rookery run --perf`: names the hot function, writes the page, is the same every time under virtual time.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { run } from "./image.ts";

/** Most of the instructions are in `scramble`, which `work` calls. */
const SOURCE = `
#include <stdio.h>
#include <unistd.h>
static volatile unsigned long sink;
__attribute__((noinline)) static void scramble(unsigned long n) {
  for (unsigned long i = 0; i < n; i++) sink = sink * 31 + i;
}
__attribute__((noinline)) static void tidy(unsigned long n) {
  for (unsigned long i = 0; i < n; i++) sink += i;
}
__attribute__((noinline)) static void work(void) {
  for (int i = 0; i < 600; i++) { scramble(20000); tidy(2000); getppid(); }
  sink++;
}
int main(void) { work(); puts("done"); return 3; }
`;

let directory = "";

before(() => {
  directory = mkdtempSync(join(tmpdir(), "rookery-perf-"));
  const source = join(directory, "hot.c");
  writeFileSync(source, SOURCE);
  execFileSync("gcc", ["-O1", "-static", "-o", join(directory, "hot"), source]);
});

after(() => rmSync(directory, { recursive: true, force: true }));

test("the summary names the hot function and counts system calls; the page has the call chain", async () => {
  const page = join(directory, "hot.html");
  const { stdout, stderr, status } = await run([
    "-v",
    `${directory}:/b:ro`,
    `--perf=${page}`,
    "--",
    "/b/hot",
  ]);
  assert.equal(stdout, "done\n");
  assert.equal(status, 3);
  assert.match(stderr, /^rookery perf: [\d,]+ samples/m);
  assert.match(stderr, /^ +\d+\.\d\d% +\d+\.\d\d% {2}scramble {2}\/b\/hot$/m);
  assert.match(stderr, /^ +600 +\S+ ms {2}getppid\(2\)$/m);
  assert.match(stderr, /^ +[\d,]+ +\S+ ms {2}page fault$/m);
  assert.match(stderr, /TLB misses/);
  const html = readFileSync(page, "utf8");
  for (const name of ["_start", "main", "work", "scramble", "tidy", "getppid(2)"]) {
    assert.ok(html.includes(JSON.stringify(name)), name);
  }
});

test("under virtual time the same seed gives the same profile, and scramble leads it", async () => {
  const once = async (name: string): Promise<{ summary: string; html: string }> => {
    const page = join(directory, name);
    const { stderr } = await run([
      "--seed",
      "1",
      "-v",
      `${directory}:/b:ro`,
      `--perf=${page}`,
      "--",
      "/b/hot",
    ]);
    return { summary: stderr.replace(page, ""), html: readFileSync(page, "utf8") };
  };
  const first = await once("one.html");
  assert.deepEqual(await once("two.html"), first);
  // Long enough for the samples to be thinned out.
  assert.match(first.summary, /, one in (8|16),000 instructions;/);
  const hottest = /symbol \(share of instructions\)\n +(\d+)\.\d+% +\d+\.\d+% {2}(\S+)/.exec(first.summary);
  assert.equal(hottest?.[2], "scramble", first.summary);
  assert.ok(Number(hottest?.[1]) > 50, first.summary);
});

test("processes are told apart", async () => {
  const page = join(directory, "many.html");
  const script = "/b/hot; for n in 1 2 3; do /bin/true; done";
  const { stderr } = await run(["-v", `${directory}:/b:ro`, `--perf=${page}`, "--", "sh", "-c", script]);
  assert.match(stderr, /^ +4 +\S+ ms {2}execve\(2\)$/m);
  const html = readFileSync(page, "utf8");
  for (const name of ["sh", "hot"]) assert.ok(html.includes(JSON.stringify(name)), name);
});

test("a program that the timeout ended still has a profile", async () => {
  const page = join(directory, "late.html");
  const { stderr, status } = await run([
    "--timeout",
    "3s",
    `--perf=${page}`,
    "sh",
    "-c",
    "while :; do :; done",
  ]);
  assert.equal(status, 124);
  assert.match(stderr, /^rookery perf: /m);
  assert.match(readFileSync(page, "utf8"), /<\/html>/);
});

test("a page that cannot be written is one line, and the exit status stays", async () => {
  const { stderr, status } = await run(["--perf=/no/such/place.html", "--", "sh", "-c", "exit 5"]);
  assert.equal(status, 5);
  assert.match(stderr, /^rookery: --perf: cannot write \/no\/such\/place\.html: [^\n]*$/m);
});
