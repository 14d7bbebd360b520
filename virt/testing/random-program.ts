// SPDX-License-Identifier: Apache-2.0
// Random programs of the toy instruction set that end: functions that call functions further on, loops with a count,
// jumps through a table, and memory off registers that stay, move a little, or are copied.

import { TOY, type ToyInstruction } from "./toy.ts";

/** Registers that are set now and then, and read as seldom. */
const RARE = [5, 6];

/** Deterministic 32-bit generator (xorshift). */
export function generator(seed: number): (below: number) => number {
  let state = (seed * 2654435761) | 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

/** A register that is always small. */
const INDEX = 7;
const [SP, INNER, COPY, MOVING, ROUND, FIXED] = [4, 10, 11, 12, 14, 15];
const BASES = [COPY, MOVING, FIXED, 13, 13];
const COMPUTE = [
  TOY.add,
  TOY.sub,
  TOY.xor,
  TOY.add32,
  TOY.mul,
  TOY.mulhi,
  TOY.shli,
  TOY.setcc,
  TOY.cmp,
  TOY.ext,
];
const ACCESS = [TOY.load64, TOY.load64, TOY.store64, TOY.load8, TOY.store8, TOY.rmw, TOY.vload, TOY.vstore];
const TABLE_ACCESS = [TOY.loadx, TOY.loadx, TOY.storex, TOY.rmwx];
const FUNCTIONS = 5;
/** Of these that are small, without loops and calls: such as are put into those that call them. */
const SMALL = 2;

/** Instructions whose targets are known at the end only. */
class Writer {
  readonly program: ToyInstruction[] = [];
  readonly #fixes: { at: number; label: number }[] = [];
  readonly #words: { at: number; label: number; code: number }[] = [];
  readonly #labels: number[] = [];

  label(): number {
    return this.#labels.push(-1) - 1;
  }

  place(label: number): void {
    this.#labels[label] = this.program.length;
  }

  to(op: number, d: number, label: number): void {
    this.#fixes.push({ at: this.program.length, label });
    this.program.push([op, d]);
  }

  /** `li` of an address. */
  address(d: number, label: number, code: number): void {
    this.#fixes.push({ at: this.program.length, label });
    this.program.push([TOY.li, d, 0, 0, code]);
  }

  /** A word of data: the address of a label. */
  word(label: number, code: number): void {
    this.#words.push({ at: this.program.length, label, code });
    this.program.push([TOY.illegal]);
  }

  finish(): ToyInstruction[] {
    for (const { at, label, code } of this.#words) {
      const address = code + this.#labels[label]! * 8;
      this.program[at] = [address & 255, (address >> 8) & 255, (address >> 16) & 255, address >> 24];
    }
    for (const { at, label } of this.#fixes) {
      const [op, d = 0, , , imm = 0] = this.program[at]!;
      const target = this.#labels[label]!;
      this.program[at] = op === TOY.li
        ? [op, d, 0, 0, imm + target * 8]
        : [op, d, 0, 0, (target - at - 1) * 8];
    }
    return this.program;
  }
}

export function structuredProgram(seed: number, code: number): ToyInstruction[] {
  const random = generator(seed);
  const out = new Writer();
  const functions = Array.from({ length: FUNCTIONS }, () => ({ body: out.label(), stub: out.label() }));
  const again = out.label();
  out.place(again);
  // Bases anew each round: what moved stays near.
  out.program.push([TOY.addi, MOVING, random(2) === 0 ? 13 : FIXED, 0, random(12) * 8]);
  out.program.push([TOY.addi, COPY, MOVING, 0, 0]);
  for (let n = 0; n < 3; n++) writeCall(out, random, functions[random(2)]!, code);
  out.program.push([TOY.addi, ROUND, ROUND, 0, -1], [TOY.cmpi, 0, ROUND, 0, 0]);
  out.to(TOY.jcc, 5, again); // not equal
  out.program.push([TOY.syscall]);
  functions.forEach(({ body }, n) => {
    out.place(body);
    if (n < FUNCTIONS - SMALL) writeBody(out, random, functions.slice(n + 1), code, 3 + random(4));
    else writeSmall(out, random);
    out.program.push([TOY.ret]);
  });
  for (const callee of functions) writeStub(out, callee, code);
  return out.finish();
}

/** A function, and what a procedure linkage table has for it. */
interface Callee {
  readonly body: number;
  readonly stub: number;
}

function writeStub(out: Writer, { body, stub }: Callee, code: number): void {
  const place = out.label();
  out.place(stub);
  out.to(TOY.jumpm, 0, place);
  out.place(place);
  out.word(body, code);
}

/** Directly, by the stub, or by a register that mostly holds the same. */
function writeCall(out: Writer, random: (below: number) => number, callee: Callee, code: number): void {
  switch (random(4)) {
    case 0:
      out.to(TOY.call, 0, callee.stub);
      break;
    case 1: {
      const same = out.label();
      out.address(9, callee.body, code);
      out.program.push([TOY.cmpi, 0, ROUND, 0, random(60)]);
      out.to(TOY.jcc, random(2) === 0 ? 5 : 12, same); // not equal, or less
      out.address(9, callee.stub, code);
      out.place(same);
      out.program.push([TOY.callr, 0, 9]);
      break;
    }
    default:
      out.to(TOY.call, 0, callee.body);
  }
}

function writeSmall(out: Writer, random: (below: number) => number): void {
  const over = out.label();
  writePlain(out, random, 1 + random(4));
  out.program.push([TOY.cmp, 0, random(4), random(4)]);
  out.to(TOY.jcc, random(16), over);
  writePlain(out, random, 1 + random(3));
  out.place(over);
  writePlain(out, random, random(3));
}

function writeBody(
  out: Writer,
  random: (below: number) => number,
  callees: readonly Callee[],
  code: number,
  parts: number,
): void {
  for (let n = 0; n < parts; n++) {
    writePlain(out, random, 1 + random(5));
    switch (random(7)) {
      case 0:
      case 1: {
        const over = out.label();
        out.program.push([TOY.cmp, 0, random(4), random(4)]);
        out.to(TOY.jcc, random(16), over);
        writePlain(out, random, 1 + random(4));
        if (random(2) === 0) writeLoop(out, random);
        out.place(over);
        break;
      }
      case 2:
        if (callees.length > 0) writeCall(out, random, callees[random(callees.length)]!, code);
        break;
      case 3:
        writeLoop(out, random);
        break;
      case 4:
        writeSwitch(out, random, code);
        break;
      case 5:
        writeMachine(out, random, code);
        break;
      default:
        out.program.push([TOY.push, random(4)]);
        writePlain(out, random, 1 + random(3));
        out.program.push([TOY.pop, random(4)]);
    }
  }
}

function writeLoop(out: Writer, random: (below: number) => number): void {
  const [again, over] = [out.label(), out.label()];
  out.program.push([TOY.li, INNER, 0, 0, 1 + random(5)]);
  if (random(2) === 0) out.to(TOY.jump, 0, again);
  out.place(again);
  writePlain(out, random, 1 + random(5));
  if (random(2) === 0) {
    out.program.push([TOY.cmp, 0, random(4), random(4)]);
    out.to(TOY.jcc, random(16), over);
    writeRare(out, random);
  }
  out.place(over);
  out.program.push([TOY.addi, INNER, INNER, 0, -1], [TOY.cmpi, 0, INNER, 0, 0]);
  out.to(TOY.jcc, 5, again);
}

/** Jumps to one of two labels, as registers compare. */
function writeChoice(
  out: Writer,
  random: (below: number) => number,
  code: number,
  one: number,
  two: number,
): void {
  const chosen = out.label();
  out.address(9, one, code);
  out.program.push([TOY.cmp, 0, random(4), random(4)]);
  out.to(TOY.jcc, random(16), chosen);
  out.address(9, two, code);
  out.place(chosen);
  out.program.push([TOY.jumpr, 0, 9]);
}

/** A loop over some pieces of code, each of which goes on to one of two by an indirect jump. */
function writeMachine(out: Writer, random: (below: number) => number, code: number): void {
  const handlers = Array.from({ length: 2 + random(3) }, () => out.label());
  const end = out.label();
  const next = (): void => {
    const [one, two] = [0, 0].map(() => handlers[random(handlers.length)]!);
    writeChoice(out, random, code, one!, two!);
  };
  out.program.push([TOY.li, INNER, 0, 0, 2 + random(12)]);
  next();
  for (const handler of handlers) {
    out.place(handler);
    writePlain(out, random, 1 + random(4));
    out.program.push([TOY.addi, INNER, INNER, 0, -1], [TOY.cmpi, 0, INNER, 0, 0]);
    out.to(TOY.jcc, 4, end); // equal
    next();
  }
  out.place(end);
}

/** One of two ways by an indirect jump. */
function writeSwitch(out: Writer, random: (below: number) => number, code: number): void {
  const [one, two, end] = [out.label(), out.label(), out.label()];
  writeChoice(out, random, code, one, two);
  out.place(one);
  writePlain(out, random, 1 + random(3));
  out.to(TOY.jump, 0, end);
  out.place(two);
  writePlain(out, random, 1 + random(3));
  out.place(end);
}

function writeRare(out: Writer, random: (below: number) => number): void {
  const rare = RARE[random(RARE.length)]!;
  if (random(2) === 0) out.program.push([TOY.add, random(4), rare, random(4)]);
  else out.program.push([TOY.add, rare, random(4), random(4)]);
}

/** A word of a table by a small index, which mostly was made right before. */
function writeTable(out: Writer, random: (below: number) => number, d: number): void {
  if (random(4) !== 0) out.program.push([TOY.low, INDEX, random(4), 0, [7, 63, 255][random(3)]!]);
  const base = BASES[random(BASES.length)]!;
  out.program.push([TABLE_ACCESS[random(TABLE_ACCESS.length)]!, d, base, INDEX, random(4) * 8]);
}

function writePlain(out: Writer, random: (below: number) => number, count: number): void {
  for (let n = 0; n < count; n++) {
    const [d, a, b] = [random(4), random(4), random(4)];
    const kind = random(11);
    if (kind === 10) {
      writeTable(out, random, d);
    } else if (kind === 9) {
      writeRare(out, random);
    } else if (kind < 5) {
      const base = random(8) === 0 ? SP : BASES[random(BASES.length)]!;
      const displacement = base === SP ? -64 + random(5) * 8 : random(10) * 8 - 16;
      out.program.push([ACCESS[random(ACCESS.length)]!, d, base, 0, displacement]);
    } else if (kind === 5) {
      const [from, by] = [random(2) === 0 ? MOVING : FIXED, random(5) * 8 - 16];
      out.program.push(
        random(4) === 0
          ? [TOY.addi, COPY, SP, 0, random(16) * 8 - 112] // of its frame
          : random(2) === 0
          ? [TOY.addi, COPY, from, 0, 0]
          : [TOY.addi, MOVING, MOVING, 0, by],
      );
    } else {
      const op = COMPUTE[random(COMPUTE.length)]!;
      const imm = op === TOY.ext ? 0 : random(op === TOY.setcc ? 16 : 40);
      out.program.push(op === TOY.cmp ? [op, 0, a, b] : [op, d, a, b, imm]);
    }
  }
}
