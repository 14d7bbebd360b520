// SPDX-License-Identifier: Apache-2.0
// The decoder against objdump: lengths and names of two encodings of every form, and the rules about prefixes.
// tools/testing/expect/x86/decode.expect: bytes, what objdump -d prints, the form, separated by tabs.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import {
  BASE_RIP,
  DECODE_FETCH,
  DECODE_ILLEGAL,
  DECODE_OK,
  DECODE_TOO_LONG,
  Decoder,
  REP_F2,
  SEGMENT_FS,
} from "./decode.ts";
import { X86_FORMS } from "./tables/forms.ts";

const PC = 0x40_0000;
const GOLDEN = fileURLToPath(new URL("../../../tools/testing/expect/x86/decode.expect", import.meta.url));
const PREFIX_WORDS = /^(rex(\.[WRXB]+)?|data16|addr32|lock|repz|repnz|[cdefgs]s)$/;

/** Names where objdump's mnemonic does not begin with ours. */
const ALIASES: Readonly<Record<string, string>> = {
  BSF: "tzcnt",
  BSR: "lzcnt",
  CALLF: "lcall",
  CBW: "c",
  CWD: "c",
  CMOVcc: "cmov",
  Jcc: "j",
  SETcc: "set",
  CMPXCHG8B: "cmpxchg16b",
  IMUL1: "imul",
  JMPF: "ljmp",
  LOAD_FAR: "l",
  MOV_CR: "mov",
  MOV_DR: "mov",
  MOV_FROM_SEGMENT: "mov",
  MOV_TO_SEGMENT: "mov",
  MOVD: "movq",
  MOVQ: "movntq",
  MOVSX: "movs",
  MOVSXD: "movslq",
  MOVZX: "movz",
  NOP: "bnd",
  NOP_OR_XCHG: "",
  PAND: "and",
  PANDN: "andn",
  POR: "or",
  PXOR: "xor",
  MOVA: "mov",
  MOVU: "",
  PEXTRD: "pextrq",
  PINSRD: "pinsrq",
  PUSH_SEGMENT: "push",
  POP_SEGMENT: "pop",
  RETF: "lret",
  PUNPCKLQDQ: "unpcklpd",
  PUNPCKHQDQ: "unpckhpd",
};

interface Golden {
  readonly bytes: Buffer;
  readonly text: string;
  readonly form: string;
}

function golden(): Golden[] {
  return readFileSync(GOLDEN, "utf8").trim().split("\n").map((line) => {
    const [hex = "", text = "", form = ""] = line.split("\t");
    return { bytes: Buffer.from(hex, "hex"), text, form };
  });
}

function decodeBytes(bytes: ArrayLike<number>, decoder = new Decoder()): number {
  return decoder.decode({ byte: (pc) => bytes[pc - PC] ?? -1 }, PC);
}

test("forms and lengths agree with objdump", () => {
  const decoder = new Decoder();
  for (const { bytes, text, form } of golden()) {
    assert.equal(decodeBytes(bytes, decoder), DECODE_OK, `${bytes.toString("hex")} ${text}`);
    assert.equal(decoder.insn.form.name, form, text);
    assert.equal(decoder.insn.length, bytes.length, `${form}: ${text}`);
  }
});

test("mnemonics agree with objdump", () => {
  const x87 = new Set(X86_FORMS.filter((form) => form.attributes.has("x87")).map((form) => form.name));
  for (const { text, form } of golden()) {
    // AT&T syntax exchanges some x87 names, and undocumented aliases have none.
    if (x87.has(form)) continue;
    const mnemonic = form.split(" ")[2]!;
    const word = text.split(" ").find((part) => !PREFIX_WORDS.test(part)) ?? "";
    const matches = word.startsWith(mnemonic.toLowerCase()) || word.startsWith(ALIASES[mnemonic] ?? "?");
    assert.ok(matches, `${form}: objdump says ${text}`);
  }
});

test("every form has a stable name of its own, and the golden file has nearly all", () => {
  assert.equal(new Set(X86_FORMS.map((form) => form.name)).size, X86_FORMS.length);
  const seen = new Set(golden().map(({ form }) => form));
  const missing = X86_FORMS.filter((form) => !seen.has(form.name)).map((form) => form.mnemonic);
  // FWAIT is a prefix to objdump and UD0 reads a ModRM byte there.
  assert.deepEqual(missing.filter((name) => name !== "UD0" && name !== "FWAIT"), []);
});

