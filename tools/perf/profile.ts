// SPDX-License-Identifier: Apache-2.0
// A profile: samples with names, added up by call chain.

import { ElfFile } from "./elf.ts";
import {
  type CodeRange,
  findRange,
  findWord,
  type KernelCount,
  type Module,
  type Recorder,
  type Sample,
} from "./recorder.ts";
import { type CodePlace, unwind } from "./unwind.ts";

export interface Frame {
  readonly symbol: string;
  readonly file: string;
}

/** Samples that were taken at the same place by the same way. */
export interface ProfileStack {
  readonly comm: string;
  /** Outermost first. */
  readonly frames: readonly Frame[];
  samples: number;
  instructions: number;
  hostNs: number;
}

export interface ProfileFacts {
  /** Counters of the machine, over the run. */
  readonly counters: Readonly<Record<string, number>>;
  /** Host times mean something. */
  readonly hasTime: boolean;
}

export interface Profile extends ProfileFacts {
  readonly stacks: readonly ProfileStack[];
  readonly kernel: readonly KernelCount[];
  readonly samples: number;
  /** Instructions between two samples, in the end. */
  readonly period: number;
  readonly instructions: number;
  readonly hostNs: number;
}

export const UNKNOWN = "[unknown]";
/** Stands for the callers where a call chain could not be followed to its end. */
export const CUT: Frame = { symbol: "[callers unknown]", file: UNKNOWN };

/** Files that samples lie in, each read once. */
class Symboliser {
  readonly #elfs = new Map<Module, ElfFile | undefined>();
  readonly #frames = new Map<string, Frame>();

  elf(module: Module): ElfFile | undefined {
    if (!this.#elfs.has(module)) {
      this.#elfs.set(module, module.bytes === undefined ? undefined : ElfFile.parse(module.bytes));
    }
    return this.#elfs.get(module);
  }

  place(code: readonly CodeRange[], pc: number): CodePlace | undefined {
    const range = findRange(code, pc);
    if (range === undefined) return undefined;
    const elf = this.elf(range.module);
    const address = elf?.addressOf(pc - range.start + range.fileOffset);
    return address === undefined ? undefined : { elf, address };
  }

  frame(code: readonly CodeRange[], pc: number): Frame {
    const range = findRange(code, pc);
    const symbol = this.#symbol(code, pc, range);
    const file = range?.module.name ?? UNKNOWN;
    const key = `${symbol}\0${file}`;
    let frame = this.#frames.get(key);
    if (frame === undefined) this.#frames.set(key, frame = { symbol, file });
    return frame;
  }

  #symbol(code: readonly CodeRange[], pc: number, range: CodeRange | undefined): string {
    if (range === undefined) return UNKNOWN;
    const place = this.place(code, pc);
    if (place !== undefined) return place.elf?.nameAt(place.address) ?? UNKNOWN;
    return range.module.file === undefined ? "[code made at run time]" : UNKNOWN;
  }
}

/** Names of a sample's frames, outermost first. */
function framesOf(symboliser: Symboliser, sample: Sample): Frame[] {
  const { code } = sample;
  const chain = unwind({
    registers: [...sample.registers],
    word: (address) => findWord(sample.words, address),
    place: (pc) => symboliser.place(code, pc),
  });
  const frames = chain.pcs.map((pc) => symboliser.frame(code, pc));
  if (!chain.isWhole) frames.push(CUT);
  return frames.reverse();
}

/** What is read of a recorder. */
export type Recording = Pick<
  Recorder,
  "samples" | "period" | "kernelCounts" | "totalInstructions" | "totalHostNs"
>;

/** Adds up what was recorded. */
export function makeProfile(recorder: Recording, facts: ProfileFacts): Profile {
  const symboliser = new Symboliser();
  const numbers = new Map<Frame, number>();
  const number = (frame: Frame): number => {
    const known = numbers.get(frame) ?? numbers.size;
    numbers.set(frame, known);
    return known;
  };
  const stacks = new Map<string, ProfileStack>();
  for (const sample of recorder.samples) {
    const frames = framesOf(symboliser, sample);
    const key = `${sample.comm}\0${frames.map(number).join(" ")}`;
    let stack = stacks.get(key);
    if (stack === undefined) {
      stack = { comm: sample.comm, frames, samples: 0, instructions: 0, hostNs: 0 };
      stacks.set(key, stack);
    }
    stack.samples++;
    stack.instructions += sample.instructions;
    stack.hostNs += sample.hostNs;
  }
  return {
    ...facts,
    stacks: [...stacks.values()],
    kernel: recorder.kernelCounts,
    samples: recorder.samples.length,
    period: recorder.period,
    instructions: recorder.totalInstructions,
    hostNs: recorder.totalHostNs,
  };
}
