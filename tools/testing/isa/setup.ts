// SPDX-License-Identifier: Apache-2.0
// What single mnemonics need from the start state, so that instances reach their interesting cases rather than
// always the same fault: stack and string addresses, counts, dividends, control words, packed decimals.

import type { X86Form } from "../../../arch/x86/tables/forms.ts";
import { randomAddress, randomAligned } from "./memory-operand.ts";
import type { Random } from "./random.ts";
import { DATA_BASE, FX, FX_ST, PAGE } from "./records.ts";
import { randomMxcsr, riskyX87, RSP, type StartState } from "./state.ts";

export const RAX = 0;
export const RCX = 1;
export const RDX = 2;
export const RBX = 3;
export const RBP = 5;
export const RSI = 6;
export const RDI = 7;

/** What the encoder has decided when the state is prepared. */
export interface Choice {
  readonly form: X86Form;
  readonly opSize: number;
  readonly rexW: boolean;
  readonly addressBits: number;
  /** Bytes of the ModRM memory operand, 0 when unknown or absent. */
  readonly memoryBytes: number;
  readonly isMemory: boolean;
  /** A landing place inside the slot. */
  readonly target: number;
}

export interface Prepared {
  /** Address of the ModRM memory operand. */
  address: number;
  /** Registers whose values must stay. */
  readonly avoid: Set<number>;
}

const STRINGS: ReadonlySet<string> = new Set(["MOVS", "CMPS", "STOS", "LODS", "SCAS"]);
const STACK: ReadonlySet<string> = new Set([
  "PUSH",
  "POP",
  "PUSHF",
  "POPF",
  "CALL",
  "RET",
  "RETF",
  "IRET",
  "ENTER",
  "PUSH_SEGMENT",
  "POP_SEGMENT",
  "CALLF",
]);
const SELECTORS = [0, 1, 2, 3, 0x2b, 0x2b, 0x28, 0x33, 0x10, 0x4b, 0xfff8, 0x2a];

export function isString(mnemonic: string): boolean {
  return STRINGS.has(mnemonic);
}

function words(values: readonly number[], bytes: number): Uint8Array {
  const out = new Uint8Array(values.length * bytes);
  const view = new DataView(out.buffer);
  values.forEach((value, n) => {
    if (bytes === 2) view.setUint16(2 * n, value, true);
    else if (bytes === 4) view.setUint32(4 * n, value, true);
    else view.setBigInt64(8 * n, BigInt(value), true);
  });
  return out;
}

function alignmentOf(choice: Choice): number {
  const { form } = choice;
  if (form.mnemonic === "FXSAVE" || form.mnemonic === "FXRSTOR") return 16;
  if (form.mnemonic === "CMPXCHG8B" && choice.rexW) return 16;
  return form.aligned ? 16 : 1;
}

/** Sets what the instruction reads beside its ModRM operands. */
export function prepare(random: Random, state: StartState, choice: Choice): Prepared {
  const { form } = choice;
  const alignment = alignmentOf(choice);
  const bytes = Math.max(1, choice.memoryBytes);
  const prepared: Prepared = {
    address: alignment > 1 ? randomAligned(random, bytes, alignment) : randomAddress(random, bytes),
    avoid: new Set<number>(),
  };
  if (
    form.mnemonic === "BT" || form.mnemonic === "BTS" || form.mnemonic === "BTR" || form.mnemonic === "BTC"
  ) {
    prepared.address = randomAddress(random, choice.opSize);
  }
  if (STACK.has(form.mnemonic)) prepareStack(random, state, choice, prepared);
  else if (STRINGS.has(form.mnemonic)) prepareString(random, state, choice, prepared);
  else prepareOther(random, state, choice, prepared);
  prepareFloats(random, state, choice, prepared);
  return prepared;
}

function stackBytes(choice: Choice): number {
  return choice.opSize === 2 ? 2 : 8;
}

