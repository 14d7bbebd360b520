// SPDX-License-Identifier: Apache-2.0
// Terminal settings: struct termios and its relatives, their defaults and their byte forms. Source: termios(3),
// ioctl_tty(2).

import {
  B38400,
  CBAUD,
  CBAUDEX,
  CREAD,
  CS8,
  ECHO,
  ECHOCTL,
  ECHOE,
  ECHOK,
  ECHOKE,
  HUPCL,
  ICANON,
  ICRNL,
  IEXTEN,
  ISIG,
  IXON,
  NCCS,
  ONLCR,
  OPOST,
  TABDLY,
  VEOF,
  VERASE,
  VINTR,
  VKILL,
  VMIN,
  VQUIT,
  VTIME,
} from "../../include/uapi/termios.ts";

export const TERMIOS_BYTES = 36;
export const TERMIOS2_BYTES = 44;
/** struct termio of TCGETA: four u16 flags, line, c_cc[8]. */
export const TERMIO_BYTES = 18;

/** Speeds of B0 to B38400, then of BOTHER to B4000000. */
const SPEEDS_LOW = [0, 50, 75, 110, 134, 150, 200, 300, 600, 1200, 1800, 2400, 4800, 9600, 19200, 38400];
const SPEEDS_HIGH = [
  0,
  57600,
  115200,
  230400,
  460800,
  500000,
  576000,
  921600,
  1000000,
  1152000,
  1500000,
  2000000,
  2500000,
  3000000,
  3500000,
  4000000,
];

/** intr quit erase kill eof time min swtc start stop susp eol reprint discard werase lnext eol2, then unused. */
const DEFAULT_CHARACTERS = [3, 28, 127, 21, 4, 0, 1, 0, 17, 19, 26, 0, 18, 15, 23, 22, 0, 0, 0];

export class Termios {
  iflag: number = ICRNL | IXON;
  oflag: number = OPOST | ONLCR;
  cflag: number = B38400 | CS8 | CREAD | HUPCL;
  lflag: number = ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN;
  line = 0;
  readonly cc: Uint8Array = Uint8Array.from(DEFAULT_CHARACTERS);
  ispeed = 38400;
  ospeed = 38400;

  clone(): Termios {
    const copy = new Termios();
    copy.assign(this);
    return copy;
  }

  assign(from: Termios): void {
    this.iflag = from.iflag;
    this.oflag = from.oflag;
    this.cflag = from.cflag;
    this.lflag = from.lflag;
    this.line = from.line;
    this.cc.set(from.cc);
    this.ispeed = from.ispeed;
    this.ospeed = from.ospeed;
  }

  get isCanonical(): boolean {
    return (this.lflag & ICANON) !== 0;
  }
  get expandsTabs(): boolean {
    return (this.oflag & TABDLY) === TABDLY;
  }
}

/** TCGETS (36 bytes) or TCGETS2 (44 bytes). */
export function encodeTermios(
  termios: Termios,
  size: typeof TERMIOS_BYTES | typeof TERMIOS2_BYTES,
): Uint8Array {
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, termios.iflag, true);
  view.setUint32(4, termios.oflag, true);
  view.setUint32(8, termios.cflag, true);
  view.setUint32(12, termios.lflag, true);
  bytes[16] = termios.line;
  bytes.set(termios.cc, 17);
  if (size === TERMIOS2_BYTES) {
    view.setUint32(36, termios.ispeed, true);
    view.setUint32(40, termios.ospeed, true);
  }
  return bytes;
}

/** Overwrites `termios` with the fields in `bytes`; the size says which form they have. */
export function decodeTermios(termios: Termios, bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  termios.iflag = view.getUint32(0, true);
  termios.oflag = view.getUint32(4, true);
  termios.cflag = view.getUint32(8, true);
  termios.lflag = view.getUint32(12, true);
  termios.line = bytes[16]!;
  termios.cc.set(bytes.subarray(17, 17 + NCCS));
  const rate = termios.cflag & CBAUD;
  if (rate === CBAUDEX && bytes.length >= TERMIOS2_BYTES) {
    termios.ispeed = view.getUint32(36, true);
    termios.ospeed = view.getUint32(40, true);
  } else if (rate !== CBAUDEX) {
    const table = (rate & CBAUDEX) !== 0 ? SPEEDS_HIGH : SPEEDS_LOW;
    termios.ospeed = termios.ispeed = table[rate & 15] ?? 0;
  }
}

/** The short form of System V: the low halves of the flags and eight characters. */
export function encodeTermio(termios: Termios): Uint8Array {
  const bytes = new Uint8Array(TERMIO_BYTES);
  const view = new DataView(bytes.buffer);
  [termios.iflag, termios.oflag, termios.cflag, termios.lflag].forEach((flag, index) =>
    view.setUint16(index * 2, flag & 0xffff, true)
  );
  bytes[8] = termios.line;
  bytes.set(termios.cc.subarray(0, 8), 9);
  return bytes;
}

export function decodeTermio(termios: Termios, bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const merge = (old: number, index: number): number =>
    ((old & ~0xffff) | view.getUint16(index * 2, true)) >>> 0;
  termios.iflag = merge(termios.iflag, 0);
  termios.oflag = merge(termios.oflag, 1);
  termios.cflag = merge(termios.cflag, 2);
  termios.lflag = merge(termios.lflag, 3);
  termios.line = bytes[8]!;
  for (const index of [VINTR, VQUIT, VERASE, VKILL, VEOF, VTIME, VMIN, 7]) {
    termios.cc[index] = bytes[9 + index]!;
  }
}
