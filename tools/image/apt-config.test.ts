// SPDX-License-Identifier: Apache-2.0

import assert from "node:assert/strict";
import { test } from "node:test";

import { chooseMirror, parseDeb822Sources, parseSourcesList } from "./apt-config.ts";

test("one-line style", () => {
  const sources = parseSourcesList(`
# deb http://old.example/debian trixie main
deb-src http://src.example/debian trixie main
deb http://security.example/debian-security trixie-security main
deb [arch=amd64 signed-by=/k.gpg]   http://mirror.example/debian/  trixie main contrib # note
`);
  assert.deepEqual(sources.map(({ uri }) => uri), [
    "http://security.example/debian-security",
    "http://mirror.example/debian/",
  ]);
  assert.deepEqual(sources[1]?.components, ["main", "contrib"]);
  assert.equal(chooseMirror(sources), "http://mirror.example/debian");
});

test("deb822 style", () => {
  const sources = parseDeb822Sources(`
Types: deb
URIs: http://off.example/debian
Suites: trixie
Components: main
Enabled: no

Types: deb-src
URIs: http://src.example/debian
Suites: trixie
Components: main

Types: deb deb-src
# a comment between fields
URIs: http://mirror.example/debian
 https://second.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc
`);
  assert.equal(sources.length, 4);
  assert.equal(chooseMirror(sources), "http://mirror.example/debian");
});

test("other archives, side suites and other schemes are no mirror", () => {
  const sources = parseSourcesList(`
deb https://packages.example/node_20.x nodistro main
deb http://m.example/debian trixie-updates main
deb http://m.example/debian bullseye/updates main
deb file:/srv/debian trixie main
deb http://m.example/ubuntu noble main
`);
  assert.equal(chooseMirror(sources), undefined);
});
