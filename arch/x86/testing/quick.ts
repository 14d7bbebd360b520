// SPDX-License-Identifier: Apache-2.0
// What tests of quick functions have in common: two machines, one with them and one without, that are given the same random jobs and must not differ.

import { Ram } from "../../../lib/ram.ts";
import { WasmCpu } from "../../../virt/cpu.ts";
import type { ExtFunction } from "../../../virt/frontend.ts";
import { FRAMES_START, PTE_EXEC } from "../../../virt/layout.ts";
import { ToySpace } from "../../../virt/testing/toy.ts";
import { x86, x86FrontEnd } from "../index.ts";

const RAM_BYTES = FRAMES_START + (4 << 20);
const CODE = 0x40_0000;

/** A number from 0 on, below the given one. */
export type Random = (below: number) => number;

/** A linear congruence: the same numbers every time. */
export function makeRandom(seed: number): Random {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

export function pick<T>(random: Random, list: readonly T[]): T {
  return list[random(list.length)]!;
}

/** A machine whose code is one page, and which counts how often TypeScript is asked. */
export class QuickMachine {
  readonly ram: Ram = new Ram(RAM_BYTES, RAM_BYTES);
  readonly cpu: WasmCpu;
  readonly #code: number;
  /** Calls of ext functions. */
  slow = 0;

  /** `map` maps what there is beside the code. */
  constructor(quick: "with quick functions" | "without", map: (space: ToySpace) => void = () => {}) {
    const exts = x86FrontEnd.exts.map((ext): ExtFunction => (memory) => {
      this.slow++;
      return ext(memory);
    });
    const none = quick === "without" ? { quickExts: () => new Map<number, number>() } : {};
    this.cpu = new WasmCpu(this.ram, { ...x86FrontEnd, ...none, exts });
    const space = new ToySpace(this.ram, FRAMES_START);
    this.#code = space.frame();
    space.map(CODE, this.#code, PTE_EXEC);
    map(space);
    this.cpu.setAddressSpace(space.root, 1);
  }

  /** A new thread is about to run the code. */
  load(code: readonly number[]): void {
    this.cpu.invalidateFrame(this.#code);
    this.ram.u8.set(code, this.#code);
    x86.startThread(this.ram, CODE, 0);
  }
}
