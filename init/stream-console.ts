// SPDX-License-Identifier: Apache-2.0
// A HostConsole whose other side is Web Streams: what a program that embeds a machine reads and writes.
//
// Input has back-pressure: a write is done when the guest wants more. Output waits in the stream until it is read; it
// is not held back, so a reader that wants none of it cancels the stream, and the guest gets EPIPE.

import type { HostConsole } from "../include/host/host.ts";

export interface TerminalSize {
  readonly columns: number;
  readonly rows: number;
}

const DEFAULT_SIZE: TerminalSize = { columns: 80, rows: 24 };

export class StreamConsole implements HostConsole {
  readonly isTerminal: boolean;
  readonly input: WritableStream<Uint8Array | string>;
  readonly output: ReadableStream<Uint8Array<ArrayBuffer>>;
  isOutputClosed = false;
  #size: TerminalSize;
  #controller: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>> | undefined;
  #listener: ((bytes: Uint8Array | undefined) => void) | undefined;
  #onResize: ((columns: number, rows: number) => void) | undefined;
  /** Writers wait for it while the guest has enough, or has not opened its input yet. */
  #wanted: Promise<void>;
  #resume: () => void = () => {};

  /** A terminal when it has a size. */
  constructor(size?: TerminalSize) {
    this.isTerminal = size !== undefined;
    this.#size = size ?? DEFAULT_SIZE;
    this.#wanted = this.#hold();
    this.input = new WritableStream({
      write: async (chunk) => {
        await this.#wanted;
        this.#listener?.(typeof chunk === "string" ? new TextEncoder().encode(chunk) : chunk.slice());
        await this.#wanted;
      },
      close: () => void this.#wanted.then(() => this.#listener?.(undefined)),
      abort: () => void this.#wanted.then(() => this.#listener?.(undefined)),
    });
    this.output = new ReadableStream({
      start: (controller) => {
        this.#controller = controller;
      },
      cancel: () => {
        this.isOutputClosed = true;
        this.#controller = undefined;
      },
    });
  }

  #hold(): Promise<void> {
    return new Promise((resolve) => {
      this.#resume = resolve;
    });
  }

  get columns(): number {
    return this.#size.columns;
  }
  get rows(): number {
    return this.#size.rows;
  }

  resize(size: TerminalSize): void {
    this.#size = size;
    this.#onResize?.(size.columns, size.rows);
  }

  write(bytes: Uint8Array): void {
    this.#controller?.enqueue(bytes.slice());
  }

  onInput(listener: (bytes: Uint8Array | undefined) => void): () => void {
    this.#listener = listener;
    this.#resume();
    return () => {
      this.#listener = undefined;
    };
  }

  setInputPaused(isPaused: boolean): void {
    if (isPaused) this.#wanted = this.#hold();
    else this.#resume();
  }

  onResize(listener: (columns: number, rows: number) => void): () => void {
    this.#onResize = listener;
    return () => {
      this.#onResize = undefined;
    };
  }

  /** The program is gone: readers come to the end, what is still written goes nowhere. */
  end(): void {
    this.#controller?.close();
    this.#controller = undefined;
    this.isOutputClosed = true;
    this.#listener = undefined;
    this.#resume();
  }
}
