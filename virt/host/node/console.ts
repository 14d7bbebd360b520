// SPDX-License-Identifier: Apache-2.0
// Standard input and output of the Node process as a HostConsole. In raw mode every key goes to the guest's own
// line discipline, Ctrl-C included.

import { fstatSync, statSync, writeSync } from "node:fs";
import type { WriteStream } from "node:tty";

import type { HostConsole } from "../../../include/host/host.ts";
import type { HostEvents } from "../events.ts";

const DEFAULT_COLUMNS = 80;
const DEFAULT_ROWS = 24;
/** Node takes a tenth of a short run to make a stream of standard input, which a short program does not ask for. */
const INPUT_AFTER_MS = 50;

/** Writes everything to a descriptor, waiting for a slow reader; false when it is closed (EPIPE). */
export function writeAll(descriptor: number, bytes: Uint8Array): boolean {
  let at = 0;
  while (at < bytes.length) {
    try {
      at += writeSync(descriptor, bytes, at);
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "EAGAIN") continue;
      if (error instanceof Error && "code" in error && error.code === "EPIPE") return false;
      throw error;
    }
  }
  return true;
}

export interface NodeConsoleOptions {
  /** Put the terminal in raw mode until `close`. */
  readonly raw: boolean;
  readonly output?: 1 | 2;
  /** Do not read standard input: the guest sees end of file. */
  readonly noInput?: boolean;
}

export class NodeConsole implements HostConsole {
  readonly isTerminal: boolean;
  readonly #events: HostEvents;
  readonly #descriptor: 1 | 2;
  readonly #noInput: boolean;
  isOutputClosed = false;
  #isRaw = false;
  /** Whether standard input is read. */
  #isReading = false;
  #endInput: () => void = () => {};

  constructor(events: HostEvents, options: NodeConsoleOptions) {
    this.#events = events;
    this.#descriptor = options.output ?? 1;
    this.#noInput = options.noInput === true;
    this.isTerminal = options.raw && process.stdin.isTTY === true && this.#stdout.isTTY === true;
    if (this.isTerminal) {
      process.stdin.setRawMode(true);
      this.#isRaw = true;
      stopOutputProcessing();
    }
  }

  /** Made by Node when it is asked for. */
  get #stdout(): WriteStream {
    return this.#descriptor === 1 ? process.stdout : process.stderr;
  }

  get columns(): number {
    return this.#stdout.columns ?? DEFAULT_COLUMNS;
  }

  get rows(): number {
    return this.#stdout.rows ?? DEFAULT_ROWS;
  }

  write(bytes: Uint8Array): void {
    if (!writeAll(this.#descriptor, bytes)) this.isOutputClosed = true;
  }

  onInput(listener: (bytes: Uint8Array | undefined) => void): () => void {
    if (this.#noInput || isEmpty(0)) {
      listener(undefined);
      return () => {};
    }
    const onData = (chunk: Uint8Array): void => {
      listener(chunk);
      this.#events.wake();
    };
    const onEnd = (): void => {
      listener(undefined);
      this.#events.wake();
    };
    const begin = setTimeout(() => {
      this.#isReading = true;
      process.stdin.on("data", onData).on("end", onEnd).on("error", onEnd).resume();
    }, INPUT_AFTER_MS);
    this.#endInput = () => {
      clearTimeout(begin);
      if (this.#isReading) process.stdin.off("data", onData).off("end", onEnd).off("error", onEnd).pause();
    };
    return this.#endInput;
  }

  setInputPaused(isPaused: boolean): void {
    if (isPaused) process.stdin.pause();
    else process.stdin.resume();
  }

  onResize(listener: (columns: number, rows: number) => void): () => void {
    const onResize = (): void => {
      listener(this.columns, this.rows);
      this.#events.wake();
    };
    this.#stdout.on("resize", onResize);
    return () => this.#stdout.off("resize", onResize);
  }

  /** Gives the terminal back as it was. */
  close(): void {
    if (this.#isRaw) process.stdin.setRawMode(false);
    this.#isRaw = false;
    this.#endInput();
    if (!this.#isReading) return;
    process.stdin.pause();
    process.stdin.unref?.();
  }
}

/** Node's raw mode still turns each LF into CR LF, which the guest's own line discipline has done where it is wanted.
 *  setRawMode(false) gives all settings back. Without stty(1) a program that moves by bare LF draws askew. */
function stopOutputProcessing(): void {
  const { spawnSync } = process.getBuiltinModule("node:child_process"); // Loaded by those who have a terminal.
  spawnSync("stty", ["-opost"], { stdio: ["inherit", "ignore", "ignore"] });
}

/** Whether a descriptor is closed, or that of the null device: what would be made to read from it takes a while. */
function isEmpty(descriptor: number): boolean {
  try {
    const { rdev } = fstatSync(descriptor);
    return rdev !== 0 && rdev === statSync("/dev/null", { throwIfNoEntry: false })?.rdev;
  } catch {
    return true;
  }
}
