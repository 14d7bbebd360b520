// SPDX-License-Identifier: Apache-2.0
// How quick functions (quick.ts) find the memory of the guest.

import { type Access, ACCESS_WRITE } from "../../include/linux/cpu.ts";
import { PAGE_SIZE, TLB_READ, TLB_WRITE } from "../../virt/layout.ts";
import { pushHost, pushTlbHit } from "../../virt/runtime/inline.ts";
import type { Value } from "../../virt/wasm/code.ts";
import { I32, I64, W } from "../../virt/wasm/opcodes.ts";
import type { QuickCode } from "./quick-code.ts";

export class GuestMemory {
  readonly #c: QuickCode;
  readonly #fillTlb: number;
  readonly #address: number;
  readonly #entry: number;

  /** `fillTlb`: as QuickContext has it. */
  constructor(c: QuickCode, fillTlb: number) {
    this.#c = c;
    this.#fillTlb = fillTlb;
    this.#address = c.local(I64);
    this.#entry = c.local(I32);
  }

  /** A local = the host address of so many bytes (i32) at a guest address (i64); leaves where they do not lie in one page, or may not be accessed. */
  find(host: number, guestAddress: Value, access: Access, bytes: Value): void {
    const c = this.#c;
    const [address, entry] = [this.#address, this.#entry];
    const tlb = access === ACCESS_WRITE ? TLB_WRITE : TLB_READ;
    const offset = c.op(W.i32_and, c.op(W.i32_wrap_i64, address), c.i32(PAGE_SIZE - 1));
    c.set(address, guestAddress);
    c.when(() => pushTlbHit(c.f, tlb, 0, address, entry, c.op(W.i64_extend_i32_u, bytes)), () => {
      c.set(host, () => pushHost(c.f, tlb, address, entry));
    }, () => {
      c.leaveUnless(c.op(W.i32_le_u, offset, c.op(W.i32_sub, c.i32(PAGE_SIZE), bytes)));
      c.set(host, c.call(this.#fillTlb, address, c.i32(access)));
      c.leaveUnless(host);
      c.set(host, c.op(W.i32_add, host, offset));
    });
  }
}
