// SPDX-License-Identifier: Apache-2.0
// The keys that may vouch for an archive, and the check of a clear-signed InRelease. Source: RFC 9580, apt-secure(8).

import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { readCleartextMessage, readKey, readKeys, verify } from "openpgp";
import type { Key } from "openpgp";

export const HOST_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg";

/** The keys of a keyring file, binary or armored. */
export async function readKeyring(path: string): Promise<Key[]> {
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch {
    throw new Error(`--keyring: cannot read ${path}`);
  }
  try {
    const isArmored = bytes.subarray(0, 64).toString("latin1").includes("-----BEGIN PGP");
    if (!isArmored) return await readKeys({ binaryKeys: bytes });
    return [await readKey({ armoredKey: bytes.toString("latin1") })];
  } catch (error) {
    throw new Error(
      `${path} is no OpenPGP keyring: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}

/** Whether this host has the keys of the Debian archive. */
export function hasHostKeyring(): boolean {
  return existsSync(HOST_KEYRING);
}

/** The signed text of an InRelease file, once one of `keys` has signed it; throws otherwise. `name` is for messages. */
export async function verifyClearSigned(bytes: Uint8Array, keys: Key[], name: string): Promise<string> {
  const text = Buffer.from(bytes).toString("utf8");
  let result;
  try {
    const message = await readCleartextMessage({ cleartextMessage: text });
    result = await verify({ message, verificationKeys: keys });
  } catch (error) {
    throw new Error(
      `${name} carries no readable signature: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
  const reasons: string[] = [];
  for (const signature of result.signatures) {
    try {
      if (await signature.verified) return result.data;
    } catch (error) {
      reasons.push(`${signature.keyID.toHex()}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  throw new Error(`${name} is not signed by a key of the keyring (${reasons.join("; ")})`);
}
