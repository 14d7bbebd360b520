// SPDX-License-Identifier: Apache-2.0
// The output half of the line discipline: OPOST processing, the cursor's column, echoes that wait for a stopped line.
//
// Invariants: echoes come out before later output; `column` is where the cursor is if nothing but this line
// discipline moves it. Source: termios(3), output modes.

import { IUTF8, OCRNL, OLCUC, ONLCR, ONLRET, ONOCR, OPOST } from "../../include/uapi/termios.ts";
import type { IovIter } from "../../include/linux/uio.ts";
import { ByteQueue } from "../../lib/byte-queue.ts";
import type { Termios } from "./termios.ts";

const NEWLINE = 10;
const RETURN = 13;
const TAB = 9;
const BACKSPACE = 8;
const SPACE = 32;

/** Where processed bytes go: a host console or the other side of a pseudoterminal. */
export interface TtyDriver {
  /** Bytes that `write` takes now. */
  readonly writeRoom: number;
  /** Bytes accepted that have not left yet (TIOCOUTQ). */
  readonly pendingOutput: number;
  write(bytes: Uint8Array, length: number): void;
  /** Discards pending output (TCFLSH). */
  flushOutput(): void;
  /** The line discipline has room for input again. */
  unthrottle(): void;
}

export interface OutputOwner {
  readonly termios: Termios;
  readonly driver: TtyDriver;
  /** XOFF or TCOOFF holds output back. */
  readonly isOutputStopped: boolean;
}

export function isControl(c: number): boolean {
  return c < 32 || c === 127;
}

/** Small letters of Latin-1 that have a capital there. */
function isLower(c: number): boolean {
  return c >= 97 && c <= 122 || c >= 0xe0 && c <= 0xfe && c !== 0xf7;
}

/** A byte of a UTF-8 sequence after its first. */
export function isContinuation(termios: Termios, c: number): boolean {
  return (termios.iflag & IUTF8) !== 0 && (c & 0xc0) === 0x80;
}

const CHUNK_BYTES = 2048;
const ECHO_LIMIT_BYTES = 4096;

export class TtyOutput {
  column = 0;
  /** Column where the line being typed began. */
  canonColumn = 0;
  readonly #owner: OutputOwner;
  readonly #echo: ByteQueue = new ByteQueue(ECHO_LIMIT_BYTES);
  readonly #input: Uint8Array = new Uint8Array(CHUNK_BYTES);
  /** Each input byte becomes at most eight (a tab). */
  readonly #output: Uint8Array = new Uint8Array(CHUNK_BYTES * 8);
  #outputLength = 0;
  /** Where the cursor was before the waiting echoes. */
  #columnBeforeEcho = 0;
  #canonColumnBeforeEcho = 0;

  constructor(owner: OutputOwner) {
    this.#owner = owner;
  }

