// SPDX-License-Identifier: Apache-2.0
// How a block of the IR ends, and what kind of jump that is.

/** Ends of a block. */
export const TERM_NONE = 0;
export const TERM_JUMP = 1;
export const TERM_BRANCH = 2;
export const TERM_INDIRECT = 3;
export const TERM_SYSCALL = 4;
export const TERM_TRAP = 5;

export const JUMP_PLAIN = 0;
export const JUMP_CALL = 1;
export const JUMP_RETURN = 2;
