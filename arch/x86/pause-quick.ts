// SPDX-License-Identifier: Apache-2.0
// PAUSE counts in WebAssembly. After PAUSES_MAX in one run the task gives up the CPU, as a hypervisor takes it from one that spins (Intel 64 and IA-32
// Architectures Software Developer's Manual, volume 3, "PAUSE-Loop Exiting"): what it waits for does not happen before.

import { PAUSES } from "../../virt/runtime/status.ts";
import type { Assembler } from "../../virt/wasm/assembler.ts";
import { I32, W } from "../../virt/wasm/opcodes.ts";
import { QuickCode } from "./quick-code.ts";

const PAUSES_MAX = 32;

export function emitQuickPause(): Assembler {
  const code = new QuickCode();
  const count = code.local(I32);
  return code.finish(() => {
    code.set(count, code.op(W.i32_add, code.load(W.i32_load, PAUSES), code.i32(1)));
    code.store(W.i32_store, PAUSES, count);
    code.leaveUnless(code.op(W.i32_lt_u, count, code.i32(PAUSES_MAX)));
    code.done();
  });
}
