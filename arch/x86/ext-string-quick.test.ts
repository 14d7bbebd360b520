// SPDX-License-Identifier: Apache-2.0
// REP MOVS and REP STOS with their WebAssembly and without leave the same memory, the same registers and the same trap: random
// sizes, counts and places on pages of which one cannot be written and one is not there.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Ram } from "../../lib/ram.ts";
import { WasmCpu } from "../../virt/cpu.ts";
import type { FrontEnd } from "../../virt/frontend.ts";
import { CPU_BASE, CPU_STATE, FRAMES_START, PAGE_SIZE, PTE_EXEC, PTE_WRITE } from "../../virt/layout.ts";
import { ToySpace } from "../../virt/testing/toy.ts";
import { x86, x86FrontEnd } from "./index.ts";

const CODE = 0x40_0000;
const DATA = 0x60_0000;
/** Writable, but for the third, and nothing behind the last. */
const PAGES = 5;
const READ_ONLY = 2;
const [RAX, RCX, RSI, RDI] = [0, 1, 6, 7];
const JOBS = 3000;
const INT3 = 0xcc;
const STD = 0xfd;

/** (r >>> 0) / 2^32 of a linear congruence: the same jobs every time. */
function makeRandom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

interface Job {
  readonly code: readonly number[];
  readonly count: number;
  readonly from: number;
  readonly to: number;
  readonly value: bigint;
}

const OPCODES = [[0xa4], [0xa5], [0x66, 0xa5], [0x48, 0xa5], [0xaa], [0xab], [0x66, 0xab], [0x48, 0xab]];

function makeJob(random: (below: number) => number): Job {
  const opcode = OPCODES[random(OPCODES.length)]!;
  const [prefix, last] = opcode.length === 1 ? [[], opcode[0]!] : [[opcode[0]!], opcode[1]!];
  // A REX prefix is the last, an operand size prefix the first.
  const instruction = prefix[0] === 0x48 ? [0xf3, 0x48, last] : [...prefix, 0xf3, last];
  const place = (): number => DATA + random(PAGES * PAGE_SIZE);
  const from = place();
  return {
    code: random(8) === 0 ? [STD, ...instruction, INT3] : [...instruction, INT3],
    count: random(3) === 0 ? random(3000) : random(100),
    from,
    to: random(4) === 0 ? from + random(40) - 20 : place(),
    value: BigInt(random(2) === 0 ? random(256) * 0x0101_0101 : random(2 ** 32)) * 0x1_0000_0001n,
  };
}

class Machine {
  readonly #ram = new Ram(FRAMES_START + (4 << 20), FRAMES_START + (4 << 20));
  readonly #cpu: WasmCpu;
  readonly #code: number;
  readonly #data: readonly number[];

  constructor(frontEnd: FrontEnd) {
    this.#cpu = new WasmCpu(this.#ram, frontEnd);
    const space = new ToySpace(this.#ram, FRAMES_START);
    this.#code = space.frame();
    space.map(CODE, this.#code, PTE_EXEC);
    this.#data = Array.from({ length: PAGES }, () => space.frame());
    this.#data.forEach((frame, n) => {
      for (let at = 0; at < PAGE_SIZE; at++) this.#ram.u8[frame + at] = Math.imul(at + n * 77, 31) >>> 3;
      space.map(DATA + n * PAGE_SIZE, frame, n === READ_ONLY ? 0 : PTE_WRITE);
    });
    this.#cpu.setAddressSpace(space.root, 1);
  }

  /** The trap, what is left of the registers, and the data. */
  run({ code, count, from, to, value }: Job): { readonly state: readonly unknown[]; readonly data: Buffer } {
    const { view, u8 } = this.#ram;
    this.#cpu.invalidateFrame(this.#code);
    u8.set(code, this.#code);
    x86.startThread(this.#ram, CODE, 0);
    const register = (n: number): number => CPU_BASE + CPU_STATE.gpr + 8 * n;
    view.setBigUint64(register(RAX), value, true);
    view.setBigUint64(register(RCX), BigInt(count), true);
    view.setBigUint64(register(RSI), BigInt(from), true);
    view.setBigUint64(register(RDI), BigInt(to), true);
    const trap = this.#cpu.run(1_000_000);
    const registers = [RAX, RCX, RSI, RDI].map((n) => view.getBigUint64(register(n), true));
    const pc = this.#ram.readU64(CPU_BASE + CPU_STATE.pc);
    const fault = trap === 0 ? 0n : this.#cpu.trapAddress64;
    return {
      state: [trap, pc, this.#cpu.retired, fault, ...registers],
      data: Buffer.concat(this.#data.map((frame) => u8.subarray(frame, frame + PAGE_SIZE))),
    };
  }
}

test("the quick way does what the other does", () => {
  const quick = new Machine(x86FrontEnd);
  const plain = new Machine({ ...x86FrontEnd, quickExts: new Map() });
  const random = makeRandom(1);
  for (let n = 0; n < JOBS; n++) {
    const job = makeJob(random);
    const [a, b] = [quick.run(job), plain.run(job)];
    assert.deepEqual(a.state, b.state, `job ${n}`);
    assert.ok(a.data.equals(b.data), `job ${n}`);
  }
});
