// SPDX-License-Identifier: Apache-2.0
// A Linux command in a Worker of a page. The image comes over HTTP, as far as the command reads it.

import { httpDisk, Machine } from "../../virt/host/browser/index.ts";

await using machine = await Machine.boot({ root: httpDisk("debian.img"), memory: "512MiB" });
const result = await machine.exec("echo $((6 * 7)) from $(uname -s)");
postMessage(`${result.stdout.trimEnd()} ${result.exitCode}`);
