// SPDX-License-Identifier: Apache-2.0
// The archive's keys on a host that has none: the mirror's own package of keys, believed only for keys whose
// fingerprints Rookery knows (certs/debian-archive.ts). Nothing else of what is read here is believed.

import { readKeys } from "openpgp";
import type { Key } from "openpgp";
import { DEBIAN_ARCHIVE_FINGERPRINTS } from "../../certs/debian-archive.ts";
import { packageFile, parseRelease, readIndex } from "./archive.ts";
import type { ArchiveOptions } from "./archive.ts";
import { fetchBytes } from "./cache.ts";
import type { Cache } from "./cache.ts";
import { openDeb } from "./deb.ts";
import type { Progress } from "./progress.ts";

const PACKAGE = "debian-archive-keyring";
const PATH = /^(?:\.\/)?usr\/share\/keyrings\/debian-archive-keyring\.(?:gpg|pgp)$/;

const ARMOR_HEAD = /^-----BEGIN PGP SIGNED MESSAGE-----\r?\n(?:.+\n)*\r?\n/;
const ARMOR_TAIL = /\n-----BEGIN PGP SIGNATURE-----[^]*/;

/** Keys from the mirror whose fingerprints are in `trusted`; throws when there are none. */
export async function fetchArchiveKeys(
  options: Omit<ArchiveOptions, "keys">,
  cache: Cache,
  progress: Progress,
  trusted: ReadonlyMap<string, string> = DEBIAN_ARCHIVE_FINGERPRINTS,
): Promise<Key[]> {
  progress.phase("Fetching the archive's keys (none on this host)");
  const signed = Buffer.from(await fetchBytes(`${options.mirror}/dists/${options.suite}/InRelease`)).toString(
    "utf8",
  );
  const release = parseRelease(signed.replace(ARMOR_HEAD, "").replace(ARMOR_TAIL, "\n"));
  const found = (await readIndex(release, options, cache, progress)).get(PACKAGE);
  if (found === undefined) {
    throw new Error(`the mirror has no package ${PACKAGE}: name a keyring with --keyring FILE`);
  }
  const file = packageFile(found, options.mirror);
  await cache.fetch([file], () => undefined);
  const keyring = await readKeyringOf(await cache.read(file));
  const keys = (await readKeys({ binaryKeys: keyring })).filter((key) => trusted.has(key.getFingerprint()));
  if (keys.length > 0) return keys;
  throw new Error("the mirror's keys are none that Rookery knows: name a keyring with --keyring FILE");
}

async function readKeyringOf(bytes: Uint8Array): Promise<Uint8Array> {
  const deb = await openDeb(bytes);
  const pieces: Uint8Array[] = [];
  let isKeyring = false;
  await deb.unpack({
    begin(header) {
      isKeyring = header.type === "file" && PATH.test(header.path);
    },
    data(piece) {
      if (isKeyring) pieces.push(piece.slice());
    },
    end() {
      isKeyring = false;
    },
  });
  if (pieces.length === 0) {
    throw new Error(`the package ${PACKAGE} holds no keyring: name one with --keyring FILE`);
  }
  return Buffer.concat(pieces);
}
