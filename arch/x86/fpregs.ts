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
const XMM_BYTES = 256;
const TOP_SHIFT = 11;
const STATUS_BITS = 0xc7ff;

/** The image as bytes of its own. */
export function saveFpu(view: DataView, base: number): Uint8Array {
  const bytes = new Uint8Array(FXSAVE_BYTES);
  storeFpu(view, base, new DataView(bytes.buffer));
  return bytes;
}

/** The image into `to`, whose reserved bytes are zeros. */
export function storeFpu(view: DataView, base: number, to: DataView): void {
  const top = view.getUint32(base + CPU_STATE.ftop, true);
  to.setUint16(0, view.getUint32(base + CPU_STATE.fcw, true), true);
  to.setUint16(2, (view.getUint32(base + CPU_STATE.fsw, true) & STATUS_BITS) | (top << TOP_SHIFT), true);
  to.setUint8(4, view.getUint32(base + CPU_STATE.ftag, true));
  to.setUint16(6, view.getUint32(base + CPU_STATE.fop, true), true);
  copyWords(to, 8, view, base + CPU_STATE.fip, 8);
  copyWords(to, 16, view, base + CPU_STATE.fdp, 8);
  to.setUint32(24, view.getUint32(base + CPU_STATE.mxcsr, true), true);
  to.setUint32(28, MXCSR_MASK, true);
  for (let i = 0; i < 8; i++) {
    const from = base + CPU_STATE.st + 16 * ((top + i) & 7);
    copyWords(to, ST_OFFSET + 16 * i, view, from, 8);
    to.setUint16(ST_OFFSET + 16 * i + 8, view.getUint16(from + 8, true), true);
  }
  copyWords(to, XMM_OFFSET, view, base + CPU_STATE.xmm, XMM_BYTES);
}

/** So many bytes, by words of 32 bits: of 64 each would be an object of the engine's. */
export function copyWords(to: DataView, at: number, from: DataView, start: number, bytes: number): void {
  for (let i = 0; i < bytes; i += 4) to.setUint32(at + i, from.getUint32(start + i, true), true);
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
  copyWords(view, base + CPU_STATE.fip, from, 8, 8);
  copyWords(view, base + CPU_STATE.fdp, from, 16, 8);
  const mxcsr = from.getUint32(24, true) & MXCSR_MASK;
  view.setUint32(base + CPU_STATE.mxcsr, mxcsr, true);
  if (hasOtherControl(mxcsr)) view.setUint32(base + CPU_STATE.mxcsr + 4, 1, true);
  for (let i = 0; i < 8; i++) {
    const to = base + CPU_STATE.st + 16 * ((top + i) & 7);
    copyWords(view, to, from, ST_OFFSET + 16 * i, 8);
    view.setUint16(to + 8, from.getUint16(ST_OFFSET + 16 * i + 8, true), true);
  }
  copyWords(view, base + CPU_STATE.xmm, from, XMM_OFFSET, XMM_BYTES);
}
