// SPDX-License-Identifier: Apache-2.0
// An image on a web server as a disk, read through range requests: only what the guest reads is downloaded.
//
// A server that knows no ranges sends all of it at once, which is then kept as a Blob. An image that changes on the
// server while a machine runs from it makes reads fail, for old and new blocks must not meet.
// On another origin the server must allow the page (CORS), and expose Content-Range or answer HEAD.
// Source: RFC 9110, sections 14 (range requests) and 8.8 (validators).

import type { HostDisk } from "../../../include/host/host.ts";
import { blobDisk } from "./blob-disk.ts";
import { LazyDisk, type LazyDiskOptions, type RangeSource } from "./lazy-disk.ts";

export interface HttpDiskOptions extends LazyDiskOptions {
  /** Sent with each request. */
  readonly headers?: Readonly<Record<string, string>>;
}

const ATTEMPTS_MAX = 4;
const RETRY_DELAY_MS = 250;
const PARTIAL_CONTENT = 206;
const TOO_MANY_REQUESTS = 429;
const SERVER_ERRORS = 500;

/** A request that may well succeed when it is made again. */
class TransientError extends Error {}

async function request(url: string | URL, init: RequestInit): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, init);
  } catch (error) {
    throw new TransientError(`${String(url)}: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (response.ok) return response;
  const message = `${String(url)}: HTTP status ${response.status}`;
  const isTransient = response.status >= SERVER_ERRORS || response.status === TOO_MANY_REQUESTS;
  throw isTransient ? new TransientError(message) : new Error(message);
}

/** Makes an attempt, and a few more after growing pauses while it fails for a passing reason. */
async function persistently<T>(attempt: () => Promise<T>): Promise<T> {
  for (let tried = 1;; tried++) {
    try {
      return await attempt();
    } catch (error) {
      if (tried === ATTEMPTS_MAX || !(error instanceof TransientError)) throw error;
      await new Promise((resolve) => setTimeout(resolve, RETRY_DELAY_MS * 2 ** (tried - 1)));
    }
  }
}

/** What must stay the same as long as the bytes do. */
function validatorOf(response: Response): string | null {
  return response.headers.get("etag") ?? response.headers.get("last-modified");
}

class HttpSource implements RangeSource {
  readonly sizeBytes: number;
  readonly #url: string | URL;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #validator: string | null;

  constructor(
    url: string | URL,
    headers: Readonly<Record<string, string>>,
    sizeBytes: number,
    validator: string | null,
  ) {
    this.#url = url;
    this.#headers = headers;
    this.sizeBytes = sizeBytes;
    this.#validator = validator;
  }

  fetch(start: number, end: number): Promise<Uint8Array> {
    const headers = { ...this.#headers, Range: `bytes=${start}-${end - 1}` };
    return persistently(async () => {
      const response = await request(this.#url, { headers });
      if (response.status !== PARTIAL_CONTENT || validatorOf(response) !== this.#validator) {
        await response.body?.cancel();
        throw new Error(`${String(this.#url)} has changed`);
      }
      let bytes: Uint8Array;
      try {
        bytes = new Uint8Array(await response.arrayBuffer());
      } catch {
        throw new TransientError(`${String(this.#url)}: the connection broke`);
      }
      if (bytes.length !== end - start) throw new TransientError(`${String(this.#url)}: a torn answer`);
      return bytes;
    });
  }
}

/** The size of the whole, which Content-Range gives after the slash. */
async function sizeOf(url: string | URL, headers: HeadersInit, partial: Response): Promise<number> {
  const told = /\/(\d+)$/.exec(partial.headers.get("content-range") ?? "")?.[1];
  if (told !== undefined) return Number(told);
  const head = await persistently(() => request(url, { method: "HEAD", headers }));
  const length = head.headers.get("content-length");
  if (length === null) throw new Error(`${String(url)}: the server does not tell the size of the image`);
  return Number(length);
}

/** Opens the image at `url`. Rejects when the server does not have it or cannot be reached. */
export async function httpDisk(url: string | URL, options: HttpDiskOptions = {}): Promise<HostDisk> {
  const headers = options.headers ?? {};
  const response = await persistently(() => request(url, { headers: { ...headers, Range: "bytes=0-0" } }));
  if (response.status !== PARTIAL_CONTENT) return blobDisk(await response.blob(), options);
  await response.arrayBuffer();
  const sizeBytes = await sizeOf(url, headers, response);
  return new LazyDisk(new HttpSource(url, headers, sizeBytes, validatorOf(response)), options);
}
