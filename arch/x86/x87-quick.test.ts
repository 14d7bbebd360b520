// SPDX-License-Identifier: Apache-2.0
// Instructions of the x87 with their WebAssembly and without leave the same unit, the same memory and the same flags: random numbers, stacks,
// control words and operands in memory. And those that programs mostly use are done by WebAssembly.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";

import { CPU_BASE, CPU_STATE, PAGE_SIZE, PTE_WRITE } from "../../virt/layout.ts";
import { MXCSR_DEFAULT } from "./mxcsr.ts";
import { makeRandom, pick, QuickMachine, type Random } from "./testing/quick.ts";

const DATA = 0x60_0000;
const RBX = 3;
const INT3 = 0xcc;
const JOBS = 16_000;
const AREA_JOBS = 2000;
/** ModRM of 0F AE, without the register. */
const [FXSAVE, FXRSTOR] = [0x00, 0x08];
const UNIT = CPU_BASE + CPU_STATE.st;
const VECTORS = CPU_BASE + CPU_STATE.xmm;
/** Registers, words and pointers; the code selector is behind them. */
const UNIT_BYTES = 0xac;

/** Low halves at and around halves of what narrower formats drop. */
const TAILS = [0n, 1n, 0x400n, 0x401n, 0x3ffn, 0x7ffn, 0x800n, 0x8000_0000n, 0xffff_ffffn, 0x80_0000_0000n];
/** Exponents of what is an integer, of a double's range and of all. */
const SPREADS = [3, 60, 64, 70, 130, 1000, 2060, 16000];

interface Number80 {
  readonly significand: bigint;
  readonly word: number;
}

function number80(random: Random): Number80 {
  const sign = random(2) << 15;
  const kind = random(20);
  if (kind < 2) return { significand: 0n, word: sign };
  const high = BigInt(pick(random, [0, random(2 ** 31), 0x7fff_ffff]) + 2 ** 31) << 32n;
  const tail = pick(random, [...TAILS, BigInt(random(2 ** 32))]);
  const significand = pick(random, [high, 1n << 63n, BigInt.asUintN(64, -1n << 32n)]) | tail;
  if (kind === 2) {
    return {
      significand: significand & pick(random, [-1n, (1n << 63n) - 1n]),
      word: sign | pick(random, [0, 0x7fff]),
    };
  }
  const spread = pick(random, SPREADS);
  return { significand, word: sign | (16383 + random(2 * spread) - spread) };
}

/** By how often they are to come up. */
const CONTROLS = [0x37f, 0x37f, 0x37f, 0x37f, 0x37f, 0xf7f, 0x77f, 0xb7f, 0x27f, 0x35f, 0x340, 0x360, 0x372];
const OPCODES = [0xd8, 0xd9, 0xda, 0xdb, 0xdc, 0xdd, 0xde, 0xdf];

/** FCHS, FABS, FLD1, FLDZ, FSQRT and FRNDINT, behind D9. */
const FUNCTIONS = [0xe0, 0xe1, 0xe8, 0xee, 0xfa, 0xfa, 0xfa, 0xfc];

/** Bytes of memory that are numbers of one of the formats, mostly. */
function operand(random: Random): Uint8Array {
  const view = new DataView(new ArrayBuffer(16));
  const { significand, word } = number80(random);
  if (random(8) === 0) { // an environment with an empty stack
    const image = new Uint8Array(28).map(() => random(256));
    image.set([0xff, 0xff], 8);
    return image;
  }
  switch (random(4)) {
    case 0:
      view.setFloat32(
        0,
        pick(random, [0, -0, 1, 1.5, -1e10, 1e-30, 2 ** -140, NaN, Infinity, 2 ** 40]),
        true,
      );
      break;
    case 1:
      view.setFloat64(
        0,
        pick(random, [0, -0, 1, -3.75, 1e300, 1e-300, 2 ** -1050, NaN, Infinity, 0.1]),
        true,
      );
      break;
    case 2:
      view.setBigInt64(0, BigInt.asIntN(64, significand) >> BigInt(random(64)), true);
      break;
    default:
      view.setBigUint64(0, significand, true);
      view.setUint16(8, word, true);
  }
  return new Uint8Array(view.buffer);
}

interface Job {
  readonly code: readonly number[];
  readonly stack: readonly Number80[];
  readonly top: number;
  readonly tags: number;
  readonly control: number;
  readonly status: number;
  /** What the vector registers are filled with. */
  readonly vectors: number;
  readonly memory: Uint8Array;
  readonly at: number;
}

function makeJob(random: Random): Job {
  const opcode = pick(random, OPCODES);
  const memory = (random(8) << 3) | RBX;
  const codes = [[0xd9, pick(random, FUNCTIONS)], [opcode, memory], [opcode, 0x40 | memory, 0]];
  return {
    code: [
      ...pick(random, [...codes, ...Array.from({ length: 3 }, () => [opcode, 0xc0 | random(64)])]),
      INT3,
    ],
    stack: Array.from({ length: 8 }, () => number80(random)),
    vectors: random(2 ** 32),
    top: random(8),
    tags: pick(random, [0xff, 0x7f << 1 & 0xff, 0, random(256), 0x3c]),
    control: pick(random, CONTROLS),
    status: pick(random, [0, 0, 0x20, 0x4700]),
    memory: operand(random),
    at: pick(random, [64, 64, 64, 64, PAGE_SIZE - 4, PAGE_SIZE - 10]),
  };
}

/** An instruction, whichever register or address it has. */
function nameOf([opcode, modrm]: readonly number[]): string {
  const reg = (modrm! >> 3) & 7;
  const operand = modrm! < 0xc0 ? `/${reg} m` : opcode === 0xd9 && reg >= 4 ? modrm!.toString(16) : `/${reg}`;
  return `${opcode!.toString(16)} ${operand}`;
}

