// SPDX-License-Identifier: Apache-2.0
// Records that follow each other so often that they have a handler together: the interpreter then asks once where to go on.
//
// The second and further records stay as they are, so that whatever starts at one of them, or has to go on alone after a miss,
// finds its own handler. Found by joining the most frequent pair again and again in what python3, perl, bash, sqlite3, git, gcc, tar, sort
// and echo interpret when they are at rest, gcc counted for as much as four others: a block of 6.4 records then asks 3.5 times. What hardly ever runs but as
// part of a longer sequence is left out. Twice as many sequences ask 3.0 times, in twice the machine code, and in no less time that could be told.

/** Names of handlers (bytecode.ts), in the order in which pairs were joined. Only the last of a sequence may end a block. */
export const SEQUENCES: readonly string[] = [
  "store_64 add",
  "load_64 add",
  "add add",
  "load_64 add load_64 add",
  "load_64 compare_64",
  "logic compare_32",
  "store_64 add store_64 add",
  "flags add",
  "store_64 add jump",
  "shift logic",
  "load_32 compare_32",
  "load_64 return",
  "add add_more",
  "load_64 load_64",
  "load_64 add load_64 add load_64 add load_64 add",
  "add flags",
  "add store_64 add",
  "load_8 compare_32",
  "logic flags",
  "add compare_64",
  "add store_64 add store_64 add",
  "shift logic shift logic",
  "add add flags",
  "store_64 store_64",
  "load_64 load_64 compare_64",
  "add_more add",
  "load_64 add load_64 add load_64 return",
  "add store_64 add jump",
  "store_64 compare_64",
  "load_8 logic compare_32",
  "add flags add",
  "shift logic flags",
  "add add add flags",
  "flags add add",
  "load_64 load_32",
  "add logic",
  "load_64 store_64",
  "load_64 canonical indirect",
  "add shift",
  "load_64 scaled",
  "add_more add_more",
  "load_16 compare_32",
  "add_more compare_64",
  "add_more compare_32",
  "add compare_32",
  "add add store_64 add jump",
  "shift scaled",
  "logic trap_if",
  "add store_64 add add store_64 add",
  "load_64 add compare_64",
  "load_64 compare_32",
  "scaled load_32",
  "add flags add_more",
  "add select_i64",
  "flags add_more",
  "logic logic",
  "load_64 add load_64 return",
  "add add_more compare_32",
  "scaled load_64 compare_64",
  "flags compare_32",
  "load_8 shift",
  "shift shift logic shift logic",
  "add_more logic compare_32",
  "add scaled",
  "probe_write canonical store_64 add indirect",
  "store_32 compare_64",
  "flags store_64",
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
