// SPDX-License-Identifier: Apache-2.0
// The ext functions that have a quick way in WebAssembly. Asked for when the runtime module is made, which most runs find made.

import type { QuickExts } from "../../virt/frontend.ts";
import { EXT } from "./ext.ts";
import { emitQuickCompare } from "./ext-compare-quick.ts";
import { emitQuickRepString } from "./ext-string-quick.ts";
import { emitQuickFxrstor, emitQuickFxsave } from "./fxsave-quick.ts";
import { emitQuickApproximate } from "./sse-approximate-quick.ts";
import { addQuickExact } from "./sse-exact-quick.ts";
import { emitQuickPause } from "./pause-quick.ts";
import { quickX87 } from "./x87-quick.ts";

export const quickExts: QuickExts = (context) =>
  new Map([
    [
      EXT.repString,
      context.add(emitQuickRepString(context.fillTlb, context.add(emitQuickCompare(context.fillTlb)))),
    ],
    [EXT.fxsave, context.add(emitQuickFxsave(context.fillTlb))],
    [EXT.fxrstor, context.add(emitQuickFxrstor(context.fillTlb))],
    [EXT.sseExact, addQuickExact(context)],
    [EXT.approximate, context.add(emitQuickApproximate())],
    [EXT.pause, context.add(emitQuickPause())],
    ...quickX87(context),
  ]);
