// SPDX-License-Identifier: Apache-2.0
// `rookery doctor`: what this host can do, one line each.

import { existsSync } from "node:fs";

import { defaultImagePath } from "./paths.ts";

/** A module whose only function has the given body, to ask the engine whether it accepts it. */
function accepts(body: readonly number[], memory: readonly number[] = []): boolean {
  const code = [0x00, ...body, 0x0b];
  return WebAssembly.validate(
    new Uint8Array([
      0x00,
      0x61,
      0x73,
      0x6d,
      0x01,
      0x00,
      0x00,
      0x00,
      0x01,
      0x04,
      0x01,
      0x60,
      0x00,
      0x00,
      0x03,
      0x02,
      0x01,
      0x00,
      ...memory,
      0x0a,
      code.length + 2,
      0x01,
      code.length,
      ...code,
    ]),
  );
}

/** Whether the engine has 128-bit SIMD, tail calls, 64-bit memories. */
function engineFeatures(): { simd: boolean; tailCalls: boolean; memory64: boolean } {
  return {
    simd: accepts([0x41, 0x00, 0xfd, 0x0f, 0x1a]), // i32.const 0, i8x16.splat, drop
    tailCalls: accepts([0x12, 0x00]), // return_call 0
    memory64: accepts([], [0x05, 0x03, 0x01, 0x04, 0x01]), // (memory i64 1)
  };
}

/** Prints the report; 0 when Rookery can run here. */
export function doctor(): number {
  const features = engineFeatures();
  const yes = (value: boolean): string => (value ? "yes" : "no");
  console.log(`node                ${process.version} (V8 ${process.versions.v8})`);
  console.log(`wasm SIMD           ${yes(features.simd)}${features.simd ? "" : " - required"}`);
  console.log(`wasm tail calls     ${yes(features.tailCalls)}`);
  console.log(`wasm memory64       ${yes(features.memory64)}`);
  console.log(`SharedArrayBuffer   ${yes(typeof SharedArrayBuffer === "function")}`);
  const image = defaultImagePath();
  console.log(`default image       ${existsSync(image) ? image : `none (rookery image build -o ${image})`}`);
  return features.simd ? 0 : 1;
}
