// SPDX-License-Identifier: Apache-2.0
// Records that follow each other so often that they have a handler together: the interpreter then asks once where to go on.
//
// The second and further records stay as they are, so that whatever starts at one of them, or has to go on alone after a miss,
// finds its own handler. Found by joining the most frequent pair again and again in what python3, perl, bash, sqlite3, git, gcc and
// xz interpret in a second run, each program counted alike: two in five records are reached without a look at the table.

/** Names of handlers (bytecode.ts), the most frequent sequence first. Only the last may end a block. */
export const SEQUENCES: readonly string[] = [
  "i64_shr_s# i64_add# i64_gt_u# trap_if",
  "mov64 mov64",
  "pc_const store64 i64_add# jump",
  "set_cc_imm br_i64_eq#",
  "load64 i64_add# load64 i64_add#",
  "mov64 i64_add# set_cc_imm",
  "load64 load64",
  "i64_add# indirect",
  "pc_const load64",
  "store64 i64_add# store64 i64_add#",
  "store64 i64_add#",
  "set_cc_imm br_i64_ne#",
  "set_cc_imm br_i32_eq#",
  "load64 i64_add#",
  "scaled_add load8_u",
  "scaled_add load64",
  "mov64 store64 i64_add#",
  "set_cc_imm br_i32_ne#",
  "mov32 set_cc_imm",
  "i32_and# set_cc_imm br_i32_ne#",
  "mov32 set_cc",
  "load64 set_cc_imm br_i64_eq#",
  "i64_add set_cc",
  "i32_and# set_cc_imm br_i32_eq#",
  "set_cc br_i64_eq",
  "const64 const64 set_cc_imm",
  "i32_shl# i32_or set_cc",
  "i64_add# set_cc_imm",
  "mov64 load64",
  "mov32 set_cc_imm i32_and#",
  "mov32 set_cc_imm br_i32_ne#",
  "scaled_add load32",
  "set_cc br_i64_ne",
  "load32 mov64",
  "i32_and# set_cc_imm",
  "i64_shr_u# i32_and#",
  "mov32 set_cc_imm br_i32_eq#",
  "scaled_add i64_add#",
  "const64 const64",
  "store64 store64",
  "pc_const store64 i64_add#",
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
