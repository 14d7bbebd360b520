// SPDX-License-Identifier: Apache-2.0
// The shortest useful program: a Linux command from JavaScript. `node dist/samples/hello-node/main.js IMAGE`

import { fileDisk, Machine } from "../../virt/host/node/index.ts";

const [image] = process.argv.slice(2);
if (image === undefined) throw new Error("usage: node dist/samples/hello-node/main.js IMAGE");

await using machine = await Machine.boot({ root: fileDisk(image), memory: "512MiB" });
const result = await machine.exec("echo $((6 * 7)) from $(uname -s)");
console.log(result.stdout.trimEnd(), result.exitCode);
