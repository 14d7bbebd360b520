// SPDX-License-Identifier: Apache-2.0
// Positive numbers by index: an array as far as there is little room between them, a map beyond. A file of a page costs a hundred bytes.
//
// Invariants: the last element of the array is not 0, which stands for none; what the map has lies beyond the array.

/** Empty places at the end of the array that are worth having for the next number to be in it, beside as many as there are. */
const GAP_MAX = 64;

export class SparseArray {
  #near: number[] | undefined;
  #far: Map<number, number> | undefined;
  #size = 0;

  /** Of the numbers that are there. */
  get size(): number {
    return this.#size;
  }

  /** 0 when there is none. */
  get(index: number): number {
    const near = this.#near;
    if (near !== undefined && index < near.length) return near[index]!;
    return this.#far?.get(index) ?? 0;
  }

  /** `value` is not 0. */
  set(index: number, value: number): void {
    if (this.get(index) === 0) this.#size++;
    if (this.#near === undefined) {
      if (index === 0) this.#near = [value]; // as many files of one page are: no room for more
      else this.#setBeyond(index, value, this.#near = []);
    } else if (index < this.#near.length) {
      this.#near[index] = value;
    } else {
      this.#setBeyond(index, value, this.#near);
    }
  }

  delete(index: number): void {
    const near = this.#near;
    if (near === undefined || index >= near.length) {
      if (this.#far?.delete(index) === true) this.#size--;
      return;
    }
    if (near[index] === 0) return;
    this.#size--;
    near[index] = 0;
    while (near.at(-1) === 0) near.pop();
  }

  /** All indexes from `from` on, in no order. A copy. */
  indexes(from: number = 0): number[] {
    const found: number[] = [];
    const near = this.#near ?? [];
    for (let index = from; index < near.length; index++) if (near[index] !== 0) found.push(index);
    for (const index of this.#far?.keys() ?? []) if (index >= from) found.push(index);
    return found;
  }

  #setBeyond(index: number, value: number, near: number[]): void {
    if (index > near.length * 2 + GAP_MAX) {
      (this.#far ??= new Map()).set(index, value);
      return;
    }
    while (near.length < index) near.push(this.#takeFar(near.length));
    this.#far?.delete(index);
    near.push(value);
  }

  #takeFar(index: number): number {
    const value = this.#far?.get(index);
    if (value === undefined) return 0;
    this.#far!.delete(index);
    return value;
  }
}
