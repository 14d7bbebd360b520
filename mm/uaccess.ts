// SPDX-License-Identifier: Apache-2.0
// The one door to user memory.
//
// The try* forms walk the tables that the CPU walks and copy at once; they are on the path of nearly every
// system call and make no garbage. A page that is missing, or not writable yet, is faulted in by the sleeping
// forms exactly as for the guest; what the guest would get a signal for is EFAULT here.
// An iterator (UserIter) works on prepared pages; when a page has been taken away meanwhile (fork, munmap by
// another thread) it faults it again if that needs no sleep, else it throws EFAULT.

import { type Access, ACCESS_READ, ACCESS_WRITE } from "../include/linux/cpu.ts";
import type { UserAccess } from "../include/linux/mm_types.ts";
import type { IovIter } from "../include/linux/uio.ts";
import { isSleeping, type Sleeps } from "../include/linux/wait.ts";
import { bytesToString } from "../lib/byte-string.ts";
import { EFAULT } from "../lib/errno.ts";
import {
  PAGE_SIZE,
  pageOffset,
  pageStart,
  PTE_EXEC,
  PTE_PRESENT,
  PTE_WRITE,
  TASK_SIZE,
} from "../virt/layout.ts";
import type { MmStruct } from "./mm_struct.ts";
import { leafTable } from "./pgtable.ts";

/** Below this many bytes a loop beats TypedArray.set with its temporary view. */
const SMALL_COPY = 48;

const NEEDED: readonly number[] = [PTE_PRESENT, PTE_PRESENT | PTE_WRITE, PTE_PRESENT | PTE_EXEC];

export class UserMemory implements UserAccess {
  readonly #mm: MmStruct;

  constructor(mm: MmStruct) {
    this.#mm = mm;
  }

  translate(address: number, access: Access): number {
    if (!(address >= 0 && address < TASK_SIZE)) return 0;
    const { u32 } = this.#mm.ram;
    const table = leafTable(u32, this.#mm.root, address);
    if (table === 0) return 0;
    const entry = u32[table + ((address >>> 12) & 1023)]!;
    const needed = NEEDED[access]!;
    return (entry & needed) === needed ? ((entry & ~0xfff) | (address & 0xfff)) >>> 0 : 0;
  }

  tryPrepare(address: number, length: number, access: Access): boolean {
    if (length === 0) return true;
    const end = address + length;
    if (!(address >= 0 && end <= TASK_SIZE)) return false;
    for (let at = pageStart(address); at < end; at += PAGE_SIZE) {
      if (this.translate(at, access) === 0) return false;
    }
    return true;
  }

  *prepare(address: number, length: number, access: Access): Sleeps<void> {
    if (length === 0) return;
    const end = address + length;
    if (!(address >= 0 && end <= TASK_SIZE)) throw EFAULT;
    // A second look, because a fault that sleeps may let a page be taken away that was there.
    while (!this.tryPrepare(address, length, access)) {
      for (let at = pageStart(address); at < end; at += PAGE_SIZE) {
        if (this.translate(at, access) === 0) yield* this.#fault(at, access);
      }
    }
  }

  *#fault(address: number, access: Access): Sleeps<void> {
    const task = this.#mm.kernel.tasks.current;
    const answer = this.#mm.handleFault(task, address, access);
    const signal = isSleeping(answer) ? yield* answer : answer;
    if (signal !== undefined || task?.hasSignal === true && this.translate(address, access) === 0) {
      throw EFAULT;
    }
  }

