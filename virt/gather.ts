// SPDX-License-Identifier: Apache-2.0
// What is done with translations at the end of a run, when nobody waits for the program any more: regions that have proved useful a second time
// are put together in a module, those of one function between which code went to and fro in one region (translate/merge.ts), and with them comes what was not
// hot but warm.
//
// What runs made lies scattered over as many pages of the engine's memory as there were modules. Regions of a program and of the libraries it uses
// stay apart, since other programs use the libraries too. Where most were put together before, that was done with what was warm then, and what is new is
// worth a module of its own only when it took the interpreter long: such as blocks in the middle of regions that are left there and gone on in bytecode.

import type { Block } from "./cache.ts";
import { WARM_SHARE, warmthOf } from "./heat.ts";
import type { MappedCode } from "./mapped-code.ts";
import { neighbourhoods, PlacedCode, type PlacedCodeHost } from "./placed-code.ts";
import type { Region } from "./translate/live.ts";
import { findMerges } from "./translate/merge.ts";
import type { Translator } from "./translate/translator.ts";

/**
 * So much of what is warm is translated at the end of a run, with about as much beside it: engines take some 80 us of a processor for an instruction. A
 * compiler has 100,000, for which its second run waits seven seconds more where there are two.
 */
const WARM_INSTRUCTIONS_MAX = 120_000;
/** Instructions of warm blocks that the interpreter ran, of which a run that made next to nothing new is worth another look: 10 ms. */
const MUCH_INTERPRETED = 2_000_000;
/** The same of one program or library: to read one more module takes a later run 1 to 2 ms. */
const WORTH_A_MODULE = 300_000;
/** Where there are more pages than that, one of so many is looked at, others in each run: all those of python would take 4 ms. */
const PAGES_FEW = 128;
const PAGES_SHARE = 4;

export interface GatherHost extends PlacedCodeHost {
  readonly translator: Translator;
  readonly code: Pick<MappedCode, "liftFrom" | "mode">;
}

export interface GatherParts {
  /** By frame: where it was mapped when it was last looked at. */
  readonly places: ReadonlyMap<number, number>;
  /** Whether earlier runs left nearly all that this one used. */
  readonly isAtRest: boolean;
  /** As TranslationStore has it. */
  readonly noteWork: (instructions: number) => void;
}

/** The regions that are new. */
export function gather(host: GatherHost, parts: GatherParts): Region[] {
  return new Gatherer(host, parts).run();
}

type Places<T> = readonly (readonly [T, number])[];

class Gatherer {
  readonly #host: GatherHost;
  readonly #parts: GatherParts;
  /** Entries that make a block warm. */
  readonly #warmEntries: number;
  /** Whether the interpreter had much to do where regions were put together before. */
  readonly #again: boolean;

  constructor(host: GatherHost, parts: GatherParts) {
    this.#host = host;
    this.#parts = parts;
    this.#warmEntries = Math.ceil(host.hotEntries / WARM_SHARE);
    this.#again = host.hotEntries > 0 && parts.isAtRest && this.#interpreted() >= MUCH_INTERPRETED;
  }

