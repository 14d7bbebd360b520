// SPDX-License-Identifier: Apache-2.0
// Opcodes for which the decoder has no form: each must raise #UD in Rookery, and does on the processor unless
// the host has an extension that CPUID does not promise here. Those are listed, not compared.

import { DECODE_ILLEGAL, Decoder } from "../../../arch/x86/decode.ts";
import type { Case } from "./generate.ts";
import { buildNativeRunner, runNative } from "./native.ts";
import { assemble } from "./plan.ts";
import { Random } from "./random.ts";
import { CODE_BASE, DATA_BASE, PAGE, RIP, SIGNAL, SLOT_BYTES } from "./records.ts";
import { hex } from "./rookery.ts";
import { newRunner } from "./run.ts";
import { randomIntegers, randomVectors, randomX87, StartState } from "./state.ts";

const SIGILL = 4;
const RBX = 3;
const MAPS: readonly (readonly number[])[] = [[], [0x0f], [0x0f, 0x38], [0x0f, 0x3a]];
const PREFIXES: readonly (readonly number[])[] = [[], [0x66], [0xf3], [0xf2]];
/** VEX, EVEX, XOP; and groups whose members talk to the hypervisor or change state beyond user registers. */
const NOT_ON_HOST: readonly string[] = [
  "c4",
  "c5",
  "62",
  "8f",
  "0f01",
  "0fae",
  "0fc7",
  "0f05",
  "0f34",
  "0f35",
];

export interface UndefinedSummary {
  readonly count: number;
  /** Codes that Rookery does not refuse. */
  readonly wrong: readonly string[];
  /** Opcodes (without operands) that the host executes. */
  readonly onHost: readonly string[];
}

/** Every prefix, map, opcode, register field and kind of operand without a form. */
function undefinedCodes(): Uint8Array[] {
  const decoder = new Decoder();
  const out: Uint8Array[] = [];
  for (const prefix of PREFIXES) {
    for (const map of MAPS) {
      for (let opcode = 0; opcode < 256; opcode++) {
        if (isEscape(map, opcode)) continue;
        for (let field = 0; field < 16; field++) {
          // [rbx] or ecx, then bytes for an immediate.
          const modrm = (field & 7) << 3 | (field < 8 ? 3 : 0xc1);
          const bytes = Uint8Array.from([...prefix, ...map, opcode, modrm, 0, 0, 0, 0]);
          const status = decoder.decode({ byte: (at) => bytes[at - CODE_BASE] ?? 0xcc }, CODE_BASE);
          if (status === DECODE_ILLEGAL && !decoder.insn.lock) {
            out.push(bytes.subarray(0, prefix.length + map.length + 2));
          }
        }
      }
    }
  }
  return out;
}

/** The byte leads to another map. */
function isEscape(map: readonly number[], opcode: number): boolean {
  return map.length === 0 ? opcode === 0x0f : map.length === 1 && (opcode === 0x38 || opcode === 0x3a);
}

function caseOf(bytes: Uint8Array, n: number): Case {
  const random = new Random(1, n);
  const state = new StartState();
  randomIntegers(state, random);
  randomVectors(state, random);
  randomX87(state, random);
  state.setGprNumber(RBX, DATA_BASE + PAGE + 1024);
  const pc = CODE_BASE + 16 + n * SLOT_BYTES;
  state.setEntry(pc);
  return {
    form: undefined,
    name: "undefined opcode",
    key: hex(bytes),
    bytes,
    pc,
    instance: { words: state.words, window: state.window },
    undefinedFlags: 0,
    undefinedOnFault: 0,
    undefinedResult: false,
  };
}

function withoutPrefix(code: string): string {
  return /^(66|f2|f3)./.test(code) ? code.slice(2) : code;
}

export function runUndefinedOpcodes(): UndefinedSummary {
  const all = undefinedCodes();
  const wrong: string[] = [];
  const onHost = new Set<string>();
  const runner = newRunner("interp");
  for (let start = 0; start < all.length; start += 4096) {
    const cases = all.slice(start, start + 4096).map(caseOf);
    runner.load(assemble(1, 0, cases));
    for (const item of cases) {
      const { words } = runner.run(item, { words: new Uint32Array(0), diffs: [] }, true);
      if (words[SIGNAL] !== SIGILL || words[RIP] !== item.pc) wrong.push(item.key);
    }
    const comparable = cases.filter(({ key }) =>
      !NOT_ON_HOST.some((opcode) => withoutPrefix(key).startsWith(opcode))
    );
    const natives = runNative(buildNativeRunner(), assemble(1, 0, comparable));
    for (const [n, native] of natives.entries()) {
      if (native.words[SIGNAL] !== SIGILL) onHost.add(comparable[n]!.key.slice(0, -2));
    }
  }
  return { count: all.length, wrong, onHost: [...onHost].sort() };
}
