// SPDX-License-Identifier: Apache-2.0

import assert from "node:assert/strict";
import { test } from "node:test";

import { paragraphs } from "./deb822.ts";

test("paragraphs, folded lines, comments, names without case", () => {
  const text =
    "# note\nPackage: a\nDescription: short \n long\n .\n more\n\n\nPackage: b\nEmpty:\nList:\n x\n y\n";
  const [a, b, ...rest] = [...paragraphs(text)];
  assert.equal(rest.length, 0);
  assert.equal(a?.get("package"), "a");
  assert.equal(a?.get("DESCRIPTION"), "short \n long\n .\n more");
  assert.equal(b?.get("Empty"), "");
  assert.equal(b?.get("List"), "\n x\n y");
  assert.equal(b?.get("nothing"), undefined);
});

test("a paragraph comes back as it was written", () => {
  const text = "Package: b\nConffiles:\n /etc/x 1\nDescription: s\n l\n";
  assert.equal([...paragraphs(text)].join(""), text);
});

test("what is no field is an error that names the line", () => {
  assert.throws(() => [...paragraphs("Package: a\nnonsense\n")], /line 2/);
  assert.throws(() => [...paragraphs(" x\n")], /line 1/);
});