function prepareStack(random: Random, state: StartState, choice: Choice, prepared: Prepared): void {
  const { form, target } = choice;
  const { mnemonic } = form;
  const size = stackBytes(choice);
  const reads = mnemonic.startsWith("POP") || mnemonic === "RET" || mnemonic === "RETF"
    || mnemonic === "IRET";
  let address = randomAddress(random, reads ? size : 8);
  // Code popped into the flags would set AC and TF.
  if (address < DATA_BASE && (mnemonic === "POPF" || mnemonic === "IRET")) address = DATA_BASE + PAGE;
  prepared.avoid.add(RSP);
  state.setGprNumber(RSP, reads ? address : address + size);
  if (mnemonic === "POPF") state.setWindow(address, words([random.u32() & ~0x5_4100], size));
  else if (mnemonic === "RET") state.setWindow(address, words([target], 8));
  else if (mnemonic === "POP_SEGMENT") state.setWindow(address, words([random.pick(SELECTORS)], size));
  else if (mnemonic === "RETF") {
    state.setWindow(address, words([target, random.pick([0x33, 0x33, 0, 0x2b])], farSize(choice)));
  } else if (mnemonic === "IRET") prepareReturn(random, state, choice, address);
  else if (mnemonic === "ENTER") prepareEnter(random, state, prepared);
  else if (mnemonic === "CALL" && choice.isMemory) state.setWindow(prepared.address, words([target], 8));
  else if (mnemonic === "CALLF") farPointer(random, state, choice, prepared);
}

function farSize(choice: Choice): number {
  return choice.rexW ? 8 : choice.opSize === 2 ? 2 : 4;
}

function prepareReturn(random: Random, state: StartState, choice: Choice, address: number): void {
  const flags = random.u32() & ~0x5_4100;
  const frame = [choice.target, 0x33, flags, state.gprLow(RSP), random.pick([0x2b, 0x2b, 0x2b, 0])];
  state.setWindow(address, words(frame, farSize(choice)));
}

function prepareEnter(random: Random, state: StartState, prepared: Prepared): void {
  state.setGprNumber(RBP, randomAddress(random, 8));
  prepared.avoid.add(RBP);
}

function farPointer(random: Random, state: StartState, choice: Choice, prepared: Prepared): void {
  const offset = words([choice.target], choice.opSize === 2 ? 2 : 4);
  const window = new Uint8Array(offset.length + 2);
  window.set(offset);
  window[offset.length] = random.pick([0x33, 0x33, 0, 0x2b]);
  state.setWindow(prepared.address, window);
}

function prepareString(random: Random, state: StartState, choice: Choice, prepared: Prepared): void {
  const count = random.pick([0, 1, 2, 3, random.below(40), random.below(600)]);
  state.setGprNumber(RCX, count);
  const size = choice.form.operands[0]!.size > 0 ? choice.form.operands[0]!.size : choice.opSize;
  for (const register of [RSI, RDI]) state.setGprNumber(register, randomAddress(random, size));
  // Overlapping and equal strings.
  if (random.oneIn(4)) state.setGprNumber(RDI, state.gprLow(RSI) + random.below(32) - 16);
  for (const register of [RCX, RSI, RDI]) {
    if (choice.addressBits === 32) state.setGpr(register, state.gprLow(register), random.u32());
    prepared.avoid.add(register);
  }
}

/** Texts of few letters, some of which end early, that differ in few places. */
function prepareTexts(random: Random, state: StartState, choice: Choice, prepared: Prepared): void {
  if (random.oneIn(4)) return;
  const letter = (): number => random.pick([0x61, 0x61, 0x62, 0x63, 0x7f, 0x80, 0]);
  const one = Uint8Array.from({ length: 16 }, () => random.oneIn(16) ? letter() : 0x61);
  const another = (): Uint8Array => {
    const text = one.slice();
    for (let changes = random.below(3); changes > 0; changes--) text[random.below(16)] = letter();
    return text;
  };
  for (let n = 0; n < 16; n++) state.setVector(n, another());
  if (choice.isMemory) state.setWindow(prepared.address, another());
}