/** What WebAssembly is to do: FADD, FMUL, FCOM, FCOMP, FSUB, FSUBR, FDIV and FDIVR of registers, floats and integers; the others by opcode. */
const ARITHMETIC = ["d8", "d8 m", "da m", "dc", "dc m", "de", "de m"].flatMap((form) =>
  [0, 1, 2, 3, 4, 5, 6, 7].filter((reg) =>
    form.length > 2 || form === "d8" || (reg !== 2 && (form === "de" || reg !== 3))
  )
    .map((reg) => form.replace(/^../, `$& /${reg}`))
);
const OTHERS = [
  ..."d9 /0,d9 /1,d9 e0,d9 e1,d9 e8,d9 ee,d9 fa,d9 fc,da /5,dd /2,dd /3,dd /4,dd /5".split(","),
  ..."d9 /4 m,d9 /6 m,da /0,db /0,db /5,db /6,df /5,df /6".split(","),
  ..."d9 /0 m,d9 /2 m,d9 /3 m,d9 /5 m,db /0 m,db /1 m,db /2 m,db /3 m,db /5 m,db /7 m".split(","),
  ..."dd /0 m,dd /1 m,dd /2 m,dd /3 m,df /0 m,df /1 m,df /2 m,df /3 m,df /5 m,df /7 m".split(","),
];

class Machine extends QuickMachine {
  readonly #data: number;

  constructor(quick: "with quick functions" | "without") {
    let data = 0;
    super(quick, (space) => {
      data = space.frame();
      space.map(DATA, data, PTE_WRITE);
    });
    this.#data = data;
  }

  run(job: Job): readonly unknown[] {
    const { view, u8, i32 } = this.ram;
    this.load(job.code);
    view.setBigUint64(CPU_BASE + CPU_STATE.gpr + 8 * RBX, BigInt(DATA + job.at), true);
    job.stack.forEach(({ significand, word }, n) => {
      view.setBigUint64(UNIT + 16 * n, significand, true);
      view.setUint32(UNIT + 16 * n + 8, word, true);
    });
    const set = (offset: number, value: number): void => {
      i32[(CPU_BASE + offset) >>> 2] = value;
    };
    set(CPU_STATE.fcw, job.control);
    set(CPU_STATE.fsw, job.status);
    set(CPU_STATE.ftop, job.top);
    set(CPU_STATE.ftag, job.tags);
    for (let n = 0; n < 64; n++) view.setUint32(VECTORS + 4 * n, Math.imul(job.vectors, n + 1), true);
    u8.fill(0x55, this.#data, this.#data + PAGE_SIZE);
    u8.set(job.memory.subarray(0, PAGE_SIZE - job.at), this.#data + job.at);
    const trap = this.cpu.run(1000);
    for (let n = 0; n < 8; n++) view.setUint16(UNIT + 16 * n + 10, 0); // nothing is there
    const hex = (from: number, bytes: number): string =>
      Buffer.from(u8.subarray(from, from + bytes)).toString("hex");
    return [
      trap,
      this.ram.readU64(CPU_BASE + CPU_STATE.pc),
      [CPU_STATE.ccOp, CPU_STATE.ccA, CPU_STATE.ccB].map((field) => this.ram.readU64(CPU_BASE + field)),
      [hex(UNIT, UNIT_BYTES), hex(VECTORS, 256), hex(CPU_BASE + CPU_STATE.mxcsr, 8)],
      createHash("sha1").update(u8.subarray(this.#data, this.#data + PAGE_SIZE)).digest("hex"),
    ];
  }
}

/** An area with another job's numbers and, mostly, the MXCSR that is there. */
function makeAreaJob(random: Random): Job {
  const image = new Uint8Array(512).map(() => random(256));
  const view = new DataView(image.buffer);
  view.setUint16(0, pick(random, CONTROLS), true);
  view.setUint32(24, pick(random, [MXCSR_DEFAULT, MXCSR_DEFAULT, MXCSR_DEFAULT, 0x7f80, 0x1_0000]), true);
  const rex = pick(random, [[], [0x48]]);
  return {
    ...makeJob(random),
    code: [...rex, 0x0f, 0xae, pick(random, [FXSAVE, FXRSTOR]) | RBX, INT3],
    memory: image,
    at: pick(random, [0, 16, 1024, PAGE_SIZE - 512, PAGE_SIZE - 256]),
  };
}

test("so do the areas that all of it is saved in", () => {
  const quick = new Machine("with quick functions");
  const plain = new Machine("without");
  const random = makeRandom(16);
  for (let n = 0; n < AREA_JOBS; n++) {
    const job = makeAreaJob(random);
    assert.deepEqual(quick.run(job), plain.run(job), `job ${n}`);
  }
  assert.ok(quick.slow < plain.slow * 0.6, `${quick.slow} of ${plain.slow}`);
});

test("the quick way does what the other does", () => {
  const quick = new Machine("with quick functions");
  const plain = new Machine("without");
  const random = makeRandom(87);
  const taken = new Set<string>();
  for (let n = 0; n < JOBS; n++) {
    const job = makeJob(random);
    const name = nameOf(job.code);
    const [before, beforePlain] = [quick.slow, plain.slow];
    assert.deepEqual(quick.run(job), plain.run(job), `job ${n}: ${name}`);
    if (plain.slow > beforePlain && quick.slow === before) taken.add(name);
  }
  assert.deepEqual([...ARITHMETIC, ...OTHERS].filter((name) => !taken.has(name)), []);
});
