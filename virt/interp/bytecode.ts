// SPDX-License-Identifier: Apache-2.0
// The interpreter's bytecode: its record format.
//
// A record is 16 bytes: u16 handler, u16 dst, u16 a, u16 b, i32 imm, then u16 pcOffset and u16 index for
// records that may trap (of the guest instruction within its block). dst, a, b are offsets from CPU_BASE:
// registers and temporaries alike are 8- or 16-byte slots; an i32 result is stored zero-extended.
// Three-operand records keep c in the low half of imm. A terminator holds the instruction count in dst.

export const RECORD_BYTES = 16;
/** Bytes before a block's first record: u64 0, i32 entries left until hot, i32 those at first. */
export const HEADER_BYTES = 16;
/**
 * Link words of a jump side {i32 delta, u32 link}: not linked yet, and never to be linked for good. Others that are odd are what FAR_KEY was
 * when a jump last went on at the record in its bytes 4 to 7.
 */
export const LINK_NONE = 0;
export const LINK_NEVER = 1;
/** In the record of a jump: where it went on under the key that is its link. */
export const FAR_RECORD_AT = 4;

/** After the record of an indirect jump: where it went last, {i64 guest address, u32 record, u32 FAR_KEY}; then where it went, 8 bytes each, by a hash of the target. */
export const LAST_AT: number = RECORD_BYTES;
export const TARGETS = 8;
export const TARGETS_BYTES: number = TARGETS * 8;
export const INDIRECT_BYTES: number = 16 + TARGETS_BYTES;
