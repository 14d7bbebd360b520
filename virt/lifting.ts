// SPDX-License-Identifier: Apache-2.0
// From guest code to IR and on to bytecode. A run that finds all of its code in a store asks for none of it, so the bundle of the command
// line has this in a part of its own (scripts/bundle.ts).

import type { Ram } from "../lib/ram.ts";
import { makeHandlers } from "./interp/handlers.ts";
import { Lowering } from "./interp/lower.ts";
import { IrBuilder } from "./ir/builder.ts";

export { LOWERED_BYTES_MAX } from "./interp/lower.ts";
export { keepIr } from "./translate/ir-block.ts";

export class Lifting {
  readonly builder: IrBuilder = new IrBuilder();
  readonly lowering: Lowering;

  constructor(ram: Ram) {
    this.lowering = new Lowering(ram, makeHandlers());
  }
}
