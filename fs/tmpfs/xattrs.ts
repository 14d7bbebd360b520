// SPDX-License-Identifier: Apache-2.0
// Extended attributes kept in memory. Source: xattr(7), setxattr(2).

import { XATTR_CREATE, XATTR_REPLACE } from "../../include/uapi/xattr.ts";
import { EEXIST, ENODATA } from "../../lib/errno.ts";

export class XattrTable {
  readonly #values = new Map<string, Uint8Array>();

  get(name: string): Uint8Array {
    const value = this.#values.get(name);
    if (value === undefined) throw ENODATA;
    return value;
  }
  set(name: string, value: Uint8Array, flags: number): void {
    const exists = this.#values.has(name);
    if ((flags & XATTR_CREATE) !== 0 && exists) throw EEXIST;
    if ((flags & XATTR_REPLACE) !== 0 && !exists) throw ENODATA;
    this.#values.set(name, value.slice());
  }
  remove(name: string): void {
    if (!this.#values.delete(name)) throw ENODATA;
  }
  names(): string[] {
    return [...this.#values.keys()];
  }
}
