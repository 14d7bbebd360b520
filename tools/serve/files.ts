// SPDX-License-Identifier: Apache-2.0
// A web server for this machine alone: named files, and the files of directories, with range requests.
// Source: RFC 9110, section 14.

import { createReadStream, type Stats, statSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { extname, join } from "node:path";
import { pipeline } from "node:stream";

/** Path of a URL to a file; "/*" to a directory, for the names that no other entry has. */
export type Routes = Readonly<Record<string, string>>;

export interface FileServer extends AsyncDisposable {
  /** With the slash at its end. */
  readonly url: string;
  /** Bytes sent of each path so far. */
  readonly sent: ReadonlyMap<string, number>;
}

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".json": "application/json",
  ".map": "application/json",
  ".css": "text/css; charset=utf-8",
};

/** From first to last byte; undefined when the header asks for no range; "unsatisfiable" for one beyond the end. */
export function parseRange(
  header: string | undefined,
  size: number,
): { start: number; end: number } | undefined | "unsatisfiable" {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header ?? "");
  if (match === null || (match[1] === "" && match[2] === "")) return undefined;
  const [, first = "", last = ""] = match;
  const start = first === "" ? Math.max(0, size - Number(last)) : Number(first);
  const end = first === "" || last === "" ? size - 1 : Math.min(Number(last), size - 1);
  return start > end ? "unsatisfiable" : { start, end };
}

function statFile(path: string): Stats | undefined {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat?.isFile() === true ? stat : undefined;
}

/** The path of a request; undefined when its escapes make no sense. */
function pathOf(url: string): string | undefined {
  try {
    return decodeURIComponent(new URL(url, "http://localhost").pathname);
  } catch {
    return undefined;
  }
}

function locate(routes: Routes, path: string): string | undefined {
  const named = routes[path];
  if (named !== undefined) return named;
  const directory = routes["/*"];
  const isSafe = path.split("/").every((name) => name !== ".." && !name.includes("\0"));
  return directory !== undefined && isSafe ? join(directory, path) : undefined;
}

function answer(routes: Routes, sent: Map<string, number>, req: IncomingMessage, res: ServerResponse): void {
  const path = pathOf(req.url ?? "/");
  const file = path === undefined ? undefined : locate(routes, path);
  const stat = file === undefined ? undefined : statFile(file);
  if (path === undefined || file === undefined || stat === undefined) {
    res.writeHead(404).end();
    return;
  }
  const range = parseRange(req.headers.range, stat.size);
  const headers = {
    "Content-Type": TYPES[extname(file)] ?? "application/octet-stream",
    "Accept-Ranges": "bytes",
    "Cache-Control": "no-cache",
    ETag: `"${stat.size.toString(16)}-${Math.floor(stat.mtimeMs).toString(16)}"`,
    // Lets the page have fine timers and shared memory.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
  };
  if (range === "unsatisfiable") {
    res.writeHead(416, { ...headers, "Content-Range": `bytes */${stat.size}` }).end();
    return;
  }
  const { start, end } = range ?? { start: 0, end: stat.size - 1 };
  const length = end - start + 1;
  res.writeHead(range === undefined ? 200 : 206, {
    ...headers,
    "Content-Length": length,
    ...(range === undefined ? {} : { "Content-Range": `bytes ${start}-${end}/${stat.size}` }),
  });
  if (req.method === "HEAD" || length === 0) {
    res.end();
    return;
  }
  sent.set(path, (sent.get(path) ?? 0) + length);
  pipeline(createReadStream(file, { start, end }), res, () => {}); // A client may go away at any time.
}

/** Serves `routes` on a port of the loopback interface, a free one for 0, until it is disposed of. */
export function serveFiles(routes: Routes, port: number = 0): Promise<FileServer> {
  const sent = new Map<string, number>();
  const server = createServer((req, res) => answer(routes, sent, req, res));
  return new Promise((resolve, reject) => {
    server.on("error", reject);
    server.listen(port, "127.0.0.1", () => {
      const address = server.address();
      if (address === null || typeof address === "string") throw new TypeError("no port");
      resolve({
        url: `http://127.0.0.1:${address.port}/`,
        sent,
        [Symbol.asyncDispose]: () =>
          new Promise((done) => {
            server.close(() => done());
            server.closeAllConnections();
          }),
      });
    });
  });
}