function prepareOther(random: Random, state: StartState, choice: Choice, prepared: Prepared): void {
  const { mnemonic } = choice.form;
  switch (mnemonic) {
    case "JMP":
      if (choice.isMemory) state.setWindow(prepared.address, words([choice.target], 8));
      break;
    case "JMPF":
      farPointer(random, state, choice, prepared);
      break;
    case "LOAD_FAR": {
      const offset = words([random.u32()], 4).subarray(0, choice.opSize === 2 ? 2 : 4);
      state.setWindow(
        prepared.address,
        Uint8Array.of(...offset, ...words([random.pick(SELECTORS)], 2)),
      );
      break;
    }
    case "LEAVE":
      state.setGprNumber(RBP, randomAddress(random, 8));
      break;
    case "XLAT":
      state.setGprNumber(RBX, randomAddress(random, 1) - (state.gprLow(RAX) & 0xff));
      break;
    case "MASKMOVQ":
    case "MASKMOVDQU":
      state.setGprNumber(RDI, randomAddress(random, 16));
      break;
    case "DIV":
    case "IDIV":
      if (!random.oneIn(3)) dividend(random, state, choice);
      break;
    case "LOOP":
    case "LOOPE":
    case "LOOPNE":
    case "JRCXZ":
      state.setGpr(RCX, random.below(3), random.oneIn(3) ? random.u32() : 0);
      break;
    case "CMPXCHG":
    case "CMPXCHG8B":
      if (choice.isMemory && random.oneIn(2)) expectedValue(state, choice, prepared);
      for (const register of [RAX, RDX]) prepared.avoid.add(register);
      break;
    case "PCMPESTRI":
    case "PCMPESTRM":
      for (const register of [RAX, RDX]) {
        if (!random.oneIn(4)) state.setGprNumber(register, random.below(40) - 20);
      }
      prepareTexts(random, state, choice, prepared);
      break;
    case "PCMPISTRI":
    case "PCMPISTRM":
      prepareTexts(random, state, choice, prepared);
      break;
    case "MOV_TO_SEGMENT":
      if (choice.isMemory) state.setWindow(prepared.address, words([random.pick(SELECTORS)], 2));
      break;
    case "VERR":
    case "VERW":
    case "LAR":
    case "LSL":
      if (choice.isMemory) state.setWindow(prepared.address, words([random.pick(SELECTORS)], 2));
      break;
    default:
      break;
  }
  if (choice.form.operands.some((operand) => operand.text === "CL")) {
    if (!random.oneIn(3)) state.setGpr(RCX, state.gprLow(RCX) & ~0xff | random.below(70), state.gprHigh(RCX));
    prepared.avoid.add(RCX);
  }
}

/** A dividend that mostly does not overflow: the upper half extends the lower one or is small. */
function dividend(random: Random, state: StartState, choice: Choice): void {
  const byte = choice.form.operands[0]!.size === 1;
  if (byte) {
    const value = random.oneIn(2) ? random.below(256) : random.below(4096);
    state.setGpr(RAX, state.gprLow(RAX) & ~0xffff | value, state.gprHigh(RAX));
    return;
  }
  const negative = choice.form.mnemonic === "IDIV" && random.oneIn(2);
  const value = negative ? -1 : random.pick([0, 0, 1, random.below(256)]);
  state.setGprNumber(RDX, value);
}

/** The memory operand equals what CMPXCHG compares with. */
function expectedValue(state: StartState, choice: Choice, prepared: Prepared): void {
  const half = choice.form.mnemonic === "CMPXCHG8B" ? (choice.rexW ? 8 : 4) : 8;
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  for (const [n, register] of [RAX, RDX].entries()) {
    view.setUint32(half * n, state.gprLow(register), true);
    if (half === 8) view.setUint32(half * n + 4, state.gprHigh(register), true);
  }
  state.setWindow(prepared.address, bytes.subarray(0, choice.memoryBytes));
}

function prepareFloats(random: Random, state: StartState, choice: Choice, prepared: Prepared): void {
  const { attributes, mnemonic, operands } = choice.form;
  if (attributes.has("x87") || mnemonic === "FWAIT" || mnemonic === "EMMS") {
    if (random.oneIn(5)) riskyX87(state, random);
    x87Memory(random, state, choice, prepared);
    x87Operands(random, state, mnemonic);
    return;
  }
  const vector = operands.some((operand) => "VWUPQN".includes(operand.text.charAt(0)));
  if (vector) state.mxcsr = randomMxcsr(random);
  if (vector && choice.isMemory && !random.oneIn(3)) {
    const window = new Uint32Array(4);
    random.vector(window, 0);
    state.setWindow(prepared.address, new Uint8Array(window.buffer, 0, Math.min(16, choice.memoryBytes)));
  }
  if (mnemonic === "LDMXCSR") {
    const value = random.oneIn(8) ? random.u32() & ~0x2_0000 : randomMxcsr(random);
    state.setWindow(prepared.address, words([value], 4));
  } else if (mnemonic === "STMXCSR") {
    state.mxcsr = randomMxcsr(random);
  } else if (mnemonic === "FXSAVE") {
    state.mxcsr = randomMxcsr(random);
    if (random.oneIn(3)) riskyX87(state, random);
  } else if (mnemonic === "FXRSTOR") {
    state.setWindow(prepared.address, fxImage(random));
  }
}

