// SPDX-License-Identifier: Apache-2.0
// Builds an image whose second stage runs on the host's kernel: build-native.js OUTPUT [stage1] [PACKAGE…]

import { cacheDirectory } from "../../cli/paths.ts";
import { buildImage } from "../../image/build.ts";
import { hostMirror } from "../../image/host.ts";
import { createProgress } from "../../image/progress.ts";
import { nativeRunner } from "./native-runner.ts";

const [output, ...rest] = process.argv.slice(2);
if (output === undefined) throw new Error("usage: build-native.js OUTPUT [stage1] [PACKAGE…]");
const include = rest.filter((word) => word !== "stage1");
const started = performance.now();
await buildImage({
  output,
  include,
  mirror: await hostMirror(),
  suite: "trixie",
  architecture: "amd64",
  keyring: undefined,
  cacheDirectory: cacheDirectory(),
  progress: createProgress(
    {
      isTTY: false,
      columns: 80,
      hasColor: false,
      write(text) {
        process.stderr.write(`${((performance.now() - started) / 1000).toFixed(2)} s: ${text}`);
      },
    },
    () => performance.now(),
  ),
  runner: rest.includes("stage1") ? undefined : nativeRunner,
  onGuestOutput(bytes) {
    process.stderr.write(bytes);
  },
});
console.log(`${output}: ${((performance.now() - started) / 1000).toFixed(2)} s`);
