// SPDX-License-Identifier: Apache-2.0
// POSIX access control lists in their xattr form: u32 version 2, then entries of u16 tag, u16 rights, u32 id.
// Source: acl(5), <linux/posix_acl_xattr.h> for the numbers.

import { EINVAL, EOPNOTSUPP } from "../lib/errno.ts";

const VERSION = 2;
const ENTRY_BYTES = 8;
const ACL_USER_OBJ = 0x01;
const ACL_USER = 0x02;
const ACL_GROUP_OBJ = 0x04;
const ACL_GROUP = 0x08;
const ACL_MASK = 0x10;
const ACL_OTHER = 0x20;
/** Tags in the order in which a valid list has them. */
const ORDER = [ACL_USER_OBJ, ACL_USER, ACL_GROUP_OBJ, ACL_GROUP, ACL_MASK, ACL_OTHER];

export interface AclEntry {
  readonly tag: number;
  readonly rights: number;
  readonly id: number;
}

export interface Acl {
  readonly entries: readonly AclEntry[];
  /** Owner, group and others only: the mode bits say it all. */
  readonly isMinimal: boolean;
}

/** Decodes and checks. Throws EINVAL. */
export function parseAcl(bytes: Uint8Array): Acl {
  if (bytes.length === 0) return { entries: [], isMinimal: true };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 4 || (bytes.length - 4) % ENTRY_BYTES !== 0) throw EINVAL;
  if (view.getUint32(0, true) !== VERSION) throw EOPNOTSUPP;
  const entries: AclEntry[] = [];
  for (let at = 4; at < bytes.length; at += ENTRY_BYTES) {
    entries.push({
      tag: view.getUint16(at, true), rights: view.getUint16(at + 2, true), id: view.getUint32(at + 4, true),
    });
  }
  if (entries.length > 0) checkAcl(entries);
  return { entries, isMinimal: entries.length === 3 };
}

function checkAcl(entries: readonly AclEntry[]): void {
  let place = 0;
  const count = (tag: number): number => entries.filter((entry) => entry.tag === tag).length;
  for (const { tag, rights } of entries) {
    const next = ORDER.indexOf(tag);
    if (next < place || (rights & ~7) !== 0) throw EINVAL;
    place = next;
  }
  for (const tag of [ACL_USER_OBJ, ACL_GROUP_OBJ, ACL_OTHER]) if (count(tag) !== 1) throw EINVAL;
  if (count(ACL_MASK) > 1) throw EINVAL;
  if (count(ACL_USER) + count(ACL_GROUP) > 0 && count(ACL_MASK) === 0) throw EINVAL;
}

/** The permission bits that go with an access ACL: the group class is the mask, where there is one. */
export function modeOfAcl({ entries }: Acl): number {
  let user = 0;
  let group = 0;
  let mask: number | undefined;
  let other = 0;
  for (const { tag, rights } of entries) {
    if (tag === ACL_USER_OBJ) user = rights;
    else if (tag === ACL_GROUP_OBJ) group = rights;
    else if (tag === ACL_MASK) mask = rights;
    else if (tag === ACL_OTHER) other = rights;
  }
  return (user << 6) | ((mask ?? group) << 3) | other;
}
