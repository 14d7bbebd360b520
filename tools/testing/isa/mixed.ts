// SPDX-License-Identifier: Apache-2.0
// Sequences of a few instructions of any form: integer, x87, MMX and SSE side by side in one block. The state is
// prepared for each of them in turn, so that later ones may find other values than they would alone; what
// counts is that both sides do the same.
//
// Invariant: no instruction that reads flags follows one that may have left them undefined.

import { X86_FORMS, type X86Form } from "../../../arch/x86/tables/forms.ts";
import { APPROXIMATE, exclusion, ULP_BOUND } from "./exclusions.ts";
import { type Case, Generator } from "./generate.ts";
import { Random } from "./random.ts";
import { randomIntegers, randomVectors, randomX87, StartState } from "./state.ts";
import { mayLeaveUndefined } from "./undefined-flags.ts";

/** Stands for "mixed sequence" where a form id is expected. */
export const MIXED_ID = 100001;

const ARITHMETIC_FLAGS = 0x8d5;
/** They end a block in the middle, or need a state that others do not leave. */
const UNFIT: ReadonlySet<string> = new Set([
  "JMP",
  "Jcc",
  "CALL",
  "RET",
  "RETF",
  "IRET",
  "JMPF",
  "CALLF",
  "LOOP",
  "LOOPE",
  "LOOPNE",
  "JRCXZ",
  "INT",
  "INT1",
  "INT3",
  "UD0",
  "UD1",
  "UD2",
  "STMXCSR",
  "LDMXCSR",
  "FXSAVE",
  "FXRSTOR",
  "POPF",
  "PUSHF",
  "SHLD",
  "SHRD",
  "MOV_TO_SEGMENT",
  "POP_SEGMENT",
  "LOAD_FAR",
  "FNSTENV",
  "FNSAVE",
  "FLDENV",
  "FRSTOR",
  "VERR",
  "VERW",
  "LAR",
  "LSL",
  "ENTER",
]);
const READS_FLAGS: ReadonlySet<string> = new Set([
  "ADC",
  "SBB",
  "RCL",
  "RCR",
  "CMOVcc",
  "SETcc",
  "LAHF",
  "CMC",
  "FCMOVB",
  "FCMOVE",
  "FCMOVBE",
  "FCMOVU",
  "FCMOVNB",
  "FCMOVNE",
  "FCMOVNBE",
  "FCMOVNU",
]);
const DEFINES_ALL: ReadonlySet<string> = new Set(["ADD", "SUB", "CMP", "NEG", "XADD", "COMISS", "COMISD"]);

function isFit(form: X86Form): boolean {
  if (exclusion(form) !== undefined || form.privileged || UNFIT.has(form.mnemonic)) return false;
  return !ULP_BOUND.has(form.mnemonic) && !APPROXIMATE.has(form.mnemonic);
}

const FIT: readonly X86Form[] = X86_FORMS.filter(isFit);
const GROUPS: readonly (readonly X86Form[])[] = [
  FIT,
  FIT.filter((form) => form.attributes.has("x87")),
  FIT.filter((form) => form.operands.some(({ text }) => "VWU".includes(text.charAt(0)))),
  FIT.filter((form) => form.map < 2 && form.operands.some(({ text }) => "EG".includes(text.charAt(0)))),
];

export function mixedCase(seed: number, n: number, slot: number): Case {
  const random = new Random(seed, (MIXED_ID << 12) + n);
  const generator = new Generator(seed);
  const state = new StartState();
  randomIntegers(state, random);
  randomVectors(state, random);
  randomX87(state, random);
  const pc = slot + 8 + random.below(16);
  const group = GROUPS[random.below(GROUPS.length)]!;
  const bytes: number[] = [];
  let unknown = 0;
  const count = 2 + random.below(6);
  while (bytes.length === 0 || (bytes.length < 80 && random.below(count) !== 0)) {
    const form = random.oneIn(3) ? random.pick(FIT) : random.pick(group);
    if (unknown !== 0 && READS_FLAGS.has(form.mnemonic)) continue;
    const made = generator.instruction(random, form, state, pc + bytes.length, slot);
    if (made === undefined) continue;
    bytes.push(...made);
    if (DEFINES_ALL.has(form.mnemonic)) unknown = 0;
    else unknown |= mayLeaveUndefined(form.mnemonic);
  }
  state.setEntry(pc);
  return {
    form: undefined,
    name: "mixed sequence",
    key: `${seed}/${MIXED_ID}/${n}`,
    bytes: Uint8Array.from(bytes),
    pc,
    instance: { words: state.words, window: state.window },
    undefinedFlags: unknown,
    undefinedOnFault: ARITHMETIC_FLAGS,
    undefinedResult: false,
  };
}
