// SPDX-License-Identifier: Apache-2.0
// A Linux command in a Worker of a page. The image comes over HTTP, as far as the command reads it, and what was translated stays for
// the next visit.

import { httpDisk, Machine, opfsTranslations } from "../../virt/host/browser/index.ts";

using translations = await opfsTranslations();
await using machine = await Machine.boot({ root: httpDisk("debian.img"), memory: "512MiB", translations });
const result = await machine.exec("echo $((6 * 7)) from $(uname -s)");
postMessage(`${result.stdout.trimEnd()} ${result.exitCode}`);