/** Bytes of a random state as FXSAVE lays them out. */
function fxImage(random: Random): Uint8Array {
  const image = new Uint32Array(128);
  for (let n = 0; n < 128; n++) image[n] = random.u32();
  image[0] = random.u32() & 0xffff_1f7f;
  image[6] = random.oneIn(12) ? random.u32() & ~0x2_0000 : randomMxcsr(random);
  for (let n = 0; n < 8; n++) random.extended(image, 8 + 4 * n);
  return new Uint8Array(image.buffer);
}

function x87Memory(random: Random, state: StartState, choice: Choice, prepared: Prepared): void {
  if (!choice.isMemory) return;
  const { mnemonic, operands } = choice.form;
  const text = operands[0]!.text;
  const scratch = new Uint32Array(32);
  if (mnemonic === "FLDCW") {
    state.setWindow(prepared.address, words([random.u32() & 0xffff], 2));
  } else if (mnemonic === "FLDENV" || mnemonic === "FRSTOR") {
    state.setWindow(prepared.address, environmentImage(random, choice));
  } else if (mnemonic === "FBLD") {
    state.setWindow(prepared.address, decimalImage(random));
  } else if (text === "Ms" || text === "Ml" || text === "Mt") {
    if (text === "Ms") scratch[0] = random.float32();
    else if (text === "Ml") random.float64(scratch, 0);
    else random.extended(scratch, 0);
    state.setWindow(prepared.address, new Uint8Array(scratch.buffer, 0, choice.memoryBytes));
  } else if (text === "Mw" || text === "Md" || text === "Mq") {
    random.word64(scratch, 0);
    state.setWindow(prepared.address, new Uint8Array(scratch.buffer, 0, choice.memoryBytes));
  }
}

function environmentImage(random: Random, choice: Choice): Uint8Array {
  const bytes = new Uint8Array(choice.memoryBytes);
  for (let n = 0; n < bytes.length; n++) bytes[n] = random.below(256);
  return bytes;
}

function decimalImage(random: Random): Uint8Array {
  const bytes = new Uint8Array(10);
  const digits = random.below(19);
  for (let n = 0; n < digits; n++) bytes[n >> 1]! |= random.below(10) << 4 * (n & 1);
  bytes[9] = random.below(256);
  return bytes;
}

function st(state: StartState, n: number): number {
  return FX + FX_ST + 4 * n;
}

/** Brings operands into the ranges where functions do something. */
function x87Operands(random: Random, state: StartState, mnemonic: string): void {
  const { words: w } = state;
  const biased = (n: number, low: number, high: number): void => {
    w[st(state, n) + 2] = w[st(state, n) + 2]! & 0x8000 | 16383 + low + random.below(high - low + 1);
    w[st(state, n) + 1] = (w[st(state, n) + 1]! | 0x8000_0000) >>> 0;
  };
  if (random.oneIn(4)) return;
  if (mnemonic === "F2XM1") biased(0, -30, -1);
  else if (mnemonic === "FYL2XP1") biased(0, -40, -3);
  else if (mnemonic === "FSCALE" && random.oneIn(2)) biased(1, -3, 15);
  else if (mnemonic.startsWith("FPREM") && random.oneIn(2)) {
    w[st(state, 0) + 2] = w[st(state, 1) + 2]! + random.below(70) - 3 & 0xffff;
  } else if ((mnemonic.startsWith("FBST") || mnemonic.startsWith("FIST")) && random.oneIn(2)) {
    biased(0, -2, 64);
  } else if (mnemonic === "FSIN" || mnemonic === "FCOS" || mnemonic === "FSINCOS" || mnemonic === "FPTAN") {
    if (random.oneIn(2)) biased(0, -40, 64);
  }
}
