// SPDX-License-Identifier: Apache-2.0
// Short sequences: flags flow from instruction to instruction, conditional jumps skip some of them, and some
// run as a counted loop. They test what lives between instructions: lazy flags, their elision, values kept in
// locals, and checks left out for accesses off the same base.
//
// Invariants: no instruction reads a flag that an earlier one left undefined; the base registers of memory
// operands and the loop counter are written by nothing else.

import type { Case } from "./generate.ts";
import { Random } from "./random.ts";
import { DATA_BASE, PAGE } from "./records.ts";
import { randomIntegers, randomVectors, randomX87, StartState } from "./state.ts";

/** Stands for "sequence" where a form id is expected. */
export const SEQUENCE_ID = 100000;

const CF = 1;
const PF = 4;
const AF = 0x10;
const ZF = 0x40;
const SF = 0x80;
const OF = 0x800;
const ALL = CF | PF | AF | ZF | SF | OF;
/** Flags that a condition (0..15, in pairs) reads. */
const CONDITION_READS = [OF, CF, ZF, CF | ZF, SF, PF, SF | OF, ZF | SF | OF];

const RBX = 3;
const RBP = 5;
const R12 = 12;
const R13 = 13;
const BASES = [RBX, RBP, R12, R13];
const COUNTER = 14;
const TARGETS = [0, 1, 2, 6, 7, 8, 9, 10, 11];

interface Made {
  readonly bytes: number[];
  readonly reads: number;
  /** Flags that have a defined value afterwards, and those that have none. */
  readonly defines: number;
  readonly undefines: number;
}

class Writer {
  readonly random: Random;
  constructor(random: Random) {
    this.random = random;
  }

  /** REX, opcode and ModRM for `reg` and a random register or memory operand. */
  withOperand(opcode: number[], reg: number, byte: boolean): number[] {
    const { random } = this;
    const wide = !byte && random.oneIn(2) ? 8 : 0;
    if (random.oneIn(2)) {
      const rm = random.pick(TARGETS);
      return [0x40 | wide | (reg >> 3) << 2 | rm >> 3, ...opcode, 0xc0 | (reg & 7) << 3 | rm & 7];
    }
    const base = random.pick(BASES);
    const disp = random.below(256) - 128 & 0xff;
    const sib = (base & 7) === 4 ? [0x24] : [];
    const rm = (base & 7) === 4 ? 4 : base & 7;
    return [0x40 | wide | (reg >> 3) << 2 | base >> 3, ...opcode, 0x40 | (reg & 7) << 3 | rm, ...sib, disp];
  }

  imm(count: number): number[] {
    const out = [];
    const value = this.random.word32();
    for (let n = 0; n < count; n++) out.push(value >>> 8 * n & 0xff);
    return out;
  }
}

const plain = (bytes: number[]): Made => ({ bytes, reads: 0, defines: 0, undefines: 0 });
const sets = (bytes: number[], reads: number, defines: number, undefines: number): Made => ({
  bytes,
  reads,
  defines,
  undefines,
});

