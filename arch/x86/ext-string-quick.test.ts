// SPDX-License-Identifier: Apache-2.0
// Repeated string instructions with their WebAssembly and without leave the same memory, registers, flags and trap: random
// sizes, counts and places on pages of which one cannot be written and one is not there.

import assert from "node:assert/strict";
import { test } from "node:test";

import { CPU_BASE, CPU_STATE, PAGE_SIZE, PTE_WRITE } from "../../virt/layout.ts";
import { makeRandom, QuickMachine, type Random } from "./testing/quick.ts";

const DATA = 0x60_0000;
/** Writable, but for the third, and nothing behind the last. */
const PAGES = 5;
const READ_ONLY = 2;
const [RAX, RCX, RSI, RDI] = [0, 1, 6, 7];
/** By how much a page's bytes are those of the one before it. */
const STRIDE = 77;
const JOBS = 6000;
const INT3 = 0xcc;
const STD = 0xfd;

interface Job {
  readonly code: readonly number[];
  readonly count: number;
  readonly from: number;
  readonly to: number;
  readonly value: bigint;
}

const OPCODES = [[0xa4], [0xa5], [0x66, 0xa5], [0x48, 0xa5], [0xaa], [0xab], [0x66, 0xab], [0x48, 0xab]];
/** CMPS and SCAS. */
const COMPARISONS = [[0xa6], [0xa7], [0x66, 0xa7], [0x48, 0xa7], [0xae], [0xaf], [0x66, 0xaf], [0x48, 0xaf]];
const REPS = [0xf2, 0xf3];

function makeJob(random: Random): Job {
  const opcodes = random(2) === 0 ? OPCODES : COMPARISONS;
  const opcode = opcodes[random(opcodes.length)]!;
  const rep = opcodes === OPCODES ? 0xf3 : REPS[random(2)]!;
  const [prefix, last] = opcode.length === 1 ? [[], opcode[0]!] : [[opcode[0]!], opcode[1]!];
  // A REX prefix is the last, an operand size prefix the first.
  const instruction = prefix[0] === 0x48 ? [rep, 0x48, last] : [...prefix, rep, last];
  const place = (): number => DATA + random(PAGES * PAGE_SIZE);
  const from = place();
  return {
    code: random(8) === 0 ? [STD, ...instruction, INT3] : [...instruction, INT3],
    count: random(3) === 0 ? random(3000) : random(100),
    from,
    // Overlapping, where mostly the same lies, or anywhere.
    to: [from + random(40) - 20, from + PAGE_SIZE - STRIDE, place(), place()][random(4)]!,
    value: BigInt(random(2) === 0 ? random(256) * 0x0101_0101 : random(2 ** 32)) * 0x1_0000_0001n,
  };
}

class Machine extends QuickMachine {
  readonly #data: readonly number[];

  constructor(quick: "with quick functions" | "without") {
    const data: number[] = [];
    super(quick, (space) => {
      for (let n = 0; n < PAGES; n++) {
        data.push(space.frame());
        space.map(DATA + n * PAGE_SIZE, data[n]!, n === READ_ONLY ? 0 : PTE_WRITE);
      }
    });
    this.#data = data;
    this.#data.forEach((frame, n) => {
      for (let at = 0; at < PAGE_SIZE; at++) this.ram.u8[frame + at] = Math.imul(at + n * STRIDE, 31) >>> 3;
    });
  }

  /** The trap, what is left of the registers, and the data. */
  run({ code, count, from, to, value }: Job): { readonly state: readonly unknown[]; readonly data: Buffer } {
    const { view, u8 } = this.ram;
    this.load(code);
    const register = (n: number): number => CPU_BASE + CPU_STATE.gpr + 8 * n;
    view.setBigUint64(register(RAX), value, true);
    view.setBigUint64(register(RCX), BigInt(count), true);
    view.setBigUint64(register(RSI), BigInt(from), true);
    view.setBigUint64(register(RDI), BigInt(to), true);
    const trap = this.cpu.run(1_000_000);
    const registers = [RAX, RCX, RSI, RDI].map((n) => view.getBigUint64(register(n), true));
    const flags = [CPU_STATE.ccOp, CPU_STATE.ccA, CPU_STATE.ccB].map((field) =>
      this.ram.readU64(CPU_BASE + field)
    );
    const pc = this.ram.readU64(CPU_BASE + CPU_STATE.pc);
    const fault = trap === 0 ? 0n : this.cpu.trapAddress64;
    return {
      state: [trap, pc, this.cpu.retired, fault, ...registers, ...flags],
      data: Buffer.concat(this.#data.map((frame) => u8.subarray(frame, frame + PAGE_SIZE))),
    };
  }
}

test("the quick way does what the other does", () => {
  const quick = new Machine("with quick functions");
  const plain = new Machine("without");
  const random = makeRandom(1);
  for (let n = 0; n < JOBS; n++) {
    const job = makeJob(random);
    const [a, b] = [quick.run(job), plain.run(job)];
    assert.deepEqual(a.state, b.state, `job ${n}`);
    assert.ok(a.data.equals(b.data), `job ${n}`);
  }
  assert.ok(quick.slow < plain.slow / 2, `${quick.slow} of ${plain.slow}`);
});
