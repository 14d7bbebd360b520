// SPDX-License-Identifier: Apache-2.0
// The FXSAVE image of any register file, live or saved: for signal frames, ptrace and core dumps.
//
// As Linux on a processor without XSAVE: 512 bytes, the 64-bit (REX.W) form.
// Source: AMD64 Architecture Programmer's Manual, volume 2, section 11.4.4; Linux <sys/user.h>.

import { CPU_STATE } from "../../virt/layout.ts";
import { hasOtherControl, MXCSR_MASK } from "./mxcsr.ts";

export const FXSAVE_BYTES = 512;
const ST_OFFSET = 32;
const XMM_OFFSET = 160;
const TOP_SHIFT = 11;
const STATUS_BITS = 0xc7ff;

export function saveFpu(view: DataView, base: number): Uint8Array {
  const bytes = new Uint8Array(FXSAVE_BYTES);
  const to = new DataView(bytes.buffer);
  const top = view.getUint32(base + CPU_STATE.ftop, true);
  to.setUint16(0, view.getUint32(base + CPU_STATE.fcw, true), true);
  to.setUint16(2, (view.getUint32(base + CPU_STATE.fsw, true) & STATUS_BITS) | (top << TOP_SHIFT), true);
  to.setUint8(4, view.getUint32(base + CPU_STATE.ftag, true));
  to.setUint16(6, view.getUint32(base + CPU_STATE.fop, true), true);
  to.setBigUint64(8, view.getBigUint64(base + CPU_STATE.fip, true), true);
  to.setBigUint64(16, view.getBigUint64(base + CPU_STATE.fdp, true), true);
  to.setUint32(24, view.getUint32(base + CPU_STATE.mxcsr, true), true);
  to.setUint32(28, MXCSR_MASK, true);
  for (let i = 0; i < 8; i++) {
    const from = base + CPU_STATE.st + 16 * ((top + i) & 7);
    to.setBigUint64(ST_OFFSET + 16 * i, view.getBigUint64(from, true), true);
    to.setUint16(ST_OFFSET + 16 * i + 8, view.getUint16(from + 8, true), true);
  }
  for (let i = 0; i < 256; i += 8) {
    to.setBigUint64(XMM_OFFSET + i, view.getBigUint64(base + CPU_STATE.xmm + i, true), true);
  }
  return bytes;
}

/** Loads an image. Reserved bits of MXCSR are dropped, as Linux does. */
export function restoreFpu(view: DataView, base: number, bytes: Uint8Array): void {
  const from = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const status = from.getUint16(2, true);
  const top = (status >> TOP_SHIFT) & 7;
  view.setUint32(base + CPU_STATE.fcw, from.getUint16(0, true), true);
  view.setUint32(base + CPU_STATE.fsw, status & STATUS_BITS, true);
  view.setUint32(base + CPU_STATE.ftop, top, true);
  view.setUint32(base + CPU_STATE.ftag, from.getUint8(4), true);
  view.setUint32(base + CPU_STATE.fop, from.getUint16(6, true), true);
  view.setBigUint64(base + CPU_STATE.fip, from.getBigUint64(8, true), true);
  view.setBigUint64(base + CPU_STATE.fdp, from.getBigUint64(16, true), true);
  const mxcsr = from.getUint32(24, true) & MXCSR_MASK;
  view.setUint32(base + CPU_STATE.mxcsr, mxcsr, true);
  if (hasOtherControl(mxcsr)) view.setUint32(base + CPU_STATE.mxcsr + 4, 1, true);
  for (let i = 0; i < 8; i++) {
    const to = base + CPU_STATE.st + 16 * ((top + i) & 7);
    view.setBigUint64(to, from.getBigUint64(ST_OFFSET + 16 * i, true), true);
    view.setUint16(to + 8, from.getUint16(ST_OFFSET + 16 * i + 8, true), true);
  }
  for (let i = 0; i < 256; i += 8) {
    view.setBigUint64(base + CPU_STATE.xmm + i, from.getBigUint64(XMM_OFFSET + i, true), true);
  }
}
