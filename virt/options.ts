// SPDX-License-Identifier: Apache-2.0
// What may be chosen when a WasmCpu is made, and what is chosen otherwise.

import type { RegionLimits } from "./translate/region.ts";

export interface CpuOptions {
  /** Most instructions of a block. */
  readonly blockInstructionsMax?: number;
  /** Entries of a block before it is translated (3000 unless told); 0: never. */
  readonly hotEntries?: number;
  /** Hot blocks wait for translateHot(): for tests that translate many small pieces. */
  readonly translateOnDemand?: boolean;
  /** By generation; blocks at most 200. */
  readonly regionLimits?: readonly RegionLimits[];
  /** Makes a module; a host may steer its compiler around this. */
  readonly compile?: (bytes: Uint8Array<ArrayBuffer>) => WebAssembly.Module;
}

/** Translating pays once a block has run this often. */
export const HOT_ENTRIES = 3000;
/** Small at first; what is left often grows. */
export const REGION_LIMITS: readonly RegionLimits[] = [
  { blocksMax: 60, instructionsMax: 600, coldest: 64 },
  { blocksMax: 120, instructionsMax: 1500, coldest: 256 },
  { blocksMax: 200, instructionsMax: 4000, coldest: 1024 },
];
