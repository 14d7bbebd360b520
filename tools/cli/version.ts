// SPDX-License-Identifier: Apache-2.0
// The version of this package, for --version.

import { readFileSync } from "node:fs";

const manifest: unknown = JSON.parse(readFileSync(new URL("../../../package.json", import.meta.url), "utf8"));

export const VERSION: string = typeof manifest === "object" && manifest !== null && "version" in manifest
  ? String(manifest.version)
  : "unknown";
