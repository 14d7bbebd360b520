// SPDX-License-Identifier: Apache-2.0
// Guest memory for ext functions: what they read and write goes through the page table as the guest's own
// accesses do, and a write into code drops that code.

import { type Access, ACCESS_READ, ACCESS_WRITE } from "../include/linux/cpu.ts";
import type { Ram } from "../lib/ram.ts";
import type { GuestAccess } from "./frontend.ts";
import { PAGE_SIZE, pageOffset } from "./layout.ts";
import { isCodeFrame, recordFault, walk } from "./walk.ts";

export interface AccessOwner {
  readonly ram: Ram;
  readonly retired: number;
  /** Code of the frame is about to change: drops it and has translated code left after the instruction. */
  writesCode(frame: number): void;
}

export class ExtAccess implements GuestAccess {
  readonly ram: Ram;
  readonly #owner: AccessOwner;
  /** The trap of the last access that failed, else 0. */
  fault = 0;

  constructor(owner: AccessOwner) {
    this.#owner = owner;
    this.ram = owner.ram;
  }

  get retired(): number {
    return this.#owner.retired;
  }

  translate(address: number, access: number): number {
    const kind: Access = access === ACCESS_WRITE ? ACCESS_WRITE : ACCESS_READ;
    const frame = walk(this.ram, address, kind);
    if (frame < 0) {
      this.fault = recordFault(this.ram, address, kind);
      return -1;
    }
    if (kind === ACCESS_WRITE && isCodeFrame(this.ram, frame)) this.#owner.writesCode(frame);
    return frame + pageOffset(address);
  }

  read(address: number, target: Uint8Array): boolean {
    let done = 0;
    while (done < target.length) {
      const host = this.translate(address + done, ACCESS_READ);
      if (host < 0) return false;
      const bytes = Math.min(target.length - done, PAGE_SIZE - pageOffset(host));
      target.set(this.ram.u8.subarray(host, host + bytes), done);
      done += bytes;
    }
    return true;
  }

  write(address: number, source: Uint8Array): boolean {
    const end = address + source.length;
    for (let at = address; at < end; at += PAGE_SIZE - pageOffset(at)) {
      if (this.translate(at, ACCESS_WRITE) < 0) return false;
    }
    let done = 0;
    while (done < source.length) {
      const host = this.translate(address + done, ACCESS_WRITE);
      const bytes = Math.min(source.length - done, PAGE_SIZE - pageOffset(host));
      this.ram.u8.set(source.subarray(done, done + bytes), host);
      done += bytes;
    }
    return true;
  }
}
