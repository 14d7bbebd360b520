// SPDX-License-Identifier: Apache-2.0
// A HostConsole in memory: gives a fixed input and keeps what is written.

import type { HostConsole } from "../include/host/host.ts";

export class BufferConsole implements HostConsole {
  readonly isTerminal = false;
  readonly columns = 80;
  readonly rows = 24;
  readonly #input: Uint8Array;
  readonly #chunks: Uint8Array[] = [];

  constructor(input: string | Uint8Array = "") {
    this.#input = typeof input === "string" ? new TextEncoder().encode(input) : input;
  }

  write(bytes: Uint8Array): void {
    this.#chunks.push(bytes.slice());
  }

  onInput(listener: (bytes: Uint8Array | undefined) => void): () => void {
    if (this.#input.length > 0) listener(this.#input);
    listener(undefined);
    return () => {};
  }

  onResize(): () => void {
    return () => {};
  }

  /** Everything written so far. */
  written(): Uint8Array {
    const all = new Uint8Array(this.#chunks.reduce((sum, chunk) => sum + chunk.length, 0));
    let at = 0;
    for (const chunk of this.#chunks) {
      all.set(chunk, at);
      at += chunk.length;
    }
    return all;
  }
}
