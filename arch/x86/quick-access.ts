// SPDX-License-Identifier: Apache-2.0
// How quick functions (quick.ts) find the memory of the guest.

import { type Access, ACCESS_WRITE } from "../../include/linux/cpu.ts";
import { PAGE_SIZE, TLB_READ, TLB_WRITE } from "../../virt/layout.ts";
import { pushHost, pushTlbHit } from "../../virt/runtime/inline.ts";
import type { Value } from "../../virt/wasm/code.ts";
import { W } from "../../virt/wasm/opcodes.ts";
import type { QuickCode } from "./quick-code.ts";

/** Locals: a guest address (i64), an entry of the TLB and what is found (i32). */
export interface Place {
  readonly address: number;
  readonly entry: number;
  readonly host: number;
}

/** The host address of so many bytes (i32); leaves where they do not lie in one page, or may not be accessed. */
export function findHost(
  c: QuickCode,
  fillTlb: number,
  { address, entry, host }: Place,
  access: Access,
  bytes: Value,
): void {
  const tlb = access === ACCESS_WRITE ? TLB_WRITE : TLB_READ;
  const offset = c.op(W.i32_and, c.op(W.i32_wrap_i64, address), c.i32(PAGE_SIZE - 1));
  c.when(() => pushTlbHit(c.f, tlb, 0, address, entry, c.op(W.i64_extend_i32_u, bytes)), () => {
    c.set(host, () => pushHost(c.f, tlb, address, entry));
  }, () => {
    c.leaveUnless(c.op(W.i32_le_u, offset, c.op(W.i32_sub, c.i32(PAGE_SIZE), bytes)));
    c.set(host, c.call(fillTlb, address, c.i32(access)));
    c.leaveUnless(host);
    c.set(host, c.op(W.i32_add, host, offset));
  });
}
