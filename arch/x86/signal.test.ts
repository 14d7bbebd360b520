// SPDX-License-Identifier: Apache-2.0
// Signal frames: the layout that libgcc and gdb know, and the way there and back.

import assert from "node:assert/strict";
import { test } from "node:test";

import type { SignalFrame } from "../../include/linux/cpu.ts";
import { Ram } from "../../lib/ram.ts";
import { CC_SUB, ccOp } from "../../virt/ir/cc.ts";
import { CPU_BASE, CPU_STATE, SAVED_BYTES } from "../../virt/layout.ts";
import { x86 } from "./index.ts";

const SP = 0x7fff_1234_5678;

function started(): Ram {
  const ram = new Ram(1 << 20, 1 << 20);
  x86.startThread(ram, 0x40_1000, SP);
  for (let n = 0; n < 16; n++) {
    if (n !== 4) ram.view.setBigUint64(CPU_BASE + 8 * n, 0xffff_0000_0000_0000n + BigInt(n), true);
  }
  ram.u8.fill(0x5a, CPU_BASE + CPU_STATE.xmm, CPU_BASE + CPU_STATE.xmm + 256);
  // 1 - 2: CF, AF, SF, PF
  ram.i32[(CPU_BASE + CPU_STATE.ccOp) >>> 2] = ccOp(CC_SUB, 4);
  ram.writeU64(CPU_BASE + CPU_STATE.ccA, 1);
  ram.writeU64(CPU_BASE + CPU_STATE.ccB, 2);
  ram.writeU64(CPU_BASE + CPU_STATE.df, 1);
  return ram;
}

function frame(overrides: Partial<SignalFrame> = {}): SignalFrame {
  return {
    signal: 11,
    handler: 0x50_0000,
    flags: 0x0400_0004,
    restorer: 0x60_0000,
    mask: 0x1234n,
    info: new Uint8Array(128).fill(7),
    altStack: { sp: 0x1000_0000, flags: 2, size: 0x4000 },
    onAltStack: false,
    trapNumber: 14,
    errorCode: 6,
    faultAddress: 0xdead_b000,
    ...overrides,
  };
}

test("the frame is where and what Linux makes it", () => {
  const ram = started();
  const { address, bytes } = x86.setupSignalFrame(ram, frame());
  const view = new DataView(bytes.buffer);
  assert.equal((address + 8) % 16, 0);
  assert.ok(address + bytes.length <= SP - 128, "below the red zone");
  assert.equal(view.getBigUint64(0, true), 0x60_0000n);
  assert.equal(view.getBigUint64(8, true), 6n, "uc_flags");
  assert.equal(view.getBigUint64(48 + 128, true), 0x40_1000n, "rip");
  assert.equal(view.getUint32(48 + 136, true), 0x202 | 0x400 | 0x1 | 0x4 | 0x10 | 0x80, "flags");
  assert.equal(view.getUint16(48 + 144, true), 0x33);
  assert.equal(view.getBigUint64(48 + 176, true), 0xdead_b000n, "cr2");
  const fpstate = Number(view.getBigUint64(48 + 184, true));
  assert.equal(fpstate % 64, 0);
  assert.equal(view.getUint32(fpstate - address + 24, true), 0x1f80);
  assert.equal(bytes[fpstate - address + 160], 0x5a);
  assert.equal(bytes[312], 7, "siginfo");
});

test("the handler starts with its arguments, DF clear and a fresh FPU", () => {
  const ram = started();
  const { address } = x86.setupSignalFrame(ram, frame());
  assert.equal(x86.getPc(ram), 0x50_0000);
  assert.equal(x86.getSp(ram), address);
  assert.deepEqual([7, 6, 2, 0].map((n) => ram.readU64(CPU_BASE + 8 * n)), [
    11,
    address + 312,
    address + 8,
    0,
  ]);
  assert.equal(ram.readU64(CPU_BASE + CPU_STATE.df), 0);
  assert.equal(ram.u8[CPU_BASE + CPU_STATE.xmm], 0);
});

test("sigreturn restores everything", () => {
  const ram = started();
  // Flags are compared in their explicit form: restoring makes them so.
  const before = x86.getRegset(ram.u8.slice(CPU_BASE, CPU_BASE + SAVED_BYTES), "prstatus");
  const fpu = x86.getRegset(ram.u8.slice(CPU_BASE, CPU_BASE + SAVED_BYTES), "fpregset");
  const { bytes } = x86.setupSignalFrame(ram, frame());
  x86.setSp(ram, x86.getSp(ram) + 8);
  assert.equal(x86.sigreturnFrameBytes, bytes.length);
  const { mask, altStack, result } = x86.restoreSignalFrame(ram, bytes);
  assert.equal(mask, 0x1234n);
  assert.deepEqual(altStack, { sp: 0x1000_0000, flags: 2, size: 0x4000 });
  assert.equal(BigInt.asUintN(64, result), 0xffff_0000_0000_0000n);
  const saved = ram.u8.slice(CPU_BASE, CPU_BASE + SAVED_BYTES);
  assert.deepEqual(x86.getRegset(saved, "prstatus"), before);
  assert.deepEqual(x86.getRegset(saved, "fpregset"), fpu);
});

test("on the alternate stack the frame lies at its top", () => {
  const { address, bytes } = x86.setupSignalFrame(started(), frame({ onAltStack: true }));
  assert.ok(address + bytes.length <= 0x1000_4000 && address > 0x1000_3000);
});
