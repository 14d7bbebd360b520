// SPDX-License-Identifier: Apache-2.0
// Which instances run together: batches with one data background and a slot of code for each instance.
//
// Batch b holds the instances numbered b * PER_FORM and up of every chosen form; the number, not the batch size
// chosen on the command line, decides background and slot, so that a single instance can be made again.

import { X86_FORMS, type X86Form } from "../../../arch/x86/tables/forms.ts";
import { exclusion } from "./exclusions.ts";
import { type Case, Generator } from "./generate.ts";
import { MIXED_ID, mixedCase } from "./mixed.ts";
import { Random } from "./random.ts";
import { type Batch, CODE_BASE, DATA_BYTES, RIP, SLOT_BYTES } from "./records.ts";
import { SEQUENCE_ID, sequenceCase } from "./sequence.ts";

/** Instances of each form in a batch. */
export const PER_FORM = 8;
/** Sequences in a batch. */
export const SEQUENCES = 2048;

export interface PlannedBatch extends Batch {
  readonly cases: readonly Case[];
}

export function testedForms(filter: string | undefined): X86Form[] {
  return X86_FORMS.filter((form) => exclusion(form) === undefined && matches(form, filter));
}

function matches(form: X86Form, filter: string | undefined): boolean {
  if (filter === undefined) return true;
  return form.name.includes(filter) || [...form.attributes].some((attribute) => `@${attribute}` === filter);
}

/** Contents of the data area: every kind of value, side by side. */
function background(seed: number, batch: number): Uint8Array {
  const words = new Uint32Array(DATA_BYTES / 4);
  const random = new Random(seed, 0x8000_0000 + batch);
  for (let at = 0; at < words.length; at += 4) random.vector(words, at);
  return new Uint8Array(words.buffer);
}

function slotOf(index: number): number {
  return CODE_BASE + index * SLOT_BYTES;
}

type SequenceMaker = (seed: number, n: number, slot: number) => Case;
const MAKERS: readonly SequenceMaker[] = [sequenceCase, mixedCase];

function sequenceAt(seed: number, n: number, maker: SequenceMaker): Case {
  return maker(seed, n, slotOf(X86_FORMS.length * PER_FORM + n % SEQUENCES));
}

/** One batch of a run. `sequences` 0 leaves them out. */
export function planBatch(
  seed: number,
  batch: number,
  forms: readonly X86Form[],
  sequences: number,
): PlannedBatch {
  const generator = new Generator(seed);
  const cases: Case[] = [];
  for (const form of forms) {
    for (let n = 0; n < PER_FORM; n++) {
      const slot = slotOf(form.id * PER_FORM + n);
      cases.push(generator.make(form, batch * PER_FORM + n, slot));
    }
  }
  for (let n = 0; n < sequences; n++) {
    cases.push(sequenceAt(seed, batch * SEQUENCES + n, MAKERS[n % MAKERS.length]!));
  }
  if (sequences === 0) return assemble(seed, batch, cases);
  return assemble(seed, batch, cases, (end) => [...cases, cutCase(seed, batch, cases, end)]);
}

/** The one instance that a key names: seed/form/number, and how many bytes of it there are where the code ends in it. */
export function planOne(key: string): PlannedBatch {
  const [seed = NaN, id = NaN, n = NaN, kept] = key.split("/").map(Number);
  const maker = id === SEQUENCE_ID ? sequenceCase : id === MIXED_ID ? mixedCase : undefined;
  if (maker !== undefined) return assemble(seed, Math.floor(n / SEQUENCES), [sequenceAt(seed, n, maker)]);
  const form = X86_FORMS[id];
  if (form === undefined || Number.isNaN(n)) throw new RangeError(`no instance ${key}`);
  const batch = Math.floor(n / PER_FORM);
  const item = new Generator(seed).make(form, n, slotOf(id * PER_FORM + n % PER_FORM));
  if (kept === undefined) return assemble(seed, batch, [item]);
  return assemble(seed, batch, [item], (end) => [cutOff(item, kept, end)]);
}

/** One of the instances of a form, cut off somewhere. */
function cutCase(seed: number, batch: number, from: readonly Case[], end: number): Case {
  const random = new Random(seed, 0xc000_0000 + batch);
  const ofForms = from.filter(({ form }) => form !== undefined);
  let item = random.pick(ofForms);
  while (item.bytes.length < 2 || item.bytes.includes(0xf0)) item = random.pick(ofForms);
  return cutOff(item, 1 + random.below(item.bytes.length - 1), end);
}

/** The instructions of an instance, cut off by the end of the code, behind which nothing is mapped. */
function cutOff(item: Case, kept: number, end: number): Case {
  const words = item.instance.words.slice();
  words[RIP] = end - kept;
  return {
    ...item,
    form: undefined,
    name: "fetch across the end of code",
    key: `${item.key}/${kept}`,
    bytes: item.bytes.subarray(0, kept),
    pc: end - kept,
    instance: { words, window: item.instance.window },
    undefinedOnFault: item.undefinedFlags | item.undefinedOnFault,
  };
}

/** `casesFor`: what there is when the code ends at `end`. */
export function assemble(
  seed: number,
  batch: number,
  given: readonly Case[],
  casesFor: (end: number) => readonly Case[] = () => given,
): PlannedBatch {
  const end = CODE_BASE
    + (Math.max(...given.map(({ pc }) => pc)) + 2 * SLOT_BYTES - CODE_BASE + 4095 & ~4095);
  const cases = casesFor(end);
  const code = new Uint8Array(end - CODE_BASE).fill(0xcc);
  for (const { pc, bytes } of cases) code.set(bytes, pc - CODE_BASE);
  return {
    code,
    background: background(seed, batch),
    instances: cases.map(({ instance }) => instance),
    cases,
  };
}
