// SPDX-License-Identifier: Apache-2.0
// Where Rookery keeps its files on this host. Source: XDG Base Directory Specification.

import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";

/** $XDG_CACHE_HOME/rookery, or ~/.cache/rookery. */
export function cacheDirectory(): string {
  const base = process.env["XDG_CACHE_HOME"];
  return join(base !== undefined && isAbsolute(base) ? base : join(homedir(), ".cache"), "rookery");
}

/** The image that `run` uses when --root is not given. */
export function defaultImagePath(): string {
  return process.env["ROOKERY_IMAGE"] ?? join(cacheDirectory(), "images", "debian.img");
}

/** Where the translations are that come with an image. */
export function translationsBeside(image: string): string {
  return `${image}.translations`;
}
