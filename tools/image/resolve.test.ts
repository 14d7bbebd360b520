// SPDX-License-Identifier: Apache-2.0

import assert from "node:assert/strict";
import { test } from "node:test";

import { configureOrder } from "./configure-order.ts";
import { parseDependencies } from "./dependency.ts";
import { PackageIndex, resolve } from "./resolve.ts";

function index(...packages: readonly string[]): PackageIndex {
  return new PackageIndex([
    packages.map((fields) => {
      const [name, version] = fields.split("\n", 1)[0]?.split(" ") ?? [];
      const rest = fields.split("\n").slice(1).map((line) => `${line}\n`).join("");
      return `Package: ${name ?? ""}\nVersion: ${version ?? "1"}\nArchitecture: amd64\n${rest}`;
    }).join("\n"),
  ]);
}

function names(found: PackageIndex, ...wanted: readonly string[]): string[] {
  return resolve(found, wanted).map((one) => one.name);
}

test("dependency fields are read whole", () => {
  assert.deepEqual(parseDependencies("a, b:any (>= 1.0~) | c(<<2),\n d (> 3)"), [
    [{ name: "a", qualifier: undefined, constraint: undefined }],
    [
      { name: "b", qualifier: "any", constraint: { relation: ">=", version: "1.0~" } },
      { name: "c", qualifier: undefined, constraint: { relation: "<<", version: "2" } },
    ],
    [{ name: "d", qualifier: undefined, constraint: { relation: ">=", version: "3" } }],
  ]);
  assert.throws(() => parseDependencies("a (?? 1)"), /cannot read/);
});

test("the closure under Depends and Pre-Depends, cycles among them", () => {
  const found = index("a\nDepends: b", "b\nPre-Depends: c\nRecommends: x", "c\nDepends: a", "x");
  assert.deepEqual(names(found, "a"), ["a", "b", "c"]);
});

test("the first alternative that can be had, unless another is there anyway", () => {
  const found = index("a\nDepends: b | c", "b", "c", "d\nDepends: a, c", "e\nDepends: gone | c");
  assert.deepEqual(names(found, "a"), ["a", "b"]);
  assert.deepEqual(names(found, "d"), ["a", "c", "d"]);
  assert.deepEqual(names(found, "e"), ["c", "e"]);
});

test("a version that does not fit is no candidate", () => {
  const found = index("a\nDepends: b (>= 2) | c", "b 1.9", "c", "d\nDepends: b (>= 2)");
  assert.deepEqual(names(found, "a"), ["a", "c"]);
  assert.throws(() => names(found, "d"), /d needs b \(>= 2\)/);
});

test("virtual packages: priority first, then name; versions only when provided", () => {
  const found = index(
    "a\nDepends: awk",
    "gawk\nProvides: awk\nPriority: optional",
    "mawk\nProvides: awk\nPriority: required",
    "v\nDepends: api (>= 2)",
    "one\nProvides: api (= 1)",
    "two\nProvides: api (= 2)",
    "none\nProvides: api",
  );
  assert.deepEqual(names(found, "a"), ["a", "mawk"]);
  assert.deepEqual(names(found, "a", "gawk"), ["a", "gawk"]);
  assert.deepEqual(names(found, "v"), ["two", "v"]);
});

test("conflicts steer a choice and end a build", () => {
  const found = index(
    "a\nDepends: mta",
    "p\nProvides: mta\nConflicts: a",
    "q\nProvides: mta",
    "r\nBreaks: q (<< 2)",
  );
  assert.deepEqual(names(found, "a"), ["a", "q"]);
  assert.throws(() => names(found, "q", "r"), /r and q cannot be installed together/);
});

test("an unknown name is told", () => {
  assert.throws(() => names(index("a"), "b"), /no package b/);
});

test("packages by priority", () => {
  assert.deepEqual(
    index("b\nPriority: required", "a\nPriority: required", "c\nPriority: important").withPriority(
      "required",
    ),
    ["a", "b"],
  );
});

test("configuration goes from what is needed to what needs it", () => {
  const found = index(
    "app\nDepends: lib, base-files",
    "lib\nDepends: libc",
    "libc\nDepends: lib",
    "base-files",
    "base-passwd\nDepends: libc",
  );
  const order = configureOrder(resolve(found, ["app", "base-passwd"])).map((one) => one.name);
  assert.deepEqual(order, ["lib", "libc", "base-passwd", "base-files", "app"]);
});
