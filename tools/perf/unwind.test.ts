// SPDX-License-Identifier: Apache-2.0
// Naming and unwinding over files made by hand.

import assert from "node:assert/strict";
import { test } from "node:test";

import { buildVdso } from "../../arch/x86/vdso.ts";
import { ElfFile } from "./elf.ts";
import { DWARF_RBP, DWARF_RBX, DWARF_RIP, DWARF_RSP } from "./frame-table.ts";
import { BASE, makeElf, type TestFrame, type TestSymbol } from "./testing.ts";
import { type CallChain, unwind } from "./unwind.ts";

const RBP = DWARF_RBP;

function parse(symbols: readonly TestSymbol[], frames: readonly TestFrame[]): ElfFile {
  const elf = ElfFile.parse(makeElf(symbols, frames));
  assert.ok(elf !== undefined);
  return elf;
}

test("an address is known by the symbol around it", () => {
  const elf = parse([{ name: "f", start: 0x2000, bytes: 16 }, { name: "g", start: 0x2010, bytes: 16 }], []);
  assert.equal(elf.nameAt(0x200f), "f");
  assert.equal(elf.nameAt(0x2010), "g");
  assert.equal(elf.nameAt(0x1fff), undefined);
  assert.equal(elf.nameAt(0x3000), "past g");
  assert.equal(elf.addressOf(0x1234), BASE + 0x1234);
  assert.equal(elf.addressOf(0x10000), undefined);
});

test("of several names the public one wins", () => {
  const elf = parse([
    { name: "__f_internal", start: 0x2000, bytes: 16, binding: 0 },
    { name: "__f", start: 0x2000, bytes: 16, binding: 2 },
    { name: "f", start: 0x2000, bytes: 16, binding: 2 },
    { name: "label", start: 0x2020, bytes: 0 },
  ], []);
  assert.equal(elf.nameAt(0x2004), "f");
  // A symbol without a size reaches to the next one, where no frame table says otherwise.
  assert.equal(elf.nameAt(0x2028), "label");
});

test("a function without a symbol is known by its frame entry", () => {
  const elf = parse([{ name: "f", start: 0x2000, bytes: 16 }], [{ start: 0x2100, bytes: 64, program: [] }]);
  assert.equal(elf.nameAt(0x2120), "0x2100 past f");
  assert.equal(elf.nameAt(0x2140), "past f");
  assert.equal(elf.nameAt(BASE + 0xf010), "[linkage]");
});

test("what is no ELF file is refused, what is cut short is read as far as it goes", () => {
  assert.equal(ElfFile.parse(new TextEncoder().encode("#!/bin/sh\n".repeat(20))), undefined);
  const whole = makeElf([{ name: "f", start: 0x2000, bytes: 16 }], [{
    start: 0x2000,
    bytes: 16,
    program: [],
  }]);
  for (let length = 0; length < whole.length; length += 7) {
    ElfFile.parse(whole.subarray(0, length))?.nameAt(0x2000);
  }
});

test("the kernel's own vDSO has names", () => {
  const elf = ElfFile.parse(buildVdso());
  assert.ok(elf !== undefined);
  const names = Array.from({ length: 4096 }, (_, n) => elf.nameAt(n) ?? "");
  assert.ok(names.includes("__vdso_clock_gettime"), [...new Set(names)].join(" "));
});

// push rbp (1 byte), mov rbp, rsp (3 bytes), as compilers describe them.
const FRAME_POINTER = [0x41, 0x0e, 16, 0x86, 2, 0x43, 0x0d, 6];
/** _start: the return address is undefined. */
const OUTERMOST = [0x07, 16];

test("rules change with the instruction", () => {
  const elf = parse([], [{ start: 0x2000, bytes: 64, program: FRAME_POINTER }]);
  const entry = elf.frames.find(0x2003)!;
  const row = (address: number): object => elf.frames.row(entry, address).cfa;
  assert.deepEqual(row(0x2000), { kind: "register", register: DWARF_RSP, offset: 8 });
  assert.deepEqual(row(0x2001), { kind: "register", register: DWARF_RSP, offset: 16 });
  assert.deepEqual(row(0x2004), { kind: "register", register: RBP, offset: 16 });
  assert.deepEqual(elf.frames.row(entry, 0x2010).registers.get(RBP), { kind: "offset", offset: -16 });
});