  /** Faults a page in without sleeping; its host address or 0. */
  #faultNow(address: number, access: Access): number {
    const answer = this.#mm.handleFault(this.#mm.kernel.tasks.current, address, access);
    if (answer !== undefined) {
      if (isSleeping(answer)) answer.return(undefined);
      return 0;
    }
    return this.translate(address, access);
  }

  tryCopyIn(address: number, into: Uint8Array): boolean {
    const length = into.length;
    if (!this.tryPrepare(address, length, ACCESS_READ)) return false;
    for (let done = 0; done < length;) {
      const host = this.translate(address + done, ACCESS_READ);
      const count = Math.min(length - done, PAGE_SIZE - (host & 0xfff));
      copyFromRam(this.#mm.ram.u8, host, into, done, count);
      done += count;
    }
    return true;
  }

  tryCopyOut(address: number, from: Uint8Array): boolean {
    const length = from.length;
    if (!this.tryPrepare(address, length, ACCESS_WRITE)) return false;
    for (let done = 0; done < length;) {
      const host = this.translate(address + done, ACCESS_WRITE);
      const count = Math.min(length - done, PAGE_SIZE - (host & 0xfff));
      copyToRam(this.#mm.ram.u8, host, from, done, count);
      this.#mm.kernel.frames.invalidate(host);
      done += count;
    }
    return true;
  }

  tryReadU32(address: number): number | undefined {
    if ((address & 0xfff) > PAGE_SIZE - 4) return this.#readU32Across(address);
    const host = this.translate(address, ACCESS_READ);
    if (host === 0) return undefined;
    if ((host & 3) === 0) return this.#mm.ram.u32[host >>> 2]!;
    return this.#mm.ram.view.getUint32(host, true);
  }

  tryWriteU32(address: number, value: number): boolean {
    if ((address & 0xfff) > PAGE_SIZE - 4) return this.tryCopyOut(address, bytesOf(value, 0).subarray(0, 4));
    const host = this.translate(address, ACCESS_WRITE);
    if (host === 0) return false;
    this.#mm.ram.view.setUint32(host, value >>> 0, true);
    this.#mm.kernel.frames.invalidate(host);
    return true;
  }

  #readU32Across(address: number): number | undefined {
    const bytes = new Uint8Array(4);
    return this.tryCopyIn(address, bytes) ? new DataView(bytes.buffer).getUint32(0, true) : undefined;
  }

  *copyIn(address: number, length: number): Sleeps<Uint8Array> {
    yield* this.prepare(address, length, ACCESS_READ);
    const bytes = new Uint8Array(length);
    if (!this.tryCopyIn(address, bytes)) throw EFAULT;
    return bytes;
  }

  *copyOut(address: number, bytes: Uint8Array): Sleeps<void> {
    yield* this.prepare(address, bytes.length, ACCESS_WRITE);
    if (!this.tryCopyOut(address, bytes)) throw EFAULT;
  }

  *readU32(address: number): Sleeps<number> {
    const value = this.tryReadU32(address);
    if (value !== undefined) return value;
    return new DataView((yield* this.copyIn(address, 4)).buffer).getUint32(0, true);
  }

  *writeU32(address: number, value: number): Sleeps<void> {
    if (!this.tryWriteU32(address, value)) yield* this.copyOut(address, bytesOf(value, 0).subarray(0, 4));
  }

  *readU64(address: number): Sleeps<number> {
    const view = new DataView((yield* this.copyIn(address, 8)).buffer);
    return view.getUint32(0, true) + view.getUint32(4, true) * 0x1_0000_0000;
  }

  *writeU64(address: number, value: number): Sleeps<void> {
    yield* this.copyOut(address, bytesOf(value, Math.floor(value / 0x1_0000_0000)));
  }

  *clear(address: number, length: number): Sleeps<void> {
    for (let done = 0; done < length;) {
      const at = address + done;
      const count = Math.min(length - done, PAGE_SIZE - pageOffset(at));
      yield* this.prepare(at, count, ACCESS_WRITE);
      const host = this.translate(at, ACCESS_WRITE);
      this.#mm.ram.u8.fill(0, host, host + count);
      this.#mm.kernel.frames.invalidate(host);
      done += count;
    }
  }

  *readString(address: number, maxBytes: number, errorIfLong: Error): Sleeps<string> {
    let text = "";
    for (let at = address;;) {
      if (this.translate(at, ACCESS_READ) === 0) yield* this.prepare(at, 1, ACCESS_READ);
      const host = this.translate(at, ACCESS_READ);
      const { u8 } = this.#mm.ram;
      const limit = Math.min(PAGE_SIZE - (host & 0xfff), maxBytes - text.length);
      let end = host;
      while (end < host + limit && u8[end] !== 0) end++;
      if (end > host) text += bytesToString(u8, host, end);
      if (end < host + limit) return text;
      if (text.length >= maxBytes) throw errorIfLong;
      at += end - host;
    }
  }

  *readPointers(address: number, maxCount: number): Sleeps<number[]> {
    const pointers: number[] = [];
    for (let at = address; pointers.length < maxCount; at += 8) {
      const low = this.tryReadU32(at) ?? (yield* this.readU32(at));
      const high = this.tryReadU32(at + 4) ?? (yield* this.readU32(at + 4));
      if (low === 0 && high === 0) return pointers;
      pointers.push(low + high * 0x1_0000_0000);
    }
    return pointers;
  }

  iter(segments: readonly { address: number; length: number }[]): IovIter {
    return new UserIter(this.#mm, this, segments);
  }

  /** Host address of a user byte, faulted in if that needs no sleep. Throws EFAULT. */
  hostFor(address: number, access: Access): number {
    const host = this.translate(address, access) || this.#faultNow(address, access);
    if (host === 0) throw EFAULT;
    return host;
  }
}

/** Moves bytes between prepared user memory and buffers or frames. */
class UserIter implements IovIter {
  readonly #mm: MmStruct;
  readonly #user: UserMemory;
  readonly #segments: readonly { address: number; length: number }[];
  #segment = 0;
  #offset = 0;
  #remaining = 0;

  constructor(
    mm: MmStruct,
    user: UserMemory,
    segments: readonly { address: number; length: number }[],
  ) {
    this.#mm = mm;
    this.#user = user;
    this.#segments = segments;
    for (const { length } of segments) this.#remaining += length;
  }

  get remaining(): number {
    return this.#remaining;
  }

  copyOut(source: Uint8Array, offset: number, length: number): void {
    for (let done = 0; done < length;) {
      const host = this.#here(ACCESS_WRITE);
      const count = this.#run(host, length - done, ACCESS_WRITE);
      copyToRam(this.#mm.ram.u8, host, source, offset + done, count);
      this.#written(host, count);
      this.#advance(count);
      done += count;
    }
  }

  copyOutRam(address: number, length: number): void {
    for (let done = 0; done < length;) {
      const host = this.#here(ACCESS_WRITE);
      const count = this.#run(host, length - done, ACCESS_WRITE);
      moveInRam(this.#mm.ram.u8, host, address + done, count);
      this.#written(host, count);
      this.#advance(count);
      done += count;
    }
  }

  zero(length: number): void {
    for (let done = 0; done < length;) {
      const host = this.#here(ACCESS_WRITE);
      const count = this.#run(host, length - done, ACCESS_WRITE);
      this.#mm.ram.u8.fill(0, host, host + count);
      this.#written(host, count);
      this.#advance(count);
      done += count;
    }
  }

  copyIn(target: Uint8Array, offset: number, length: number): void {
    for (let done = 0; done < length;) {
      const host = this.#here(ACCESS_READ);
      const count = this.#run(host, length - done, ACCESS_READ);
      copyFromRam(this.#mm.ram.u8, host, target, offset + done, count);
      this.#advance(count);
      done += count;
    }
  }

  copyInRam(address: number, length: number): void {
    for (let done = 0; done < length;) {
      const host = this.#here(ACCESS_READ);
      const count = this.#run(host, length - done, ACCESS_READ);
      moveInRam(this.#mm.ram.u8, address + done, host, count);
      this.#advance(count);
      done += count;
    }
  }

  revert(length: number): void {
    this.#remaining += length;
    let left = length;
    while (left > this.#offset) {
      left -= this.#offset;
      this.#segment--;
      this.#offset = this.#segments[this.#segment]!.length;
    }
    this.#offset -= left;
  }

  /** Host address of the next byte; steps over segments that are done. */
  #here(access: Access): number {
    while (this.#offset === this.#segments[this.#segment]!.length) {
      this.#segment++;
      this.#offset = 0;
    }
    return this.#user.hostFor(this.#segments[this.#segment]!.address + this.#offset, access);
  }

  /** Bytes from `host` on that can be moved in one piece: within the segment, and as far as its pages are neighbours
   *  in RAM, which those of a buffer that was touched in order mostly are. */
  #run(host: number, wanted: number, access: Access): number {
    const { address, length } = this.#segments[this.#segment]!;
    const most = Math.min(wanted, length - this.#offset);
    const at = address + this.#offset;
    let count = PAGE_SIZE - (host & 0xfff);
    while (count < most && this.#user.translate(at + count, access) === host + count) count += PAGE_SIZE;
    return Math.min(count, most);
  }

  #written(host: number, count: number): void {
    const { frames } = this.#mm.kernel;
    for (let frame = host; frame < host + count; frame += PAGE_SIZE - (frame & 0xfff)) {
      frames.invalidate(frame);
    }
  }

  #advance(count: number): void {
    this.#offset += count;
    this.#remaining -= count;
  }
}

function copyToRam(u8: Uint8Array, host: number, source: Uint8Array, offset: number, count: number): void {
  if (count < SMALL_COPY) { for (let i = 0; i < count; i++) u8[host + i] = source[offset + i]!; }
  else {u8.set(
      offset === 0 && count === source.length ? source : source.subarray(offset, offset + count),
      host,
    );}
}

function moveInRam(u8: Uint8Array, to: number, from: number, count: number): void {
  if (count < SMALL_COPY && (to <= from || to >= from + count)) {
    for (let i = 0; i < count; i++) u8[to + i] = u8[from + i]!;
  } else {
    u8.copyWithin(to, from, from + count);
  }
}

function copyFromRam(u8: Uint8Array, host: number, target: Uint8Array, offset: number, count: number): void {
  if (count < SMALL_COPY) { for (let i = 0; i < count; i++) target[offset + i] = u8[host + i]!; }
  else target.set(u8.subarray(host, host + count), offset);
}

/** Two 32-bit words, low first. */
function bytesOf(low: number, high: number): Uint8Array {
  const bytes = new Uint8Array(8);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, low >>> 0, true);
  view.setUint32(4, high >>> 0, true);
  return bytes;
}
