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
      tag: view.getUint16(at, true),
      rights: view.getUint16(at + 2, true),
      id: view.getUint32(at + 4, true),
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

/** Keys of Inode.attached under which the ACLs that were set are at hand without a call of the file system. */
export const ACCESS_ACL = "posix_acl_access";
export const DEFAULT_ACL = "posix_acl_default";

function encodeAcl(entries: readonly AclEntry[]): Uint8Array {
  const bytes = new Uint8Array(4 + entries.length * ENTRY_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, VERSION, true);
  entries.forEach(({ tag, rights, id }, index) => {
    view.setUint16(4 + index * ENTRY_BYTES, tag, true);
    view.setUint16(6 + index * ENTRY_BYTES, rights, true);
    view.setUint32(8 + index * ENTRY_BYTES, id, true);
  });
  return bytes;
}

/** Each entry that stands for mode bits, changed by `change(rights, bits of the mode)`. */
function mapClasses(acl: Acl, mode: number, change: (rights: number, bits: number) => number): AclEntry[] {
  const groupTag = acl.entries.some(({ tag }) => tag === ACL_MASK) ? ACL_MASK : ACL_GROUP_OBJ;
  return acl.entries.map((entry) => {
    if (entry.tag === ACL_USER_OBJ) return { ...entry, rights: change(entry.rights, (mode >> 6) & 7) };
    if (entry.tag === groupTag) return { ...entry, rights: change(entry.rights, (mode >> 3) & 7) };
    if (entry.tag === ACL_OTHER) return { ...entry, rights: change(entry.rights, mode & 7) };
    return entry;
  });
}

/** chmod(2) of a file with an access ACL: owner, mask and others follow the mode. */
export function chmodAcl(bytes: Uint8Array, mode: number): Uint8Array {
  return encodeAcl(mapClasses(parseAcl(bytes), mode, (_rights, bits) => bits));
}

/** What a new file gets from its directory's default ACL: no right that neither the ACL nor `mode` gives. */
export function inheritAcl(
  bytes: Uint8Array,
  mode: number,
): { access: Uint8Array | undefined; mode: number } {
  const acl = parseAcl(bytes);
  const entries = mapClasses(acl, mode, (rights, bits) => rights & bits);
  const made = { entries, isMinimal: acl.isMinimal };
  return { access: acl.isMinimal ? undefined : encodeAcl(entries), mode: (mode & ~0o777) | modeOfAcl(made) };
}
