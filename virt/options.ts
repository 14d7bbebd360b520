// SPDX-License-Identifier: Apache-2.0
// What may be chosen when a WasmCpu is made, and what is chosen otherwise.

import type { TranslationStore } from "../include/host/translations.ts";
import type { RegionLimits } from "./translate/region.ts";

export interface CpuOptions {
  /** Most instructions of a block, 64 at most. */
  readonly blockInstructionsMax?: number;
  /** Entries of a block before it is translated (HOT_ENTRIES unless told), of a long one fewer (heat.ts); 0: never. */
  readonly hotEntries?: number;
  /** Hot blocks that are translated together (HOT_BATCH unless told); fewer when they have waited for long. */
  readonly hotBatch?: number;
  /** Hot blocks wait for translateHot(): for tests that translate many small pieces. */
  readonly translateOnDemand?: boolean;
  readonly regionLimits?: RegionLimits;
  /** Where translations of earlier runs are. Which blocks are translated when then depends on those. */
  readonly store?: TranslationStore;
  /** Makes a module; a host may steer its compiler around this. */
  readonly compile?: (bytes: Uint8Array<ArrayBuffer>) => WebAssembly.Module;
}

/** Translating pays once a block has run this often. */
export const HOT_ENTRIES = 10_000;
export const HOT_BATCH = 12;
/** What is reached later is taken in, so regions start small. */
export const REGION_LIMITS: RegionLimits = {
  blocksMax: 150,
  instructionsMax: 1200,
  coldest: 256,
  inlines: false,
};
