// SPDX-License-Identifier: Apache-2.0
// N_TTY, the input half of the line discipline: editing, echo, signals, flow control, and what read(2) takes.
//
// The buffer is n_tty_buffer.ts, output and echo are n_tty_output.ts. Source: termios(3), ioctl_tty(2).

import type { IovIter } from "../../include/linux/uio.ts";
import {
  ECHO,
  ECHOCTL,
  ECHOE,
  ECHOK,
  ECHOKE,
  ECHONL,
  ECHOPRT,
  EXTPROC,
  ICANON,
  ICRNL,
  IEXTEN,
  IGNCR,
  IMAXBEL,
  INLCR,
  ISIG,
  ISTRIP,
  IUCLC,
  IXANY,
  IXON,
  NOFLSH,
  PARMRK,
  VEOF,
  VEOL,
  VEOL2,
  VERASE,
  VINTR,
  VKILL,
  VLNEXT,
  VMIN,
  VQUIT,
  VREPRINT,
  VSTART,
  VSTOP,
  VSUSP,
  VWERASE,
} from "../../include/uapi/termios.ts";
import { SIGINT, SIGQUIT, SIGTSTP } from "../../include/uapi/signal.ts";
import { isContinuation, isControl, type OutputOwner, TtyOutput } from "./n_tty_output.ts";
import { BUFFER_BYTES, LineBuffer } from "./n_tty_buffer.ts";
import type { Termios } from "./termios.ts";

const NEWLINE = 10;
const RETURN = 13;
const TAB = 9;
const BACKSPACE = 8;
const BELL = 7;
const CARET = 0x5e;
const DISABLED = 0; // _POSIX_VDISABLE

/** Below this much space XOFF would be due; at this little data a stopped writer goes on. */
const UNTHROTTLE_BYTES = 128;

/** The terminal as the line discipline sees it. */
export interface LineOwner extends OutputOwner {
  /** ISIG: to the foreground process group. */
  signalForeground(signal: number): void;
  startOutput(): void;
  stopOutput(): void;
  readonly isFlowStopped: boolean;
  /** Data for read(2) has come. */
  announceInput(): void;
  /** An interrupt flushed the queues (packet mode reports it). */
  announceFlush(): void;
}

type EraseKind = "character" | "word" | "line";

export class LineDiscipline {
  readonly output: TtyOutput;
  readonly #tty: LineOwner;
  readonly #buffer: LineBuffer = new LineBuffer();
  #isLiteralNext = false;
  /** ECHOPRT: between the backslash and the slash of what was erased. */
  #isErasing = false;
  #isThrottled = false;
  /** Bytes that act on their own under the current settings. */
  readonly #isSpecial: Uint8Array = new Uint8Array(256);

  constructor(tty: LineOwner) {
    this.#tty = tty;
    this.output = new TtyOutput(tty);
    this.settingsChanged(undefined);
  }

