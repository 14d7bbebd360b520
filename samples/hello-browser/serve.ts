// SPDX-License-Identifier: Apache-2.0
// Serves the page to a browser on this machine: `node dist/samples/hello-browser/serve.js IMAGE`. Any web server that
// answers range requests does as well.

import { serveFiles } from "../../tools/serve/files.ts";

const [image] = process.argv.slice(2);
if (image === undefined) throw new Error("usage: node dist/samples/hello-browser/serve.js IMAGE");

const here = (path: string): string => new URL(`../../../${path}`, import.meta.url).pathname;
const { url } = await serveFiles({
  "/": here("samples/hello-browser/index.html"),
  "/debian.img": image,
  "/*": here("dist/browser"),
});
console.log(url);
