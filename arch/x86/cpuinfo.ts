// SPDX-License-Identifier: Apache-2.0
// The text of /proc/cpuinfo for one processor. Source: proc(5), and Linux's field names and order on x86.

import { BRAND, CPU_FLAGS, FAMILY, MODEL, STEPPING, VENDOR } from "./cpuid.ts";

export function cpuinfo(processor: number, mhz: number): string {
  const rows: ReadonlyArray<readonly [string, string]> = [
    ["processor", String(processor)],
    ["vendor_id", VENDOR],
    ["cpu family", String(FAMILY)],
    ["model", String(MODEL)],
    ["model name", BRAND],
    ["stepping", String(STEPPING)],
    ["cpu MHz", mhz.toFixed(3)],
    ["cache size", "8192 KB"],
    ["physical id", "0"],
    ["siblings", "1"],
    ["core id", String(processor)],
    ["cpu cores", "1"],
    ["apicid", String(processor)],
    ["initial apicid", String(processor)],
    ["fpu", "yes"],
    ["fpu_exception", "yes"],
    ["cpuid level", "11"],
    ["wp", "yes"],
    ["flags", CPU_FLAGS.join(" ")],
    ["bugs", ""],
    ["bogomips", (mhz * 2).toFixed(2)],
    ["clflush size", "64"],
    ["cache_alignment", "64"],
    ["address sizes", "48 bits physical, 48 bits virtual"],
    ["power management", ""],
  ];
  const lines = rows.map(([name, value]) => `${name}${tab(name)}: ${value}`);
  return `${lines.join("\n")}\n\n`;
}

/** Linux aligns the colons at column 16 with tabs. */
function tab(name: string): string {
  return name.length < 8 ? "\t\t" : "\t";
}