  /** Bytes that read(2) may take without waiting: finished lines, or all in raw mode. */
  get available(): number {
    return (this.#isCanonical ? this.#buffer.canonHead : this.#buffer.head) - this.#buffer.tail;
  }

  /** FIONREAD: as `available`, without end-of-file marks. */
  get inputBytes(): number {
    return this.#isCanonical ? this.#buffer.lineBytes() : this.#buffer.length;
  }

  /** Bytes that input(2) lets a reader wait for: MIN of raw mode, capped by what was asked for. */
  minimum(wanted: number): number {
    if (this.#isCanonical) return 1;
    return Math.max(1, Math.min(wanted, this.#termios.cc[VMIN]!));
  }

  get #termios(): Termios {
    return this.#tty.termios;
  }
  get #isCanonical(): boolean {
    return (this.#termios.lflag & (ICANON | EXTPROC)) === ICANON;
  }
  #has(flag: number): boolean {
    return (this.#termios.lflag & flag) !== 0;
  }

  /** Takes input of the device; returns how much of source[from, to) there was room for. */
  receive(source: Uint8Array, from: number, to: number): number {
    let at = from;
    while (at < to) {
      const room = this.#makeRoom();
      if (room <= 0) {
        this.#isThrottled = true;
        break;
      }
      const end = Math.min(to, at + room);
      if (this.#termios.isCanonical) this.#receiveByte(source[at++]!);
      else while (at < end) this.#receiveByte(source[at++]!);
    }
    this.output.flushEcho();
    if (at > from && this.available > 0) this.#tty.announceInput();
    return at - from;
  }

  /** Room for input. A line that is being typed always takes more: what passes the end replaces its last byte. */
  #makeRoom(): number {
    const space = BUFFER_BYTES - (this.#buffer.head - this.#buffer.tail);
    const room = ((this.#termios.iflag & PARMRK) !== 0 ? Math.ceil(space / 3) : space) - 1;
    if (room > 0) return room;
    if (!this.#isCanonical || this.#buffer.canonHead !== this.#buffer.tail) return 0;
    if (room < 0) {
      this.#buffer.head--;
      if ((this.#termios.iflag & IMAXBEL) !== 0) this.#bell();
    }
    return 1;
  }

  #bell(): void {
    this.output.echo(BELL);
  }

  #receiveByte(byte: number): void {
    const { iflag } = this.#termios;
    let c = byte;
    if ((iflag & ISTRIP) !== 0) c &= 0x7f;
    if ((iflag & IUCLC) !== 0 && this.#has(IEXTEN) && isUpper(c)) c += 32;
    if (this.#isLiteralNext) {
      this.#isLiteralNext = false;
      this.#receiveOrdinary(c);
    } else if (this.#has(EXTPROC)) {
      this.#put(c);
    } else if (this.#isSpecial[c] === 1) {
      this.#receiveSpecial(c);
    } else {
      this.#receiveOrdinary(c);
    }
  }

  #receiveOrdinary(c: number): void {
    this.#restartOnAnyByte();
    if (this.#has(ECHO)) {
      this.#finishErasing();
      this.#markLineStart();
      this.#echo(c);
    }
    if (c === 0xff && (this.#termios.iflag & PARMRK) !== 0) this.#put(c);
    this.#put(c);
  }

  #receiveSpecial(typed: number): void {
    const { cc, iflag } = this.#termios;
    let c = typed;
    if ((iflag & IXON) !== 0 && this.#flowControl(c)) return;
    if (this.#has(ISIG) && this.#signal(c)) return;
    this.#restartOnAnyByte();
    if (c === RETURN) {
      if ((iflag & IGNCR) !== 0) return;
      if ((iflag & ICRNL) !== 0) c = NEWLINE;
    } else if (c === NEWLINE && (iflag & INLCR) !== 0) {
      c = RETURN;
    }
    if (this.#has(ICANON) && (this.#edit(c) || this.#endLine(c, cc))) return;
    if (this.#has(ECHO)) {
      this.#finishErasing();
      if (c === NEWLINE) {
        this.output.echo(NEWLINE);
      } else {
        this.#markLineStart();
        this.#echo(c);
      }
    }
    if (c === 0xff && (iflag & PARMRK) !== 0) this.#put(c);
    this.#put(c);
  }

  #flowControl(c: number): boolean {
    const { cc } = this.#termios;
    if (c === cc[VSTART]) {
      this.#tty.startOutput();
      this.output.flushEcho();
      return true;
    }
    if (c !== cc[VSTOP]) return false;
    this.#tty.stopOutput();
    return true;
  }

  #restartOnAnyByte(): void {
    const both = IXON | IXANY;
    if ((this.#termios.iflag & both) === both && this.#tty.isFlowStopped) {
      this.#tty.startOutput();
      this.output.flushEcho();
    }
  }

  #signal(c: number): boolean {
    const { cc } = this.#termios;
    const signal = c === cc[VINTR] ? SIGINT : c === cc[VQUIT] ? SIGQUIT : c === cc[VSUSP] ? SIGTSTP : 0;
    if (signal === 0) return false;
    if (!this.#has(NOFLSH)) {
      this.output.discardEcho();
      this.#tty.driver.flushOutput();
      this.flushInput();
      this.#tty.announceFlush();
    }
    this.#tty.signalForeground(signal);
    if ((this.#termios.iflag & IXON) !== 0) this.#tty.startOutput();
    if (this.#has(ECHO)) this.#echo(c);
    else this.output.flushEcho();
    return true;
  }

  /** Editing characters of canonical mode. */
  #edit(c: number): boolean {
    const { cc } = this.#termios;
    const isExtended = this.#has(IEXTEN);
    if (c === DISABLED) return false;
    if (c === cc[VERASE]) this.#erase("character");
    else if (c === cc[VKILL]) this.#erase("line");
    else if (isExtended && c === cc[VWERASE]) this.#erase("word");
    else if (isExtended && c === cc[VLNEXT]) this.#quoteNext();
    else if (isExtended && c === cc[VREPRINT] && this.#has(ECHO)) this.#reprint(c);
    else return false;
    return true;
  }

  #quoteNext(): void {
    this.#isLiteralNext = true;
    if (!this.#has(ECHO)) return;
    this.#finishErasing();
    if (this.#has(ECHOCTL)) {
      this.output.echo(CARET);
      this.output.echo(BACKSPACE);
    }
  }

  #reprint(c: number): void {
    this.#finishErasing();
    this.#echo(c);
    this.output.echo(NEWLINE);
    for (let at = this.#buffer.canonHead; at < this.#buffer.head; at++) this.#echo(this.#buffer.at(at));
  }

  /** Newline, end of file, end of line: finish the line. */
  #endLine(c: number, cc: Uint8Array): boolean {
    if (c === NEWLINE) {
      if (this.#has(ECHO | ECHONL)) this.output.echo(NEWLINE);
      this.#finishLine(NEWLINE);
      return true;
    }
    if (c === DISABLED) return false;
    if (c === cc[VEOF]) {
      this.#finishLine(DISABLED);
      return true;
    }
    if (c !== cc[VEOL] && !(c === cc[VEOL2] && this.#has(IEXTEN))) return false;
    if (this.#has(ECHO)) {
      this.#markLineStart();
      this.#echo(c);
    }
    if (c === 0xff && (this.#termios.iflag & PARMRK) !== 0) this.#put(c);
    this.#finishLine(c);
    return true;
  }

  #finishLine(c: number): void {
    this.#buffer.finishLine(c);
    this.#tty.announceInput();
  }

  #put(c: number): void {
    this.#buffer.put(c);
  }

  #echo(c: number): void {
    if (isControl(c) && c !== TAB && this.#has(ECHOCTL)) this.output.echoCaret(c);
    else this.output.echo(c);
  }

  #markLineStart(): void {
    if (this.#buffer.canonHead === this.#buffer.head) this.output.markCanonColumn();
  }

  #finishErasing(): void {
    if (!this.#isErasing) return;
    this.#isErasing = false;
    this.output.echo(0x2f);
  }

  #erase(kind: EraseKind): void {
    if (this.#buffer.head === this.#buffer.canonHead) return;
    if (kind === "line" && !this.#hasAll(ECHO | ECHOK | ECHOKE | ECHOE)) {
      this.#buffer.head = this.#buffer.canonHead;
      if (!this.#has(ECHO)) return;
      this.#finishErasing();
      this.#echo(this.#termios.cc[VKILL]!);
      if (this.#has(ECHOK)) this.output.echo(NEWLINE);
      return;
    }
    let hasSeenWord = false;
    while (this.#buffer.head > this.#buffer.canonHead) {
      const start = this.#lastCharacterStart();
      if (start < 0) break;
      const c = this.#buffer.at(start);
      if (kind === "word") {
        if (isWordByte(c)) hasSeenWord = true;
        else if (hasSeenWord) break;
      }
      const length = this.#buffer.head - start;
      this.#buffer.head = start;
      if (this.#has(ECHO)) this.#echoErased(kind, c, start, length);
      if (kind === "character") break;
    }
    if (this.#buffer.head === this.#buffer.canonHead && this.#has(ECHO)) this.#finishErasing();
  }

  #hasAll(flags: number): boolean {
    return (this.#termios.lflag & flags) === flags;
  }

  /** Where the last character of the typed line starts; -1 when only a tail of one is left. */
  #lastCharacterStart(): number {
    let at = this.#buffer.head;
    let c: number;
    do {
      at--;
      c = this.#buffer.at(at);
    } while (isContinuation(this.#termios, c) && at > this.#buffer.canonHead);
    return isContinuation(this.#termios, c) ? -1 : at;
  }

  #echoErased(kind: EraseKind, c: number, start: number, length: number): void {
    const { output } = this;
    if (this.#has(ECHOPRT)) {
      if (!this.#isErasing) {
        output.echo(0x5c);
        this.#isErasing = true;
      }
      this.#echo(c);
      for (let at = start + 1; at < start + length; at++) output.echo(this.#buffer.at(at));
    } else if (kind === "character" && !this.#has(ECHOE)) {
      this.#echo(this.#termios.cc[VERASE]!);
    } else if (c === TAB) {
      this.#echoErasedTab();
    } else {
      if (isControl(c) && this.#has(ECHOCTL)) this.#rubOut();
      if (!isControl(c) || this.#has(ECHOCTL)) this.#rubOut();
    }
  }

  #rubOut(): void {
    this.output.echo(BACKSPACE);
    this.output.echo(32);
    this.output.echo(BACKSPACE);
  }

  /** How wide the tab was follows from what stands before it, back to an earlier tab or the start of the line. */
  #echoErasedTab(): void {
    let columns = 0;
    let isAfterTab = false;
    for (let at = this.#buffer.head - 1; at >= this.#buffer.canonHead && !isAfterTab; at--) {
      const c = this.#buffer.at(at);
      if (c === TAB) isAfterTab = true;
      else if (isControl(c)) columns += this.#has(ECHOCTL) ? 2 : 0;
      else if (!isContinuation(this.#termios, c)) columns++;
    }
    if (!isAfterTab) columns += this.output.canonColumn;
    this.output.echoBack(8 - (columns & 7));
  }

  /** Moves what one read(2) takes into `iter`; 0 means end of file in canonical mode. Precondition: available > 0. */
  read(iter: IovIter): number {
    const buffer = this.#buffer;
    const count = this.#isCanonical
      ? buffer.readLine(iter)
      : buffer.take(iter, Math.min(iter.remaining, buffer.length));
    this.#afterRead();
    return count;
  }

  #afterRead(): void {
    if (
      !this.#isThrottled || this.#buffer.head - this.#buffer.tail > UNTHROTTLE_BYTES && this.available > 0
    ) return;
    this.#isThrottled = false;
    this.#tty.driver.unthrottle();
  }

  /** TCFLSH, TCSETSF and interrupts. */
  flushInput(): void {
    this.#buffer.clear();
    this.#isErasing = this.#isLiteralNext = false;
    if (!this.#isThrottled) return;
    this.#isThrottled = false;
    this.#tty.driver.unthrottle();
  }

  /** After a change of termios; `old` is undefined the first time. */
  settingsChanged(old: Termios | undefined): void {
    const { lflag, iflag } = this.#termios;
    if (old === undefined || ((old.lflag ^ lflag) & (ICANON | EXTPROC)) !== 0) {
      this.#buffer.regroup((lflag & ICANON) !== 0);
      this.#isErasing = this.#isLiteralNext = false;
    }
    this.#findSpecialBytes();
    if (old !== undefined && (old.iflag & IXON) !== 0 && (iflag & IXON) === 0 && this.#tty.isFlowStopped) {
      this.#tty.startOutput();
      this.output.flushEcho();
    }
    if (this.available > 0) this.#tty.announceInput();
  }

  #findSpecialBytes(): void {
    const { cc, iflag } = this.#termios;
    const special = this.#isSpecial.fill(0);
    const mark = (index: number): void => {
      special[cc[index]!] = 1;
    };
    if ((iflag & (IGNCR | ICRNL)) !== 0) special[RETURN] = 1;
    if ((iflag & INLCR) !== 0) special[NEWLINE] = 1;
    if (this.#has(ICANON)) {
      [VERASE, VKILL, VEOF, VEOL].forEach(mark);
      special[NEWLINE] = 1;
      if (this.#has(IEXTEN)) {
        [VWERASE, VLNEXT, VEOL2].forEach(mark);
        if (this.#has(ECHO)) mark(VREPRINT);
      }
    }
    if ((iflag & IXON) !== 0) [VSTART, VSTOP].forEach(mark);
    if (this.#has(ISIG)) [VINTR, VQUIT, VSUSP].forEach(mark);
    special[DISABLED] = 0;
  }
}

/** Letters and digits of Latin-1, and the underscore. */
function isWordByte(c: number): boolean {
  return c >= 48 && c <= 57 || c >= 65 && c <= 90 || c >= 97 && c <= 122 || c === 95
    || c >= 0xc0 && c !== 0xd7 && c !== 0xf7;
}

/** Capital letters of Latin-1. */
function isUpper(c: number): boolean {
  return c >= 65 && c <= 90 || c >= 0xc0 && c <= 0xde && c !== 0xd7;
}
