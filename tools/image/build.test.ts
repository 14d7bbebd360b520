// SPDX-License-Identifier: Apache-2.0
// A whole build against a mirror in miniature: what comes out, and what is left when something is wrong.

import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { generateKey } from "openpgp";

import { makeTar } from "../testing/image/archives.ts";
import type { DebRecipe, TarEntry } from "../testing/image/archives.ts";
import { startMirror } from "../testing/image/mirror.ts";
import type { Mirror } from "../testing/image/mirror.ts";
import { readErofs } from "../testing/image/read-erofs.ts";
import type { ErofsEntry } from "../testing/image/read-erofs.ts";
import { fetchArchiveKeys } from "./bootstrap-keys.ts";
import { buildImage } from "./build.ts";
import { Cache } from "./cache.ts";
import type { GuestRunner } from "./runner.ts";

function recipe(
  name: string,
  fields: string,
  data: readonly TarEntry[],
  scripts: Record<string, string> = {},
): DebRecipe {
  const control =
    `Package: ${name}\nVersion: 1\nArchitecture: amd64\nMaintainer: T <t@example.org>\n${fields}Description: x\n`;
  const dirs = ["./", "./usr/", "./usr/bin/", "./etc/"].map((path) => ({ path, type: "5", mode: 0o755 }));
  return { control, data: [...dirs, ...data], scripts };
}

const PACKAGES: readonly DebRecipe[] = [
  recipe("base-files", "Priority: required\nEssential: yes\nPre-Depends: awk\n", [
    { path: "./etc/issue", data: "Debian\n" },
    { path: "./bin", type: "2", link: "usr/bin" },
  ], { conffiles: "/etc/issue\nremove-on-upgrade /etc/gone\n", preinst: "#!/bin/sh\n", md5sums: "" }),
  recipe("mawk", "Priority: required\nProvides: awk\nMulti-Arch: same\n", [
    { path: "./usr/bin/mawk", data: "m".repeat(5000), mode: 0o755, uid: 3, gid: 4, mtime: 1_600_000_000 },
    { path: "./usr/bin/hard", type: "1", link: "./usr/bin/mawk" },
    { path: "./bin/through", data: "merged", mode: 0o755 },
  ], { triggers: "interest-noawait /usr/lib/x\ninterest ldconfig\n" }),
  recipe("bash", "Depends: libx (>= 1) | liby\n", [{ path: "./usr/bin/bash", data: "b", mode: 0o755 }]),
  recipe("apt", "", [{ path: "./usr/bin/apt", data: "a", mtime: 4_000_000_000 }]),
  recipe("libx", "", []),
  recipe("thief", "", [{ path: "./usr/bin/apt", data: "mine" }]),
  recipe("heir", "Replaces: apt (<< 2)\n", [{ path: "./usr/bin/apt", data: "heir" }]),
];

function keyringPackage(key: Uint8Array): DebRecipe {
  return recipe("debian-archive-keyring", "", [{
    path: "./usr/share/keyrings/debian-archive-keyring.pgp",
    data: key,
  }]);
}

const SILENT = { phase: () => undefined, advance: () => undefined, done: () => undefined };

interface Trial {
  readonly mirror: Mirror;
  readonly directory: string;
  build(include?: readonly string[], runner?: GuestRunner): Promise<Map<string, ErofsEntry>>;
  leftovers(): string[];
}

