// SPDX-License-Identifier: Apache-2.0
// A process on a terminal of the page: xterm.js, or anything of its shape. The machine may be in a Worker: streams can be
// transferred, and a resize be sent as a message.

import type { ChildProcess } from "../../../init/child-process.ts";

/** What a terminal asks of a process that was spawned with `tty`. */
export type TerminalProcess = Pick<ChildProcess, "stdin" | "stdout" | "resize">;

/** What is asked of xterm.js's Terminal. */
export interface TerminalLike {
  readonly cols: number;
  readonly rows: number;
  /** `done` is called when the bytes are shown. */
  write(bytes: Uint8Array, done: () => void): void;
  onData(listener: (text: string) => void): { dispose(): void };
  /** Bytes that are no text, of mouse reports: one character a byte. */
  onBinary?(listener: (bytes: string) => void): { dispose(): void };
  onResize(listener: (size: { readonly cols: number; readonly rows: number }) => void): { dispose(): void };
}

/** A terminal that a process is on. */
export interface TerminalLink extends Disposable {
  /** Fulfilled when the process has ended and all that it wrote is shown. */
  readonly ended: Promise<void>;
}

/** Shows what `child` writes and passes keys and sizes on, until it ends or the answer is disposed of. */
export function terminal(child: TerminalProcess, xterm: TerminalLike): TerminalLink {
  const writer = child.stdin.getWriter();
  const reader = child.stdout.getReader();
  const send = (chunk: string | Uint8Array): void => {
    writer.write(chunk).catch(() => {}); // The process is gone.
  };
  const listeners = [
    xterm.onData(send),
    xterm.onBinary?.((bytes) => send(Uint8Array.from(bytes, (character) => character.charCodeAt(0)))),
    xterm.onResize(({ cols, rows }) => child.resize({ columns: cols, rows })),
  ];
  const stop = (): void => {
    for (const listener of listeners.splice(0)) listener?.dispose();
  };
  child.resize({ columns: xterm.cols, rows: xterm.rows });
  return {
    ended: show(reader, xterm).finally(stop),
    [Symbol.dispose]: () => {
      stop();
      void reader.cancel();
    },
  };
}

/** One piece at a time, so that a flood of output waits for the screen. */
async function show(reader: ReadableStreamDefaultReader<Uint8Array>, xterm: TerminalLike): Promise<void> {
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    await new Promise<void>((resolve) => xterm.write(value, resolve));
  }
}
