// SPDX-License-Identifier: Apache-2.0
// Follows what the second stage prints: how far dpkg has come, and what the last words were.

import type { Progress } from "./progress.ts";

const LAST_LINES = 15;

export class GuestOutput {
  readonly #progress: Progress;
  readonly #pass: ((bytes: Uint8Array) => void) | undefined;
  readonly #lines: string[] = [];
  #partial = "";

  constructor(progress: Progress, pass: ((bytes: Uint8Array) => void) | undefined) {
    this.#progress = progress;
    this.#pass = pass;
  }

  take(bytes: Uint8Array): void {
    this.#pass?.(bytes);
    const lines = (this.#partial + Buffer.from(bytes).toString("latin1")).split("\n");
    this.#partial = lines.pop() ?? "";
    for (const line of lines) {
      if (line.startsWith("Setting up ")) this.#progress.advance(1);
      this.#lines.push(line);
      if (this.#lines.length > LAST_LINES) this.#lines.shift();
    }
  }

  get lastLines(): string {
    return Buffer.from([...this.#lines, this.#partial].join("\n"), "latin1").toString("utf8").trimEnd();
  }
}
