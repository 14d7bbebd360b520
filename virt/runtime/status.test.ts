// SPDX-License-Identifier: Apache-2.0
// What the runtime and what the interpreter keep in the CPU's page lies apart: neither file knows the other's fields.

import assert from "node:assert/strict";
import { test } from "node:test";

import * as steps from "../interp/steps.ts";
import { CPU_BASE, CPU_STATE } from "../layout.ts";
import * as status from "./status.ts";

const SCRATCH_BYTES = 256;

/** Addresses that a module exports between the registers and the temporaries, but for what is passed to TypeScript. Numbers of other things are not as large, or larger. */
function fields(module: Readonly<Record<string, unknown>>): number[] {
  const { budget, scratch, temps } = CPU_STATE;
  const isField = (at: number): boolean =>
    at > budget && at < temps && (at < scratch || at >= scratch + SCRATCH_BYTES);
  return Object.values(module).filter((value): value is number =>
    typeof value === "number" && isField(value - CPU_BASE)
  );
}

test("fields of the runtime lie below those of the interpreter, each in a place of its own", () => {
  const [runtime, interpreter] = [fields(status), fields(steps)];
  assert.ok(runtime.length > 10 && interpreter.length > 3);
  assert.ok(Math.max(...runtime) < Math.min(...interpreter));
  assert.equal(new Set([...runtime, ...interpreter]).size, runtime.length + interpreter.length);
});
