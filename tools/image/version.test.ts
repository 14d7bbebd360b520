// SPDX-License-Identifier: Apache-2.0

import assert from "node:assert/strict";
import { test } from "node:test";

import { compareVersions, satisfiesRelation } from "./version.ts";

/** In ascending order; the order is dpkg --compare-versions'. */
const ASCENDING = [
  "0~~",
  "0~~a",
  "0~",
  "0",
  "0a",
  "0+",
  "0.1",
  "1~rc1-1",
  "1~rc1-2",
  "1-0~",
  "1",
  "1-0.1",
  "1-1~bpo12+1",
  "1-1",
  "1-1+b1",
  "1-1+deb12u1",
  "1a",
  "1+",
  "1.0",
  "1.2",
  "1.2a",
  "1.2.3",
  "1.10",
  "2.41-12",
  "2.41-12+deb13u4",
  "2:0",
  "10:0",
];

test("a chain of versions", () => {
  ASCENDING.forEach((left, l) => {
    ASCENDING.forEach((right, r) => {
      assert.equal(Math.sign(compareVersions(left, right)), Math.sign(l - r), `${left} against ${right}`);
    });
  });
});

test("leading zeros, missing parts and big numbers", () => {
  assert.equal(compareVersions("1.002", "1.2"), 0);
  assert.equal(compareVersions("0:1.0", "1.0"), 0);
  assert.equal(compareVersions("1.0-0", "1.0"), 0);
  assert.equal(compareVersions("20240101123456789012345", "20240101123456789012346"), -1);
  assert.equal(compareVersions("1-2-3", "1-2-4"), -1);
});

test("relations", () => {
  assert.equal(satisfiesRelation("1", "<<", "2"), true);
  assert.equal(satisfiesRelation("2", "<<", "2"), false);
  assert.equal(satisfiesRelation("2", "<=", "2"), true);
  assert.equal(satisfiesRelation("2", "=", "2"), true);
  assert.equal(satisfiesRelation("2", ">>", "2"), false);
  assert.equal(satisfiesRelation("2+b1", ">>", "2"), true);
  assert.equal(satisfiesRelation("2", ">=", "3"), false);
});