async function withMirror(body: (trial: Trial) => Promise<void>): Promise<void> {
  await using mirror = await startMirror((key) => [...PACKAGES, keyringPackage(key)]);
  const directory = mkdtempSync(join(tmpdir(), "rookery-build-"));
  const keyring = join(directory, "keyring.asc");
  writeFileSync(keyring, mirror.publicKey);
  const output = join(directory, "out.img");
  try {
    await body({
      mirror,
      directory,
      async build(include = [], runner) {
        await buildImage({
          output,
          include,
          runner,
          keyring,
          mirror: mirror.url,
          suite: "trixie",
          architecture: "amd64",
          cacheDirectory: join(directory, "cache"),
          progress: SILENT,
        });
        return readErofs(readFileSync(output));
      },
      leftovers: () => readdirSync(directory).filter((name) => name !== "cache" && name !== "keyring.asc"),
    });
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function text(paths: ReadonlyMap<string, ErofsEntry>, path: string): string | undefined {
  return paths.get(path)?.data.toString("latin1");
}

const RELEASE_TIME = Date.UTC(2026, 8, 12, 7, 55, 41) / 1000;

test("stage 1: files, links, attributes, the merged /usr and dpkg's database", async () => {
  await withMirror(async ({ build, leftovers }) => {
    const paths = await build();
    const mawk = paths.get("/usr/bin/mawk");
    assert.ok(mawk !== undefined);
    assert.deepEqual([mawk.uid, mawk.gid, mawk.mode, mawk.mtime, mawk.linkCount], [
      3,
      4,
      0o100755,
      1_600_000_000,
      2,
    ]);
    assert.equal(paths.get("/usr/bin/hard")?.nid, mawk.nid);
    assert.equal(text(paths, "/bin"), "usr/bin");
    assert.equal(text(paths, "/usr/bin/through"), "merged");
    assert.equal(paths.get("/usr/bin/apt")?.mtime, RELEASE_TIME, "a time after the Release's is set back");
    const status = text(paths, "/var/lib/dpkg/status") ?? "";
    assert.equal(status.match(/^Status: install ok unpacked$/gm)?.length, 5);
    assert.match(
      status,
      /\nConffiles:\n \/etc\/issue 32865e97b5342e762ab140e00f3da23b\n \/etc\/gone newconffile remove-on-upgrade\nDescr/,
    );
    assert.equal(
      text(paths, "/var/lib/dpkg/info/mawk:amd64.list"),
      "/.\n/usr\n/usr/bin\n/etc\n/usr/bin/mawk\n/usr/bin/hard\n/bin/through\n",
    );
    assert.equal(text(paths, "/var/lib/dpkg/triggers/File"), "/usr/lib/x mawk:amd64/noawait\n");
    assert.equal(text(paths, "/var/lib/dpkg/triggers/ldconfig"), "mawk:amd64\n");
    assert.match(text(paths, "/var/lib/rookery/second-stage") ?? "", /^preinst base-files amd64$/m);
    assert.match(
      text(paths, "/var/lib/rookery/second-stage") ?? "",
      /--configure mawk base-files apt libx bash$/m,
    );
    assert.deepEqual(leftovers(), ["out.img"]);
  });
});

test("the same inputs give the same bytes", async () => {
  await withMirror(async ({ build, directory }) => {
    await build();
    const first = readFileSync(join(directory, "out.img"));
    await build();
    assert.ok(first.equals(readFileSync(join(directory, "out.img"))));
  });
});

test("stage 2: what the guest changed is laid over stage 1, and traces of the run are gone", async () => {
  const layer = makeTar([
    { path: "./", type: "5", mode: 0o755, mtime: 5_000_000_000 },
    { path: "./usr/bin/apt", type: "3", major: 0, minor: 0 },
    {
      path: "./usr/bin/mawk",
      data: "new",
      mode: 0o755,
      pax: { "SCHILY.xattr.security.capability": Buffer.from([1, 200]) },
    },
    { path: "./etc/", type: "5", mode: 0o700, pax: { "SCHILY.xattr.trusted.overlay.opaque": "y" } },
    { path: "./etc/shadow", data: "root:*:99999:0:99999:7:::\n", mode: 0o640 },
    { path: "./etc/hostname", data: "builder\n" },
    { path: "./etc/machine-id", data: "abc\n" },
    { path: "./var/log/", type: "5", mode: 0o755 },
    { path: "./var/log/dpkg.log", data: "noise" },
    { path: "./var/log/wtmp", data: "noise", mode: 0o664 },
  ]);
  await withMirror(async ({ build, leftovers }) => {
    let script = "";
    const paths = await build([], async ({ image, script: path, onOutput }) => {
      script = text(readErofs(readFileSync(image)), path) ?? "";
      onOutput(Buffer.from("Setting up mawk (1) ...\n"));
      return await Promise.resolve({ exitCode: 0, changes: inPieces(layer, 1000) });
    });
    assert.match(script, /^#!\/bin\/sh\n/);
    assert.equal(paths.has("/usr/bin/apt"), false);
    assert.equal(text(paths, "/usr/bin/mawk"), "new");
    assert.deepEqual(Object.fromEntries(paths.get("/usr/bin/mawk")?.xattrs ?? []), {
      "security.capability": "01c8",
    });
    assert.equal(text(paths, "/usr/bin/hard"), "m".repeat(5000), "the other name keeps the old file");
    assert.equal(paths.get("/etc")?.mode, 0o040700);
    assert.equal(paths.get("/etc")?.xattrs.size, 0);
    assert.equal(paths.has("/etc/issue"), false, "hidden by the opaque directory");
    assert.equal(paths.has("/etc/hostname"), false);
    assert.equal(text(paths, "/etc/machine-id"), "");
    assert.equal(
      text(paths, "/etc/shadow"),
      `root:*:${String(Math.floor(RELEASE_TIME / 86400))}:0:99999:7:::\n`,
    );
    assert.equal(paths.has("/var/log/dpkg.log"), false);
    assert.equal(text(paths, "/var/log/wtmp"), "");
    assert.equal(paths.has("/var/lib/rookery"), false);
    assert.deepEqual(leftovers(), ["out.img"]);
  });
});

async function* inPieces(bytes: Buffer, size: number): AsyncGenerator<Uint8Array, void, void> {
  for (let at = 0; at < bytes.length; at += size) yield await Promise.resolve(bytes.subarray(at, at + size));
}

test("a failing script ends the build with its last words", async () => {
  await withMirror(async ({ build, leftovers }) => {
    const failing: GuestRunner = ({ onOutput }) => {
      onOutput(Buffer.from("dpkg: no luck\n"));
      return Promise.resolve({ exitCode: 2, changes: inPieces(Buffer.alloc(0), 1) });
    };
    await assert.rejects(build([], failing), /exit status 2\):\ndpkg: no luck$/);
    assert.deepEqual(leftovers(), []);
  });
});

test("a package that takes another's file needs Replaces", async () => {
  await withMirror(async ({ build, leftovers }) => {
    await assert.rejects(build(["thief"]), /thief and apt both hold \/usr\/bin\/apt/);
    assert.deepEqual(leftovers(), []);
    const paths = await build(["heir"]);
    assert.equal(text(paths, "/usr/bin/apt"), "heir");
    assert.equal(text(paths, "/var/lib/dpkg/info/apt.list"), "/.\n/usr\n/usr/bin\n/etc\n");
  });
});

test("a wrong byte anywhere between the key and the package is one error and no image", async () => {
  const flip = (bytes: Buffer): Buffer => {
    const copy = Buffer.from(bytes);
    copy[copy.length >> 1] = copy[copy.length >> 1]! ^ 1;
    return copy;
  };
  const damages: readonly (readonly [path: string, change: (bytes: Buffer) => Buffer, message: RegExp])[] = [
    [
      "/dists/trixie/InRelease",
      (bytes) => Buffer.from(bytes.toString().replace("Suite: stable", "Suite: stabel")),
      /not signed/,
    ],
    ["/dists/trixie/InRelease", () => Buffer.from("Suite: stable\n"), /no readable signature/],
    ["/dists/trixie/main/binary-amd64/Packages.gz", flip, /SHA-256 is wrong/],
    ["/pool/mawk.deb", flip, /mawk\.deb: the SHA-256 is wrong/],
    ["/pool/mawk.deb", (bytes) => bytes.subarray(0, 100), /bytes came/],
  ];
  for (const [path, change, message] of damages) {
    await withMirror(async ({ mirror, build, leftovers }) => {
      mirror.files.set(path, change(mirror.files.get(path) ?? Buffer.alloc(0)));
      await assert.rejects(build(), message);
      assert.deepEqual(leftovers(), []);
    });
  }
});

test("a signature of a stranger is refused", async () => {
  const { publicKey } = await generateKey({
    type: "ecc",
    curve: "ed25519Legacy",
    userIDs: [{ name: "Stranger" }],
    format: "armored",
  });
  await withMirror(async ({ directory, build }) => {
    writeFileSync(join(directory, "keyring.asc"), publicKey);
    await assert.rejects(build(), /is not signed by a key of the keyring/);
    writeFileSync(join(directory, "keyring.asc"), "nonsense");
    await assert.rejects(build(), /is no OpenPGP keyring/);
    rmSync(join(directory, "keyring.asc"));
    await assert.rejects(build(), /--keyring: cannot read/);
  });
});

test("a host without keys takes the mirror's, if their fingerprints are known", async () => {
  await withMirror(async ({ directory, mirror }) => {
    const options = { mirror: mirror.url, suite: "trixie", architecture: "amd64", components: ["main"] };
    const cache = new Cache(join(directory, "cache"));
    const keys = await fetchArchiveKeys(options, cache, SILENT, new Map([[mirror.fingerprint, "test"]]));
    assert.deepEqual(keys.map((key) => key.getFingerprint()), [mirror.fingerprint]);
    await assert.rejects(fetchArchiveKeys(options, cache, SILENT), /none that Rookery knows/);
  });
});
