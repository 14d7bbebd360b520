// SPDX-License-Identifier: Apache-2.0
// poll(2), select(2): layouts beside the POLL* bits of include/linux/fs.ts.
//
// struct pollfd: fd i32, events i16, revents i16: 8 bytes. fd_set: 1024 bits in 64-bit words.

export const POLLFD_BYTES = 8;
export const FD_SETSIZE = 1024;
