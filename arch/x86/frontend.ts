// SPDX-License-Identifier: Apache-2.0
// The x86-64 front end of the machine: lifter, floating point mode, and the table of ext functions.

import { EXT_LEAVE, type ExtFunction, type FrontEnd } from "../../virt/frontend.ts";
import { CPU_BASE, CPU_STATE } from "../../virt/layout.ts";
import { EXT, EXT_X87_BASE } from "./ext.ts";
import { repString } from "./ext-string.ts";
import {
  cpuidExt,
  ldmxcsrExt,
  loadSegmentExt,
  maskMoveExt,
  pauseExt,
  readTsc,
  selectorQueryExt,
  stmxcsrExt,
} from "./ext-system.ts";
import { X86Lifter } from "./lift.ts";
import { enterExactMode, floatingPointMode, hasOtherControl, isExact } from "./mxcsr.ts";
import { quickExts } from "./quick.ts";
import { sseExact } from "./sse-exact.ts";
import { approximateExt, packedCompareStringExt } from "./sse4.ts";
import { fxrstor, fxsave } from "./x87-fxsave.ts";
import { X87_EXTS } from "./x87.ts";

/** FXRSTOR may load an MXCSR that asks for the exact mode. */
const fxrstorExt: ExtFunction = (memory) => {
  const trap = fxrstor(memory);
  if (trap !== 0 && trap !== EXT_LEAVE) return trap;
  const { ram } = memory;
  if (!isExact(ram) && hasOtherControl(ram.u32[(CPU_BASE + CPU_STATE.mxcsr) >>> 2]!)) enterExactMode(ram);
  return trap;
};

function unused(): number {
  throw new Error("x86: an ext number that no lifter uses");
}

function extTable(clockNs: (() => number) | undefined): ExtFunction[] {
  const table: ExtFunction[] = Array.from({ length: EXT_X87_BASE }, () => unused);
  table[EXT.cpuid] = cpuidExt;
  table[EXT.rdtsc] = clockNs === undefined
    ? (memory) => readTsc(memory, memory.retired)
    : (memory) => readTsc(memory, clockNs());
  table[EXT.loadSegment] = loadSegmentExt;
  table[EXT.selectorQuery] = selectorQueryExt;
  table[EXT.stmxcsr] = stmxcsrExt;
  table[EXT.ldmxcsr] = ldmxcsrExt;
  table[EXT.fxsave] = fxsave;
  table[EXT.fxrstor] = fxrstorExt;
  table[EXT.repString] = repString;
  table[EXT.maskMove] = maskMoveExt;
  table[EXT.sseExact] = sseExact;
  table[EXT.packedCompareString] = packedCompareStringExt;
  table[EXT.approximate] = approximateExt;
  table[EXT.pause] = pauseExt;
  return [...table, ...X87_EXTS];
}

/** The time stamp counter counts what `clockNs` does, or, without it, retired instructions. */
export function createX86FrontEnd(clockNs?: () => number): FrontEnd {
  let lifter: X86Lifter | undefined; // made when it is needed, which in most runs it is not
  return {
    lift: (builder, fetch, pc, limits, mode, out) =>
      (lifter ??= new X86Lifter()).lift(builder, fetch, pc, limits, mode, out),
    mode: floatingPointMode,
    exts: extTable(clockNs),
    quickExts: (context) => quickExts(context),
  };
}

export const x86FrontEnd: FrontEnd = createX86FrontEnd();
