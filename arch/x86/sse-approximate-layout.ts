// SPDX-License-Identifier: Apache-2.0
// Where in RAM the tables of sse-approximate.ts lie for sse-approximate-quick.ts, and what their entries mean: those of reciprocals, then those of roots with
// odd and with even exponents, as u16.

import { FRONT_END_TABLES } from "../../virt/runtime/status.ts";

export const TABLES: number = FRONT_END_TABLES;
/** Of each of the three. */
export const ENTRIES = 4096;
/** An entry is what the bits of a float are above this, in units of 2^ENTRY_SHIFT. The first is not 0. */
export const ENTRY_BASE = 0x3f00_0000;
export const ENTRY_SHIFT = 11;
