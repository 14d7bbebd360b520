// SPDX-License-Identifier: Apache-2.0
// The line discipline against transcripts taken from a Linux terminal: settings, typed bytes, what read(2) gave, what
// the master saw. The file is tools/testing/expect/tty/n_tty.json.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import type { IovIter } from "../../include/linux/uio.ts";
import { VEOL } from "../../include/uapi/termios.ts";
import { LineDiscipline, type LineOwner } from "./n_tty.ts";
import { Termios } from "./termios.ts";

interface Step {
  readonly in: string;
  readonly reads: readonly string[];
  readonly rs: number;
  readonly inq: number;
  readonly w?: string;
  readonly wn?: number;
  readonly out: string;
}
interface Transcript {
  readonly i: number;
  readonly o: number;
  readonly l: number;
  readonly eol: string;
  readonly steps: readonly Step[];
}

class BytesIter implements IovIter {
  readonly bytes: Uint8Array;
  at = 0;
  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }
  get remaining(): number {
    return this.bytes.length - this.at;
  }
  copyOut(source: Uint8Array, offset: number, length: number): void {
    this.bytes.set(source.subarray(offset, offset + length), this.at);
    this.at += length;
  }
  copyIn(target: Uint8Array, offset: number, length: number): void {
    target.set(this.bytes.subarray(this.at, this.at + length), offset);
    this.at += length;
  }
  copyOutRam(): void {}
  copyInRam(): void {}
  zero(): void {}
  revert(length: number): void {
    this.at -= length;
  }
}

/** A terminal whose output is collected. */
class Screen implements LineOwner {
  readonly termios = new Termios();
  output: Uint8Array[] = [];
  isOutputStopped = false;
  readonly driver = {
    writeRoom: 60000,
    pendingOutput: 0,
    write: (bytes: Uint8Array, length: number): void => void this.output.push(bytes.slice(0, length)),
    flushOutput: (): void => void (this.output = []),
    unthrottle: (): void => {},
  };
  get isFlowStopped(): boolean {
    return this.isOutputStopped;
  }
  signalForeground(): void {}
  startOutput(): void {
    this.isOutputStopped = false;
  }
  stopOutput(): void {
    this.isOutputStopped = true;
  }
  announceInput(): void {}
  announceFlush(): void {}
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

function replay(transcript: Transcript): Step[] {
  const screen = new Screen();
  Object.assign(screen.termios, { iflag: transcript.i, oflag: transcript.o, lflag: transcript.l });
  screen.termios.cc[VEOL] = Number.parseInt(transcript.eol, 16) || 0;
  const discipline = new LineDiscipline(screen);
  return transcript.steps.map((step) => {
    const typed = Buffer.from(step.in, "hex");
    discipline.receive(typed, 0, typed.length);
    const inq = discipline.inputBytes;
    const written = step.w === undefined
      ? {}
      : { w: step.w, wn: discipline.output.write(new BytesIter(Buffer.from(step.w, "hex"))) || -1 };
    const reads: string[] = [];
    while (discipline.available > 0) {
      const iter = new BytesIter(new Uint8Array(step.rs));
      const count = discipline.read(iter);
      reads.push(hex(iter.bytes.subarray(0, count)));
    }
    const out = hex(Buffer.concat(screen.output));
    screen.output = [];
    return { in: step.in, reads, rs: step.rs, inq, ...written, out };
  });
}

const file = new URL("../../../tools/testing/expect/tty/n_tty.json", import.meta.url);
const transcripts = JSON.parse(readFileSync(file, "utf8")) as readonly Transcript[];

test("n_tty replays transcripts of Linux", () => {
  assert.ok(transcripts.length > 100);
  for (const [index, transcript] of transcripts.entries()) {
    assert.deepEqual(replay(transcript), transcript.steps, `transcript ${index}`);
  }
});

test("a canonical line holds 4095 bytes and its newline; the rest is dropped", () => {
  const screen = new Screen();
  const discipline = new LineDiscipline(screen);
  const typed = new Uint8Array(5000).fill(97);
  assert.equal(discipline.receive(typed, 0, typed.length), 5000);
  assert.equal(discipline.available, 0);
  discipline.receive(Uint8Array.of(10), 0, 1);
  const iter = new BytesIter(new Uint8Array(8192));
  assert.equal(discipline.read(iter), 4096);
  assert.equal(iter.bytes[4094], 97);
  assert.equal(iter.bytes[4095], 10);
});