/** One random instruction that may read the flags of `known`. */
function randomInstruction(w: Writer): Made {
  const { random } = w;
  const target = random.pick(TARGETS);
  const condition = random.below(16);
  const byte = random.oneIn(4);
  const low = byte ? 0 : 1;
  switch (random.below(20)) {
    case 0:
    case 1:
    case 2: { // ADD OR ADC SBB AND SUB XOR CMP, both directions
      const operation = random.below(8);
      const opcode = operation * 8 + low + (random.oneIn(2) ? 2 : 0);
      const logic = operation === 1 || operation === 4 || operation === 6;
      const reads = operation === 2 || operation === 3 ? CF : 0;
      return sets(w.withOperand([opcode], target, byte), reads, logic ? ALL & ~AF : ALL, logic ? AF : 0);
    }
    case 3: {
      const operation = random.below(8);
      const logic = operation === 1 || operation === 4 || operation === 6;
      const reads = operation === 2 || operation === 3 ? CF : 0;
      const bytes = [...w.withOperand([0x83], operation, false), ...w.imm(1)];
      return sets(bytes, reads, logic ? ALL & ~AF : ALL, logic ? AF : 0);
    }
    case 4:
      return sets(w.withOperand([0xfe + low], random.below(2), byte), 0, ALL & ~CF, 0); // INC, DEC
    case 5: { // shift by a constant
      const operation = random.pick([4, 5, 7]);
      const count = 1 + random.below(random.oneIn(2) ? 1 : 7);
      const bytes = [...w.withOperand([0xc0 + low], operation, byte), count];
      return sets(bytes, 0, (ALL & ~AF) & (count === 1 ? ALL : ~OF), count === 1 ? AF : AF | OF);
    }
    case 6: { // rotate by one
      const operation = random.below(4);
      return sets(w.withOperand([0xd0 + low], operation, byte), operation >= 2 ? CF : 0, CF | OF, 0);
    }
    case 7:
      return sets(w.withOperand([0x84 + low], target, byte), 0, ALL & ~AF, AF); // TEST
    case 8:
      return sets(w.withOperand([0x0f, 0x90 + condition], 0, true), CONDITION_READS[condition >> 1]!, 0, 0);
    case 9:
      return sets(
        w.withOperand([0x0f, 0x40 + condition], target, false),
        CONDITION_READS[condition >> 1]!,
        0,
        0,
      );
    case 10:
      return plain(w.withOperand([random.oneIn(2) ? 0x89 : 0x8b], target, false)); // MOV
    case 11:
      return plain(w.withOperand([0x0f, random.pick([0xb6, 0xb7, 0xbe, 0xbf])], target, false));
    case 12:
      return sets(w.withOperand([0x0f, 0xaf], target, false), 0, CF | OF, ALL & ~(CF | OF)); // IMUL
    case 13:
      return negateOrNot(w, byte);
    case 14:
      return random.oneIn(3) ? sets([0x9f], ALL & ~OF, 0, 0) : sets([random.pick([0xf8, 0xf9])], 0, CF, 0);
    case 15:
      return bitTest(w);
    case 16:
      return plain(lea(w, target));
    case 17:
      return plain(vectorMove(w));
    case 18:
      return plain([0x50 + random.pick([0, 1, 2, 6, 7])]); // PUSH
    default:
      return plain([0x58 + random.pick([0, 1, 2, 6, 7])]); // POP
  }
}

function negateOrNot(w: Writer, byte: boolean): Made {
  const negate = w.random.oneIn(2);
  const bytes = w.withOperand([byte ? 0xf6 : 0xf7], negate ? 3 : 2, byte);
  return negate ? sets(bytes, 0, ALL, 0) : plain(bytes);
}

function bitTest(w: Writer): Made {
  const bytes = [...w.withOperand([0x0f, 0xba], 4 + w.random.below(4), false), w.random.below(64)];
  return sets(bytes, 0, CF, PF | AF | SF | OF);
}

function lea(w: Writer, target: number): number[] {
  const { random } = w;
  const base = random.pick(TARGETS);
  const index = random.pick(TARGETS);
  const rex = 0x48 | (target >> 3) << 2 | (index >> 3) << 1 | base >> 3;
  return [
    rex,
    0x8d,
    0x44 | (target & 7) << 3,
    random.below(4) << 6 | (index & 7) << 3 | base & 7,
    random.below(256),
  ];
}

