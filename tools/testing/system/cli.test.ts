// SPDX-License-Identifier: Apache-2.0
// `rookery run` as a user types it: output, exit statuses, signals, options, clear errors.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { rookery, run, testImage } from "./image.ts";

test("output and exit status are the program's", async () => {
  assert.deepEqual(await run(["--", "python3", "-c", "print(6*7)"]), {
    stdout: "42\n",
    stderr: "",
    status: 0,
  });
  assert.equal((await run(["sh", "-c", "echo oops >&2; exit 3"])).status, 3);
  assert.equal((await run(["sh", "-c", "kill -9 $$"])).status, 137);
});

test("the bundle knows its version, prints its help once, and finds no unknown option", async () => {
  const { version } = JSON.parse(readFileSync("package.json", "utf8")) as { version: string };
  assert.deepEqual(await rookery(["--version"]), { stdout: `${version}\n`, stderr: "", status: 0 });
  const help = await rookery(["run", "--help"]);
  assert.equal(help.status, 0);
  assert.equal(help.stderr, "");
  assert.match(help.stdout, /^Usage: rookery run/);
  const unknown = await rookery(["run", "--bogus"]);
  assert.deepEqual({ ...unknown, stdout: "" }, {
    stdout: "",
    stderr: "error: unknown option '--bogus'\n",
    status: 125,
  });
});

test("what cannot be run is 126 or 127 and one line", async () => {
  const missing = await run(["no-such-program"]);
  assert.equal(missing.status, 127);
  assert.equal(missing.stderr, "rookery: no-such-program: no such program\n");
  assert.equal((await run(["/etc/passwd"])).status, 126);
});

test("standard input is piped through, and is no terminal", async () => {
  assert.equal(
    (await run(["sh", "-c", "cat; test -t 0 || echo no tty"], "through\n")).stdout,
    "through\nno tty\n",
  );
});

test("environment, directory, user, host name", async () => {
  const script = "echo $A $PWD $(id -un) $(hostname)";
  const { stdout } = await run([
    "-e",
    "A=b=c",
    "-w",
    "/usr",
    "-u",
    "nobody",
    "-h",
    "box",
    "--",
    "sh",
    "-c",
    script,
  ]);
  assert.equal(stdout, "b=c /usr nobody box\n");
  const unknown = await run(["-u", "nosuchuser", "true"]);
  assert.equal(unknown.status, 125);
  assert.match(unknown.stderr, /^rookery: no user "nosuchuser"[^\n]*\n$/);
});

test("a directory of the host: written through, read-only, or kept apart", async () => {
  const directory = mkdtempSync(join(tmpdir(), "rookery-volume-"));
  writeFileSync(join(directory, "in"), "from outside\n");
  const script = "cat in; echo inside > out; mkdir -p d; mv out d/out; ls d";
  const through = await run(["-v", `${directory}:/v`, "-w", "/v", "sh", "-c", script]);
  assert.equal(through.stdout, "from outside\nout\n", through.stderr);
  assert.equal(readFileSync(join(directory, "d", "out"), "utf8"), "inside\n");
  const readOnly = await run(["-v", `${directory}:/v:ro`, "-w", "/v", "sh", "-c", "cat in; echo x > in"]);
  assert.match(readOnly.stderr, /Read-only file system/);
  const apart = await run([
    "-v",
    `${directory}:/v:overlay`,
    "-w",
    "/v",
    "sh",
    "-c",
    "echo changed > in; cat in",
  ]);
  assert.equal(apart.stdout, "changed\n", apart.stderr);
  assert.equal(readFileSync(join(directory, "in"), "utf8"), "from outside\n");
});

test("the timeout ends a busy loop", async () => {
  const { status } = await run(["--timeout", "2s", "--", "sh", "-c", "while :; do :; done"]);
  assert.equal(status, 124);
});

test("strace shows the calls on standard error", async () => {
  const { stderr, stdout } = await run(["--strace=openat,write", "--", "cat", "/etc/debian_version"]);
  assert.match(stderr, /openat\(AT_FDCWD, "\/etc\/debian_version", O_RDONLY\) = 3/);
  assert.match(stderr, /write\(1, "[^"]+", \d+\) += \d+/);
  assert.notEqual(stdout, "");
});

test("bad words are one clear line and status 125", async () => {
  for (
    const [args, message] of [
      [["run", "--memory", "lots", "true"], /--memory: "lots" is not a size/],
      [["run", "--root", "/nowhere/x.img", "true"], /no root image at \/nowhere\/x\.img/],
      [
        ["run", "-v", "/nowhere:/v", "--root", process.env["ROOKERY_TEST_IMAGE"] ?? "", "true"],
        /cannot open the directory/,
      ],
      [["frobnicate"], /unknown command "frobnicate"/],
    ] as const
  ) {
    const { status, stderr } = await rookery(args);
    assert.equal(status, 125, stderr);
    assert.match(stderr, message);
    assert.equal(stderr.trimEnd().split("\n").length, 1, stderr);
  }
});

test("a damaged image is refused in one line", async () => {
  const path = join(mkdtempSync(join(tmpdir(), "rookery-image-")), "bad.img");
  writeFileSync(path, Buffer.alloc(100_000, 7));
  const { status, stderr } = await rookery(["run", "--root", path, "true"]);
  assert.equal(status, 125);
  assert.equal(stderr.trimEnd().split("\n").length, 1, stderr);
});

/** A counter that `run --stats` prints. */
function counter(stderr: string, name: string): number {
  const [, value] = new RegExp(`^${name} +(\\d+)$`, "m").exec(stderr) ?? [];
  return Number(value);
}

test("what is translated beside an image need not be in a first run", async () => {
  const directory = mkdtempSync(join(tmpdir(), "rookery-image-"));
  try {
    const image = join(directory, "linked.img");
    symlinkSync(testImage(), image);
    const firstRun = async (command: readonly string[]): Promise<{ lifted: number; loaded: number }> => {
      const env = { XDG_CACHE_HOME: mkdtempSync(join(directory, "cache-")) };
      const { stdout, stderr } = await rookery(
        ["run", "--stats", "--root", image, "--", ...command],
        "",
        env,
      );
      assert.match(stdout, /ready/);
      return { lifted: counter(stderr, "lifted"), loaded: counter(stderr, "loadedBlocks") };
    };
    const echo = ["echo", "ready"];
    const perl = ["perl", "-e", "print join('', sort split //, 'ready'), 'ready'"];
    const bare = await firstRun(echo);
    assert.equal(bare.loaded, 0);
    assert.equal((await rookery(["image", "translate", image, "--", ...echo])).status, 0);
    const bareOfPerl = await firstRun(perl);
    assert.equal((await rookery(["image", "translate", image, "--", ...perl])).status, 0);
    for (const [command, { lifted }] of [[echo, bare], [perl, bareOfPerl]] as const) {
      const shipped = await firstRun(command);
      assert.ok(shipped.lifted < lifted / 20, `${shipped.lifted} of ${lifted}`);
      assert.ok(shipped.loaded > lifted / 2, `${shipped.loaded} of ${lifted}`);
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});

test("image translate says in one line what it cannot do", async () => {
  for (
    const [words, message] of [
      [["/nowhere.img"], /^rookery: no image at \/nowhere\.img: build one with/],
      [["--bogus"], /^rookery: image translate: "--bogus" is not known; see --help/],
    ] as const
  ) {
    const { stderr, status } = await rookery(["image", "translate", ...words]);
    assert.equal(status, 125);
    assert.match(stderr, message);
    assert.equal(stderr.trimEnd().split("\n").length, 1);
  }
});
