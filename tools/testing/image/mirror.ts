// SPDX-License-Identifier: Apache-2.0
// A Debian mirror in miniature for tests: signed Release file, index and packages, served over local HTTP.

import { createHash } from "node:crypto";
import { createServer } from "node:http";
import type { Server } from "node:http";
import { gzipSync } from "node:zlib";
import { createCleartextMessage, generateKey, sign } from "openpgp";
import type { PrivateKey } from "openpgp";
import { makeDeb } from "./archives.ts";
import type { DebRecipe } from "./archives.ts";

export interface Mirror extends AsyncDisposable {
  readonly url: string;
  /** The keyring that vouches for it, armored. */
  readonly publicKey: string;
  readonly fingerprint: string;
  /** What is served, by path; a test may change it. */
  readonly files: Map<string, Buffer>;
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

async function signRelease(text: string, signingKey: PrivateKey): Promise<Buffer> {
  const message = await createCleartextMessage({ text });
  return Buffer.from(await sign({ message, signingKeys: signingKey }));
}

/** Serves packages, made with the archive's key at hand, as suite "trixie", component "main", for amd64. */
export async function startMirror(
  makePackages: (publicKey: Uint8Array) => readonly DebRecipe[],
): Promise<Mirror> {
  const { privateKey, publicKey } = await generateKey({
    type: "ecc",
    curve: "ed25519Legacy",
    userIDs: [{ name: "Archive of a test" }],
    format: "object",
    date: new Date(Date.now() - 86_400_000),
  });
  const files = new Map<string, Buffer>();
  let index = "";
  for (const recipe of makePackages(publicKey.write())) {
    const deb = makeDeb(recipe);
    const name = /^Package: (.*)$/m.exec(recipe.control)?.[1] ?? "";
    files.set(`/pool/${name}.deb`, deb);
    index += `${recipe.control}Filename: pool/${name}.deb\nSize: ${String(deb.length)}\nSHA256: ${
      sha256(deb)
    }\n\n`;
  }
  const indexFile = gzipSync(index);
  const path = "main/binary-amd64/Packages.gz";
  files.set(`/dists/trixie/${path}`, indexFile);
  const release = [
    "Origin: Test",
    "Suite: stable",
    "Codename: trixie",
    "Version: 13",
    "Date: Sat, 12 Sep 2026 07:55:41 UTC",
    "SHA256:",
    ` ${sha256(indexFile)} ${String(indexFile.length)} ${path}`,
    "",
  ].join("\n");
  files.set("/dists/trixie/InRelease", await signRelease(release, privateKey));
  const server = createServer((request, response) => {
    const body = files.get(request.url ?? "");
    if (body === undefined) response.writeHead(404).end();
    else response.end(body);
  });
  await new Promise<void>((done) => {
    server.listen(0, "127.0.0.1", done);
  });
  const url = `http://127.0.0.1:${String(portOf(server))}`;
  return {
    url,
    files,
    publicKey: publicKey.armor(),
    fingerprint: publicKey.getFingerprint(),
    [Symbol.asyncDispose]: () => stop(server),
  };
}

function portOf(server: Server): number {
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}

function stop(server: Server): Promise<void> {
  server.closeAllConnections();
  return new Promise((done) => {
    server.close(() => {
      done();
    });
  });
}