test("prefixes: order, REX that does not count, segments", () => {
  const decoder = new Decoder();
  assert.equal(decodeBytes([0x48, 0x66, 0x89, 0xc8], decoder), DECODE_OK);
  assert.equal(decoder.insn.opSize, 2, "a REX before another prefix is ignored");
  assert.equal(decodeBytes([0x66, 0x48, 0x89, 0xc8], decoder), DECODE_OK);
  assert.equal(decoder.insn.opSize, 8, "REX.W wins over 66");
  assert.equal(decodeBytes([0x64, 0x3e, 0x8b, 0x00], decoder), DECODE_OK);
  assert.equal(decoder.insn.segment, SEGMENT_FS, "a null segment prefix does not undo FS");
  assert.equal(decodeBytes([0xf3, 0xf2, 0x0f, 0x10, 0xc1], decoder), DECODE_OK);
  assert.equal(decoder.insn.form.mnemonic, "MOVSD", "the last of F2 and F3 counts");
  assert.equal(decoder.insn.rep, REP_F2);
});

test("addressing: RIP-relative, SIB without base, REX.B on the escape codes", () => {
  const decoder = new Decoder();
  decodeBytes([0x8b, 0x05, 0xfc, 0xff, 0xff, 0xff], decoder);
  assert.deepEqual([decoder.insn.base, decoder.insn.disp], [BASE_RIP, -4]);
  decodeBytes([0x42, 0x8b, 0x04, 0x25, 0x10, 0, 0, 0], decoder);
  assert.deepEqual([decoder.insn.base, decoder.insn.index, decoder.insn.disp], [-1, 12, 0x10]);
  decodeBytes([0x41, 0x8b, 0x45, 0x08], decoder);
  assert.deepEqual([decoder.insn.base, decoder.insn.disp], [13, 8], "r13 needs no displacement of 32 bits");
  decodeBytes([0x41, 0x8b, 0x05, 1, 0, 0, 0], decoder);
  assert.equal(decoder.insn.base, BASE_RIP, "REX.B does not turn RIP-relative into r13");
});

test("invalid in 64-bit mode, VEX, EVEX, unpromised", () => {
  const bad = [
    [0x06],
    [0x27],
    [0x60],
    [0x62, 0xf1, 0x7c, 0x48, 0x58, 0xc0],
    [0x82, 0xc0, 1],
    [0x9a],
    [0xc4, 0xe2, 0x79, 0x18, 0],
    [0xc5, 0xf8, 0x77],
    [0xce],
    [0xd4, 10],
    [0xd6],
    [0xea],
    [0x0f, 0x0f],
    [0x0f, 0x01, 0xd0],
    [0x0f, 0xc7, 0xf0],
    [0x8d, 0xc0],
    [0xfe, 0xd0],
    [0x0f, 0x38, 0xf0, 0x00],
    [0x66, 0x0f, 0x38, 0xdc, 0xc1],
  ];
  for (const bytes of bad) {
    assert.equal(decodeBytes([...bytes, ...Array(16).fill(0)]), DECODE_ILLEGAL, bytes.join(" "));
  }
});

test("LOCK only on memory forms that allow it", () => {
  assert.equal(decodeBytes([0xf0, 0x01, 0x00]), DECODE_OK);
  assert.equal(decodeBytes([0xf0, 0x01, 0xc0]), DECODE_ILLEGAL);
  assert.equal(decodeBytes([0xf0, 0x8b, 0x00]), DECODE_ILLEGAL);
  assert.equal(decodeBytes([0xf0, 0x39, 0x00]), DECODE_ILLEGAL, "CMP does not write");
});

test("15 bytes are the most", () => {
  assert.equal(decodeBytes([...Array(14).fill(0x66), 0x90]), DECODE_OK);
  assert.equal(decodeBytes([...Array(15).fill(0x66), 0x90]), DECODE_TOO_LONG);
  assert.equal(decodeBytes([...Array(10).fill(0x66), 0xc7, 0x80, 0, 0, 0, 0, 1, 2]), DECODE_TOO_LONG);
});

test("a byte that cannot be fetched", () => {
  const decoder = new Decoder();
  assert.equal(decodeBytes([0x48, 0x8b, 0x80, 1, 2], decoder), DECODE_FETCH);
  assert.equal(decoder.insn.faultPc, PC + 5);
});
