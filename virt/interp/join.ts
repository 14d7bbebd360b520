// SPDX-License-Identifier: Apache-2.0
// Joins the records of a block that was lowered into sequences.

import type { Ram } from "../../lib/ram.ts";
import { RECORD_BYTES } from "./bytecode.ts";
import type { Handlers } from "./handlers.ts";

/** Records that stand next to each other get a handler together where there is one, the longest. `starts`: addresses of a block's records. */
export function joinSequences(ram: Ram, { sequences, parts, rows }: Handlers, starts: Int32Array): void {
  const u16 = ram.u16;
  for (let n = 0; n < starts.length;) {
    let node = 0;
    let handler = -1;
    for (let next = n; next < starts.length; next++) {
      if (starts[next]! !== starts[n]! + (next - n) * RECORD_BYTES) break;
      node = sequences.follow(node, u16[starts[next]! >>> 1]!);
      if (node < 0) break;
      if (sequences.handlerAt(node) >= 0) handler = sequences.handlerAt(node);
    }
    if (handler >= 0) u16[starts[n]! >>> 1] = handler;
    n += handler < 0 ? 1 : parts[rows[handler]!.id]!.length;
  }
}