test("remembered rules come back after an early return", () => {
  // advance 1, push; remember; advance 1, pop; advance 1, restore
  const elf = parse([], [{
    start: 0x2000,
    bytes: 64,
    program: [0x41, 0x0e, 16, 0x0a, 0x41, 0x0e, 8, 0x41, 0x0b],
  }]);
  const entry = elf.frames.find(0x2000)!;
  const offset = (address: number): number => {
    const { cfa } = elf.frames.row(entry, address);
    return cfa.kind === "register" ? cfa.offset : NaN;
  };
  assert.deepEqual([0x2000, 0x2001, 0x2002, 0x2003].map(offset), [8, 16, 8, 16]);
});

function chainOf(elf: ElfFile, registers: Record<number, number>, words: Record<number, number>): CallChain {
  const all = Array.from({ length: 17 }, (_, n) => registers[n] ?? 0);
  return unwind({
    registers: all,
    word: (address) => words[address],
    place: (pc) => ({ elf, address: pc }),
  });
}

test("a chain goes through frames with and without a frame pointer to the first one", () => {
  const elf = parse([], [
    { start: 0x2000, bytes: 64, program: [] }, // a leaf
    { start: 0x3000, bytes: 64, program: FRAME_POINTER },
    { start: 0x4000, bytes: 64, program: OUTERMOST },
  ]);
  // Stack: return into 0x3020; then the frame of 0x3000: anything, saved rbp, return into 0x4010.
  const words = { 0x7000: 0x3020, 0x7020: 0x9999, 0x7028: 0x4010 };
  const chain = chainOf(elf, { [DWARF_RIP]: 0x2008, [DWARF_RSP]: 0x7000, [RBP]: 0x7020 }, words);
  assert.deepEqual(chain, { pcs: [0x2008, 0x301f, 0x400f], isWhole: true });
});

test("a chain that cannot be followed ends there, and says so", () => {
  const elf = parse([], [{ start: 0x2000, bytes: 64, program: [] }]);
  const registers = { [DWARF_RIP]: 0x2008, [DWARF_RSP]: 0x7000 };
  assert.deepEqual(chainOf(elf, registers, {}), { pcs: [0x2008], isWhole: false });
  assert.deepEqual(chainOf(elf, registers, { 0x7000: 0x5000 }), { pcs: [0x2008, 0x4fff], isWhole: false });
  // Unknown instructions of a frame table end it, too.
  const odd = parse([], [{ start: 0x2000, bytes: 64, program: [0x3f, 0] }]);
  assert.deepEqual(chainOf(odd, registers, { 0x7000: 0x2010 }), { pcs: [0x2008], isWhole: false });
});

test("the frame of a signal handler leads to the interrupted instruction itself", () => {
  const elf = parse([], [
    // CFA and registers by expressions over rsp, as in the C library's restorer.
    {
      start: 0x2000,
      bytes: 64,
      isSignal: true,
      program: [0x0f, 3, 0x77, 0x20, 0x06, 0x10, 16, 2, 0x77, 0x28, 0x10, DWARF_RBX, 2, 0x77, 0x30],
    },
    { start: 0x3000, bytes: 64, program: OUTERMOST },
  ]);
  const words = { 0x7020: 0x8000, 0x7028: 0x3000 };
  const chain = chainOf(elf, { [DWARF_RIP]: 0x2001, [DWARF_RSP]: 0x7000 }, words);
  assert.deepEqual(chain, { pcs: [0x2001, 0x3000], isWhole: true });
});

test("procedure linkage: the CFA depends on the pc", () => {
  // rsp + 8 + ((rip & 15) >= 11) * 8
  const code = [0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22];
  const elf = parse([], [
    { start: 0x2000, bytes: 64, program: [0x0f, code.length, ...code] },
    { start: 0x3000, bytes: 64, program: OUTERMOST },
  ]);
  const at = (pc: number): CallChain =>
    chainOf(elf, { [DWARF_RIP]: pc, [DWARF_RSP]: 0x7000 }, { 0x7000: 0x3010, 0x7008: 0x3020 });
  assert.deepEqual(at(0x2006).pcs, [0x2006, 0x300f]);
  assert.deepEqual(at(0x200b).pcs, [0x200b, 0x301f]);
});