  /** Writes what the driver takes of `iter`; 0 when it takes nothing now. */
  write(iter: IovIter): number {
    let done = 0;
    while (iter.remaining > 0 && this.flushEcho()) {
      const { driver, termios } = this.#owner;
      if (this.#owner.isOutputStopped || driver.writeRoom <= 0) break;
      const taken = (termios.oflag & OPOST) !== 0 ? this.#writeProcessed(iter) : this.#writeRaw(iter);
      if (taken === 0) break;
      done += taken;
    }
    return done;
  }

  /** Echoes one byte through output processing. */
  echo(c: number): void {
    this.#keepColumn();
    this.#outputLength = 0;
    if ((this.#owner.termios.oflag & OPOST) !== 0) this.#process(c, Infinity);
    else this.#echoUnprocessed(c);
    this.#echo.push(this.#output, 0, this.#outputLength);
  }

  /** Without OPOST the column stands still, but for the one byte that Linux's echo counts on its own. */
  #echoUnprocessed(c: number): void {
    this.#output[this.#outputLength++] = c;
    if (c === 0xff) this.column++;
  }

  /** Echoes a control character as ^X. */
  echoCaret(c: number): void {
    this.#keepColumn();
    this.#echo.pushByte(0x5e);
    this.#echo.pushByte(c ^ 0x40);
    this.column += 2;
  }

  /** Moves the cursor back over a tab of `columns`. */
  echoBack(columns: number): void {
    this.#keepColumn();
    for (let index = 0; index < columns; index++) {
      this.#echo.pushByte(BACKSPACE);
      if (this.column > 0) this.column--;
    }
  }

  markCanonColumn(): void {
    this.#keepColumn();
    this.canonColumn = this.column;
  }

  /** Sends waiting echoes; false when some had to stay. */
  flushEcho(): boolean {
    const { driver } = this.#owner;
    while (this.#echo.length > 0) {
      if (this.#owner.isOutputStopped) return false;
      const run = this.#echo.firstRun();
      const size = Math.min(run.length, driver.writeRoom);
      if (size <= 0) return false;
      driver.write(run, size);
      this.#echo.drop(size);
    }
    return true;
  }

  /** Forgets waiting echoes: the cursor has not moved for them. */
  discardEcho(): void {
    if (this.#echo.length === 0) return;
    this.#echo.clear();
    this.column = this.#columnBeforeEcho;
    this.canonColumn = this.#canonColumnBeforeEcho;
  }

  #keepColumn(): void {
    if (this.#echo.length > 0) return;
    this.#columnBeforeEcho = this.column;
    this.#canonColumnBeforeEcho = this.canonColumn;
  }

  #writeRaw(iter: IovIter): number {
    const { driver } = this.#owner;
    const size = Math.min(iter.remaining, driver.writeRoom, this.#output.length);
    iter.copyIn(this.#output, 0, size);
    driver.write(this.#output, size);
    return size;
  }

  #writeProcessed(iter: IovIter): number {
    const { driver } = this.#owner;
    const size = Math.min(iter.remaining, CHUNK_BYTES);
    const room = driver.writeRoom;
    iter.copyIn(this.#input, 0, size);
    this.#outputLength = 0;
    let taken = 0;
    while (taken < size && this.#process(this.#input[taken]!, room)) taken++;
    if (taken < size) iter.revert(size - taken);
    if (this.#outputLength > 0) driver.write(this.#output, this.#outputLength);
    return taken;
  }

  /** Appends the output form of `c` to #output unless that would pass `room`; false then. */
  #process(c: number, room: number): boolean {
    const { termios } = this.#owner;
    const { oflag } = termios;
    const left = room - this.#outputLength;
    if (left < 1) return false;
    if (c > 31 && c !== 127) return this.#put(this.#printable(c));
    switch (c) {
      case NEWLINE:
        if ((oflag & ONLCR) !== 0) {
          if (left < 2) return false;
          this.column = this.canonColumn = 0;
          this.#put(RETURN);
          return this.#put(NEWLINE);
        }
        if ((oflag & ONLRET) !== 0) this.column = 0;
        this.canonColumn = this.column;
        return this.#put(NEWLINE);
      case RETURN:
        if ((oflag & ONOCR) !== 0 && this.column === 0) return true;
        if ((oflag & OCRNL) !== 0) {
          if ((oflag & ONLRET) !== 0) this.column = this.canonColumn = 0;
          return this.#put(NEWLINE);
        }
        this.column = this.canonColumn = 0;
        return this.#put(RETURN);
      case TAB:
        return this.#processTab(left);
      case BACKSPACE:
        if (this.column > 0) this.column--;
        return this.#put(BACKSPACE);
      default:
        return this.#put(c);
    }
  }

  #processTab(left: number): boolean {
    const spaces = 8 - (this.column & 7);
    if (!this.#owner.termios.expandsTabs) {
      this.column += spaces;
      return this.#put(TAB);
    }
    if (left < spaces) return false;
    this.column += spaces;
    for (let index = 0; index < spaces; index++) this.#put(SPACE);
    return true;
  }

  #printable(c: number): number {
    const { termios } = this.#owner;
    if (!isContinuation(termios, c)) this.column++;
    return (termios.oflag & OLCUC) !== 0 && isLower(c) ? c - 32 : c;
  }

  #put(c: number): true {
    this.#output[this.#outputLength++] = c;
    return true;
  }
}
