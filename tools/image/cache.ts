// SPDX-License-Identifier: Apache-2.0
// Downloads, kept under the user's cache directory by their SHA-256.
//
// A file in the cache is whole and right: it is written beside its place, checked, flushed and then renamed.

import { createHash } from "node:crypto";
import { mkdir, open, readFile, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";

export interface Wanted {
  readonly url: string;
  readonly sha256: string;
  readonly sizeBytes: number;
}

const PARALLEL_DOWNLOADS = 8;
const ATTEMPTS = 3;
const STALL_MS = 30_000;

/** A server's answer that no second attempt will better. */
class RefusedError extends Error {}

async function openUrl(url: string, signal: AbortSignal): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, { signal, headers: { "accept-encoding": "identity" } });
  } catch (error) {
    throw new Error(`cannot reach ${url}: ${reasonOf(error)}`);
  }
  if (response.ok) return response;
  const message = `${url}: the server answered ${String(response.status)} ${response.statusText}`;
  throw response.status >= 500 ? new Error(message) : new RefusedError(message);
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? error.cause.message : error.message;
}

async function attempt<T>(action: () => Promise<T>): Promise<T> {
  for (let count = 1;; count++) {
    try {
      return await action();
    } catch (error) {
      if (count === ATTEMPTS || error instanceof RefusedError) throw error;
    }
  }
}

/** Calls `take` with each piece of the body; a server that stays silent for STALL_MS is given up. */
async function receive(url: string, take: (bytes: Uint8Array) => Promise<void> | void): Promise<number> {
  const stalled = new AbortController();
  const timer = setTimeout(() => {
    stalled.abort(new Error("no answer"));
  }, STALL_MS);
  try {
    const response = await openUrl(url, stalled.signal);
    const length = Number(response.headers.get("content-length") ?? "-1");
    let received = 0;
    try {
      for await (const bytes of response.body ?? []) {
        timer.refresh();
        received += bytes.length;
        await take(bytes);
      }
    } catch (error) {
      throw new Error(`${url}: the download broke off after ${String(received)} bytes: ${reasonOf(error)}`);
    }
    if (length >= 0 && received < length && response.headers.get("content-encoding") === null) {
      throw new Error(`${url}: the download broke off after ${String(received)} of ${String(length)} bytes`);
    }
    return received;
  } finally {
    clearTimeout(timer);
  }
}

/** A small file without a checksum of its own (InRelease); the caller verifies it. */
export function fetchBytes(url: string): Promise<Uint8Array> {
  return attempt(async () => {
    const pieces: Uint8Array[] = [];
    await receive(url, (bytes) => {
      pieces.push(bytes);
    });
    return Buffer.concat(pieces);
  });
}

export class Cache {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  path(sha256: string): string {
    return join(this.#directory, "sha256", sha256.slice(0, 2), sha256);
  }

  /** The bytes of a file that is in the cache, checked once more: a disk may have torn it since. */
  async read(wanted: Wanted): Promise<Uint8Array> {
    const bytes = await readFile(this.path(wanted.sha256));
    if (createHash("sha256").update(bytes).digest("hex") === wanted.sha256) return bytes;
    await rm(this.path(wanted.sha256), { force: true });
    throw new Error(`${wanted.url}: the copy in the cache was damaged and is removed; please run this again`);
  }

  async #has(wanted: Wanted): Promise<boolean> {
    const found = await stat(this.path(wanted.sha256)).catch(() => undefined);
    return found?.size === wanted.sizeBytes;
  }

  /** Brings all `wanted` into the cache, several at a time. The first failure stops the rest and is thrown. */
  async fetch(wanted: readonly Wanted[], onBytes: (count: number) => void): Promise<void> {
    const queue = [...wanted];
    let failure: Error | undefined;
    const work = async (): Promise<void> => {
      for (let next = queue.shift(); next !== undefined && failure === undefined; next = queue.shift()) {
        const file = next;
        try {
          if (await this.#has(file)) onBytes(file.sizeBytes);
          else await attempt(() => this.#download(file, onBytes));
        } catch (error) {
          failure ??= error instanceof Error ? error : new Error(String(error));
        }
      }
    };
    await Promise.all(Array.from({ length: PARALLEL_DOWNLOADS }, work));
    if (failure !== undefined) throw failure;
  }

  async #download(wanted: Wanted, onBytes: (count: number) => void): Promise<void> {
    const path = this.path(wanted.sha256);
    await mkdir(dirname(path), { recursive: true });
    const temporary = `${path}.${String(process.pid)}.part`;
    const hash = createHash("sha256");
    let counted = 0;
    try {
      const file = await open(temporary, "w");
      try {
        await receive(wanted.url, async (bytes) => {
          hash.update(bytes);
          await file.writeFile(bytes);
          counted += bytes.length;
          onBytes(bytes.length);
        });
        await file.sync();
      } finally {
        await file.close();
      }
      if (counted !== wanted.sizeBytes) {
        throw new Error(
          `${wanted.url}: ${String(counted)} bytes came, ${String(wanted.sizeBytes)} were promised`,
        );
      }
      if (hash.digest("hex") !== wanted.sha256) {
        throw new Error(`${wanted.url}: the SHA-256 is wrong; the mirror or the line damaged it`);
      }
      await rename(temporary, path);
    } catch (error) {
      onBytes(-counted);
      await rm(temporary, { force: true });
      throw error;
    }
  }
}
