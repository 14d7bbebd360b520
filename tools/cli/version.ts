// SPDX-License-Identifier: Apache-2.0
// The version of this package, for --version.

import { existsSync, readFileSync } from "node:fs";

/** The nearest manifest above: this module is run from its own folder and from a bundle. */
function manifestPath(): URL | undefined {
  return ["../", "../../", "../../../"].map((up) => new URL(`${up}package.json`, import.meta.url)).find((
    url,
  ) => existsSync(url));
}

const path = manifestPath();
const manifest: unknown = path === undefined ? undefined : JSON.parse(readFileSync(path, "utf8"));

export const VERSION: string = typeof manifest === "object" && manifest !== null && "version" in manifest
  ? String(manifest.version)
  : "unknown";
