// SPDX-License-Identifier: Apache-2.0
// The part of Web Streams that Rookery uses, so that the core needs no DOM library. Source: Streams Standard, WHATWG.

interface ReadableStreamDefaultController<R> {
  enqueue(chunk: R): void;
  close(): void;
}
declare class ReadableStream<R> {
  constructor(source?: {
    start?(controller: ReadableStreamDefaultController<R>): void;
    cancel?(reason?: unknown): void;
  });
  cancel(reason?: unknown): Promise<void>;
}
declare class WritableStream<W> {
  constructor(sink?: {
    write?(chunk: W): void | Promise<void>;
    close?(): void;
    abort?(reason?: unknown): void;
  });
  abort(reason?: unknown): Promise<void>;
}
