// SPDX-License-Identifier: Apache-2.0
// Terminal line disciplines and device numbers. Source: ioctl_tty(2), devices list of the LSB, console(4), pts(4).

export const N_TTY = 0;
export const TTY_MAJOR = 4;
/** /dev/tty (minor 0), /dev/console (1), /dev/ptmx (2). */
export const TTYAUX_MAJOR = 5;
export const UNIX98_PTY_SLAVE_MAJOR = 136;
/** struct winsize: ws_row, ws_col, ws_xpixel, ws_ypixel (u16 each). */
export const WINSIZE_BYTES = 8;
