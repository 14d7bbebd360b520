// SPDX-License-Identifier: Apache-2.0
// Records that follow each other so often that they have a handler together: the interpreter then asks once where to go on.
//
// The second and further records stay as they are, so that whatever starts at one of them, or has to go on alone after a miss,
// finds its own handler. Found by joining the most frequent pair again and again in what python3, perl, bash, sqlite3, git, gcc, tar, sort
// and echo interpret when they are at rest, each program counted alike: nearly half of all records are reached without a look at the table. What only ever runs as
// part of a longer sequence is left out. Half as many
// sequences cost gcc a twentieth; twice as many save an eighth of the looks that are left, and no time that could be told.

/** Names of handlers (bytecode.ts), in the order in which pairs were joined. Only the last of a sequence may end a block. */
export const SEQUENCES: readonly string[] = [
  "store64 i64_add#",
  "load64 i64_add#",
  "load64 i64_add# load64 i64_add#",
  "mov64 mov64",
  "set_cc_imm br_i32_eq#",
  "set_cc_imm br_i64_eq#",
  "pc_const store64 i64_add#",
  "i64_shr_s# i64_add# i64_gt_u# trap_if",
  "i64_add# set_cc_imm",
  "pc_const store64 i64_add# jump",
  "set_cc_imm br_i32_ne#",
  "store64 i64_add# store64 i64_add#",
  "mov64 i64_add# set_cc_imm",
  "load64 i64_shr_s# i64_add# i64_gt_u# trap_if i64_add#",
  "mov32 set_cc_imm",
  "load64 load64",
  "const64 const64",
  "mov64 store64 i64_add#",
  "set_cc_imm br_i64_ne#",
  "load64 set_cc_imm br_i64_eq#",
  "i32_and# set_cc_imm br_i32_eq#",
  "const64 const64 set_cc_imm",
  "load64 mov64",
  "set_cc br_i64_ne",
  "i32_and# set_cc_imm br_i32_ne#",
  "mov64 store64 i64_add# store64 i64_add#",
  "mov32 set_cc_imm i32_and#",
  "mov32 set_cc",
  "i32_shl# i32_or",
  "i64_add set_cc",
  "pc_const load64",
  "mov64 pc_const store64 i64_add# jump",
  "mov32 set_cc_imm br_i32_eq#",
  "set_cc br_i64_eq",
  "mov64 load64",
  "i32_shl# i32_or set_cc",
  "store64 store64",
  "scaled_add load8_u",
  "load32 mov64",
  "mov32 set_cc_imm br_i32_ne#",
  "mov32 mov64",
  "load64 set_cc_imm br_i64_ne#",
  "scaled_add i64_add#",
  "pc_const load32",
  "load8_u i32_and# set_cc_imm br_i32_eq#",
  "const64 store64",
  "i32_and# trap_if",
  "i64_shr_u# i32_and#",
  "mov64 load64 i64_add# load64 i64_add#",
  "mov64 i64_add#",
  "const64 store32",
  "load8_u set_cc_imm br_i32_eq#",
  "load64 mov64 mov64",
  "mov64 i64_add set_cc",
  "mov32 set_cc_imm i32_and# br_i32_eq#",
  "load8_u set_cc_imm br_i32_ne#",
  "i32_and# set_cc_imm",
  "set_cc br_i64_ge_u",
  "scaled_add load32",
  "load64 store64",
  "mov64 store64 i64_add# mov64 store64 i64_add#",
  "i32_shr_u# i32_and#",
  "i64_sub set_cc",
  "mov32 const64",
  "mov32 set_cc_imm i32_and# br_i32_ne#",
  "mov64 mov64 i64_add# set_cc_imm",
  "scaled_add load64",
  "i64_add# mov32",
  "set_cc br_i64_lt_u",
  "mov64 mov64 mov64",
  "load8_u i32_and# set_cc_imm br_i32_ne#",
  "const64 set_cc_imm",
  "const64 store8",
  "probe_write i64_shr_s# i64_add# i64_gt_u# trap_if",
  "pc_const store64 i64_add# indirect",
  "set_cc_imm br_i64_gt_u#",
  "mov64 mov64 pc_const store64 i64_add# jump",
  "store64 mov64",
  "load32 set_cc_imm br_i32_eq#",
  "load64 i64_sub set_cc br_i64_ne",
  "load32 set_cc_imm",
  "cc_cond branch",
  "i32_shl# i32_xor",
  "i32_sub set_cc",
  "mov64 mov32",
  "load32 load32",
  "mov64 i64_add# set_cc_imm store64",
  "scaled_add store8",
  "set_cc_imm br_i64_le_u#",
  "load8_u set_cc_imm",
  "scaled_add load16_u",
  "mov32 set_cc_imm br_i32_lt_s#",
  "i64_shr_u# i32_and# i64_shr_u# i32_xor",
  "i64_shl# i64_xor",
];

/** Finds sequences: a tree of handlers, in rows of `width` as next node or -1. */
export class SequenceTree {
  readonly #width: number;
  readonly #next: number[];
  /** By node: the handler of the sequence that ends there, or -1. */
  readonly #handler: number[] = [-1];

  /** `width`: handlers that may be in sequences are less than that. */
  constructor(width: number) {
    this.#width = width;
    this.#next = new Array<number>(width).fill(-1);
  }

  add(parts: readonly number[], handler: number): void {
    let node = 0;
    for (const part of parts) {
      let next = this.follow(node, part);
      if (next < 0) {
        next = this.#handler.push(-1) - 1;
        this.#next[node * this.#width + part] = next;
        for (let n = 0; n < this.#width; n++) this.#next.push(-1);
      }
      node = next;
    }
    this.#handler[node] = handler;
  }

  /** The node after another, or -1. The first is 0. */
  follow(node: number, handler: number): number {
    return handler < this.#width ? this.#next[node * this.#width + handler]! : -1;
  }

  handlerAt(node: number): number {
    return this.#handler[node]!;
  }
}
