// SPDX-License-Identifier: Apache-2.0
// Runs one instance again and prints all of it: code, start state, both ends.

import { buildNativeRunner, runNative } from "./native.ts";
import { planOne } from "./plan.ts";
import {
  FX,
  FX_CONTROL,
  FX_MXCSR,
  FX_ST,
  FX_TAG,
  FX_XMM,
  GPR,
  RFLAGS,
  RIP,
  WINDOW_ADDRESS,
} from "./records.ts";
import { hex } from "./rookery.ts";
import { type Backend, modesOf, newRunner, outcomeLines } from "./run.ts";

function word(words: Uint32Array, at: number): string {
  return words[at]!.toString(16).padStart(8, "0");
}

function registers(words: Uint32Array, fx: number): string[] {
  const out: string[] = [];
  for (let n = 0; n < 16; n += 4) {
    const row = [0, 1, 2, 3].map((i) =>
      `r${n + i}=${word(words, GPR + 2 * (n + i) + 1)}${word(words, GPR + 2 * (n + i))}`
    );
    out.push(`  ${row.join(" ")}`);
  }
  out.push(
    `  rip=${word(words, RIP)} flags=${word(words, RFLAGS)} mxcsr=${word(words, fx + FX_MXCSR)} fsw:fcw=${
      word(words, fx + FX_CONTROL)
    } fop:tags=${word(words, fx + FX_TAG)}`,
  );
  for (let n = 0; n < 8; n++) {
    const at = fx + FX_ST + 4 * n;
    out.push(`  st${n}=${word(words, at + 2).slice(4)}:${word(words, at + 1)}${word(words, at)}`);
  }
  for (let n = 0; n < 16; n++) {
    const at = fx + FX_XMM + 4 * n;
    out.push(`  xmm${n}=${[3, 2, 1, 0].map((i) => word(words, at + i)).join("")}`);
  }
  return out;
}

export function replay(key: string, backends: readonly Backend[]): string {
  const batch = planOne(key);
  const item = batch.cases[0]!;
  const native = runNative(buildNativeRunner(), batch)[0]!;
  const { words, window } = item.instance;
  const out = [
    item.name,
    `code ${hex(item.bytes)} at ${item.pc.toString(16)}`,
    `window ${word(words, WINDOW_ADDRESS + 1)}${word(words, WINDOW_ADDRESS)} ${hex(window)}`,
    "start",
    ...registers(words, FX),
    "differences",
  ];
  for (const backend of backends) {
    const runner = newRunner(backend);
    runner.load(batch);
    for (const mode of modesOf(item)) {
      let { lines } = outcomeLines(runner, item, native, mode);
      if (backend === "translate" && lines.length === 0) {
        runner.cpu.translateHot();
        lines = outcomeLines(runner, item, native, mode).lines;
      }
      out.push(`  ${backend} ${mode}: ${lines.length === 0 ? "none" : lines.join("\n    ")}`);
    }
  }
  for (const { offset, bytes } of native.diffs) {
    out.push(`  the processor wrote +${offset.toString(16)} ${hex(bytes)}`);
  }
  return out.join("\n");
}