/** MOVDQU, PADDD, PXOR, MOVQ between registers and memory. */
function vectorMove(w: Writer): number[] {
  const { random } = w;
  const reg = random.below(8);
  const base = random.pick([RBX, RBP]);
  const memory = [0x40 | reg << 3 | base, random.below(128)];
  switch (random.below(4)) {
    case 0:
      return [0xf3, 0x0f, 0x6f, ...memory];
    case 1:
      return [0xf3, 0x0f, 0x7f, ...memory];
    case 2:
      return [0x66, 0x0f, random.pick([0xfe, 0xef, 0xfa, 0xdb]), 0xc0 | reg << 3 | random.below(8)];
    default:
      return [0x66, 0x48, 0x0f, random.pick([0x6e, 0x7e]), 0xc0 | reg << 3 | random.pick([0, 1, 2, 6, 7])];
  }
}

/** The body: instructions with forward jumps over some of them. Returns bytes and the flags left undefined. */
function body(
  w: Writer,
  count: number,
  undefinedBefore: number,
): { bytes: number[]; undefinedFlags: number } {
  const { random } = w;
  const out: number[] = [];
  let unknown = undefinedBefore;
  let pendingJump: { at: number; unknownAtJump: number } | undefined;
  for (let n = 0; n < count; n++) {
    if (pendingJump === undefined && random.oneIn(3)) {
      const condition = random.below(16);
      if ((CONDITION_READS[condition >> 1]! & unknown) === 0) {
        out.push(0x70 + condition, 0);
        pendingJump = { at: out.length, unknownAtJump: unknown };
        continue;
      }
    }
    let made = randomInstruction(w);
    while ((made.reads & unknown) !== 0) made = randomInstruction(w);
    out.push(...made.bytes);
    unknown = unknown & ~made.defines | made.undefines;
    if (pendingJump !== undefined && random.oneIn(2)) {
      out[pendingJump.at - 1] = out.length - pendingJump.at;
      unknown |= pendingJump.unknownAtJump;
      pendingJump = undefined;
    }
  }
  if (pendingJump !== undefined) {
    out[pendingJump.at - 1] = out.length - pendingJump.at;
    unknown |= pendingJump.unknownAtJump;
  }
  return { bytes: out, undefinedFlags: unknown };
}

/** The body run `times` times: DEC r14 and JNZ close the loop. */
function looped(w: Writer, count: number): { bytes: number[]; undefinedFlags: number } {
  // What the body leaves undefined stays so when it starts again, but for what DEC defines.
  let made = body(w, count, ALL);
  made = { bytes: made.bytes, undefinedFlags: made.undefinedFlags & CF };
  const close = [0x49, 0xff, 0xce];
  const distance = -(made.bytes.length + close.length + 2);
  return { bytes: [...made.bytes, ...close, 0x75, distance & 0xff], undefinedFlags: made.undefinedFlags };
}

export function sequenceCase(seed: number, n: number, slot: number): Case {
  const random = new Random(seed, (SEQUENCE_ID << 12) + n);
  const state = new StartState();
  randomIntegers(state, random);
  randomVectors(state, random);
  randomX87(state, random);
  state.flags &= ~0x400;
  for (const base of BASES) {
    const edge = random.oneIn(20) ? PAGE - 8 : 128 + random.below(PAGE - 512);
    state.setGprNumber(base, DATA_BASE + random.pick([1, 2, 6]) * PAGE + edge);
  }
  // Two bases often name the same place, so that stores through one are seen through the other.
  if (random.oneIn(3)) state.setGprNumber(R12, state.gprLow(RBX) + random.below(9) - 4);
  state.setGprNumber(COUNTER, 1 + random.below(12));
  const writer = new Writer(random);
  const count = 2 + random.below(7);
  const loop = random.oneIn(4);
  const made = loop ? looped(writer, Math.min(count, 5)) : body(writer, count, 0);
  const pc = slot + random.below(16);
  state.setEntry(pc);
  return {
    form: undefined,
    name: loop ? "sequence (loop)" : "sequence",
    key: `${seed}/${SEQUENCE_ID}/${n}`,
    bytes: Uint8Array.from(made.bytes),
    pc,
    instance: { words: state.words, window: state.window },
    undefinedFlags: made.undefinedFlags,
    undefinedOnFault: ALL,
    undefinedResult: false,
  };
}
