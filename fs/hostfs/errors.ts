// SPDX-License-Identifier: Apache-2.0
// Errors of the host as errnos: a host error carries `code`, which is the errno's name.

import * as errnos from "../../lib/errno.ts";
import { EIO, Errno } from "../../lib/errno.ts";

const BY_NAME: ReadonlyMap<string, Errno> = new Map(
  Object.values(errnos).filter((value): value is Errno => value instanceof Errno).map((
    value,
  ) => [value.code, value]),
);

/** Calls the host; what it throws becomes the errno of that name, else EIO. */
export function hostCall<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    if (error instanceof Errno) throw error;
    const code = typeof error === "object" && error !== null && "code" in error ? error.code : undefined;
    throw (typeof code === "string" ? BY_NAME.get(code) : undefined) ?? EIO;
  }
}
