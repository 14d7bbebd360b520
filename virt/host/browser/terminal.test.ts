// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";

import { StreamConsole } from "../../../init/stream-console.ts";
import { terminal, type TerminalLike, type TerminalProcess } from "./terminal.ts";

/** Stands for xterm.js. */
class Screen implements TerminalLike {
  cols = 100;
  rows = 40;
  shown = "";
  disposed = 0;
  type: (text: string) => void = () => {};
  click: (bytes: string) => void = () => {};
  setSize: (size: { cols: number; rows: number }) => void = () => {};
  readonly #listening = { dispose: (): void => void this.disposed++ };

  write(bytes: Uint8Array, done: () => void): void {
    this.shown += new TextDecoder().decode(bytes);
    setImmediate(done);
  }
  onData(listener: (text: string) => void): { dispose(): void } {
    this.type = listener;
    return this.#listening;
  }
  onBinary(listener: (bytes: string) => void): { dispose(): void } {
    this.click = listener;
    return this.#listening;
  }
  onResize(listener: (size: { cols: number; rows: number }) => void): { dispose(): void } {
    this.setSize = listener;
    return this.#listening;
  }
}

function child(console: StreamConsole): TerminalProcess {
  return { stdin: console.input, stdout: console.output, resize: (size) => console.resize(size) };
}

const turns = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));

test("keys, bytes, output and sizes go through, and the end ends it", async () => {
  const console = new StreamConsole({ columns: 80, rows: 24 });
  const screen = new Screen();
  const link = terminal(child(console), screen);
  assert.deepEqual([console.columns, console.rows], [100, 40]);
  const typed: number[] = [];
  const sizes: number[][] = [];
  console.onInput((bytes) => typed.push(...bytes ?? []));
  console.onResize((...size) => sizes.push(size));
  screen.type("é");
  screen.click("\xff\x01");
  screen.setSize({ cols: 90, rows: 30 });
  console.write(new TextEncoder().encode("first "));
  console.write(new TextEncoder().encode("second"));
  await turns();
  assert.deepEqual(typed, [0xc3, 0xa9, 0xff, 1]);
  assert.deepEqual(sizes, [[90, 30]]);
  assert.equal(screen.shown, "first second");
  console.end();
  await link.ended;
  assert.equal(screen.disposed, 3);
  screen.type("nobody listens");
});

test("a terminal that is taken away closes the output", async () => {
  const console = new StreamConsole({ columns: 80, rows: 24 });
  const screen = new Screen();
  terminal(child(console), screen)[Symbol.dispose]();
  await turns();
  assert.equal(console.isOutputClosed, true);
  assert.equal(screen.disposed, 3);
});

test("input waits while the guest wants none", async () => {
  const console = new StreamConsole();
  const writer = console.input.getWriter();
  let isDone = false;
  const written = writer.write("a").then(() => isDone = true);
  await turns();
  assert.equal(isDone, false, "nobody has opened the input yet");
  const got: (string | undefined)[] = [];
  console.onInput((bytes) => {
    got.push(bytes === undefined ? undefined : new TextDecoder().decode(bytes));
    if (got.length === 1) console.setInputPaused(true);
  });
  await turns();
  assert.equal(isDone, false);
  console.setInputPaused(false);
  await written;
  await writer.close();
  await turns();
  assert.deepEqual(got, ["a", undefined]);
});