  run(): Region[] {
    const { translator: { loose, live }, code } = this.#host;
    const modes = new Set((this.#again ? live : loose).map(({ facts }) => facts.mode));
    if (this.#again) modes.add(code.mode);
    return [...modes].flatMap((mode) => {
      const placed = new PlacedCode(this.#host, mode);
      const anchors = new Map<Region, number>();
      for (const region of [...loose, ...live]) {
        if (region.facts.mode === mode && !anchors.has(region)) anchors.set(region, placed.place(region));
      }
      const takesWarm = this.#again
        || neighbourhoods([...anchors]).some((together) => isFresh(regionsOf(together)));
      const warm = takesWarm ? this.#findWarm(placed, mode, anchors) : [];
      return neighbourhoods<Region | number>([...anchors, ...warm]).flatMap((together) =>
        this.#gather(placed, together)
      );
    });
  }

  /** About how many instructions the interpreter ran of blocks of earlier runs that were warm in this one. */
  #interpreted(): number {
    const { places } = this.#parts;
    const share = places.size > PAGES_FEW ? PAGES_SHARE : 1;
    let number = places.size;
    let sum = 0;
    for (const frame of places.keys()) {
      if (number++ % share !== 0) continue;
      sum += this.#host.cache.keptIn(frame)?.interpreted(this.#warmEntries) ?? 0;
    }
    return sum * share;
  }

  /**
   * Guest addresses in `code` of blocks that ran often and have no region, in order: of too many, those that ran most. Blocks in the middle of one are left out at
   * first, since the region may be used by then.
   */
  #findWarm(code: PlacedCode, mode: number, anchors: ReadonlyMap<Region, number>): [number, number][] {
    const { ram, cache, hotEntries } = this.#host;
    const covered = this.#again ? new Set<number>() : coveredBy(anchors);
    const found: { readonly pc: number; readonly block: Block; readonly warmth: number }[] = [];
    for (const [frame, address] of this.#parts.places) {
      const page = code.placePage(frame, address);
      if (page === undefined) continue;
      for (const block of cache.allIn(frame)) {
        const pc = page + block.offset;
        if (block.mode !== mode || block.entry !== 0 || block.isDead || covered.has(pc)) continue;
        const warmth = warmthOf(ram, block, hotEntries);
        if (warmth >= this.#warmEntries) found.push({ pc, block, warmth });
      }
    }
    let room = WARM_INSTRUCTIONS_MAX;
    found.sort((a, b) => b.warmth - a.warmth);
    const taken = found.filter(({ block }) => (room -= block.instructions) >= 0);
    return taken.map(({ pc }): [number, number] => [pc, pc]).sort(([a], [b]) => a - b);
  }

  /** `together`: regions with the addresses of their anchors in `code`, and addresses of warm blocks there, for one module. */
  #gather(code: PlacedCode, together: Places<Region | number>): Region[] {
    const anchors = new Map<Region, number>();
    const found: number[] = [];
    for (const [what, at] of together) {
      if (typeof what === "number") found.push(at);
      else anchors.set(what, at);
    }
    const regions = [...anchors.keys()].filter(({ module }) => !module.isSettled);
    const takesWarm = this.#again || (regions.length > 0 && isFresh([...anchors.keys()]));
    const warm = takesWarm ? found : [];
    const anchorOf = (region: Region): number => anchors.get(region)!;
    const merges = findMerges(code, [...anchors.keys()], anchorOf);
    if (regions.length + merges.length === 0 && this.#interpretedAt(code, warm) < WORTH_A_MODULE) return [];
    this.#noteWork(new Set([...merges.flatMap((merge) => merge.regions), ...regions]), code, warm);
    const gathering = {
      regions,
      merges,
      anchorOf,
      warm,
      warmEntries: this.#warmEntries,
    };
    return this.#host.translator.gather(code, gathering, (pc) => code.addressOf(pc));
  }

  /** Instructions that the interpreter ran of blocks, by their addresses in `code`. */
  #interpretedAt(code: PlacedCode, warm: readonly number[]): number {
    const { ram, hotEntries } = this.#host;
    return warm.reduce((sum, pc) => {
      const block = code.known(pc);
      return block === undefined ? sum : sum + warmthOf(ram, block, hotEntries) * block.instructions;
    }, 0);
  }

  #noteWork(regions: Iterable<Region>, code: PlacedCode, warm: readonly number[]): void {
    let instructions = 0;
    for (const region of regions) instructions += region.instructions;
    for (const pc of warm) instructions += code.known(pc)?.instructions ?? 0;
    this.#parts.noteWork(instructions);
  }
}

function regionsOf(together: Places<Region>): Region[] {
  return together.map(([region]) => region);
}

/** Guest addresses of all blocks of regions, by where their anchors are. */
function coveredBy(anchors: ReadonlyMap<Region, number>): Set<number> {
  const covered = new Set<number>();
  for (const [{ offsets }, anchorPc] of anchors) for (const offset of offsets) covered.add(anchorPc + offset);
  return covered;
}

/** Whether most regions are not settled. */
function isFresh(regions: readonly Region[]): boolean {
  const settled = regions.filter(({ module }) => module.isSettled).length;
  return settled * 2 <= regions.length;
}
