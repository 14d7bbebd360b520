// SPDX-License-Identifier: Apache-2.0
// The door of arch/x86: the front end for the machine and the instruction set for the kernel.

import type { GuestArch } from "../../include/linux/cpu.ts";
import { HWCAP } from "./cpuid.ts";
import { cpuinfo } from "./cpuinfo.ts";
import { SYSCALL_NAMES } from "./entry/syscall_64.ts";
import { restoreFpu, saveFpu } from "./fpregs.ts";
import {
  fpuSignalCode,
  getPc,
  getSp,
  getUserRegs,
  restartSyscall,
  setPc,
  setSp,
  setSyscallResult,
  setSyscallResult64,
  setTls,
  setUserRegs,
  startThread,
  syscallArgument,
  syscallArgument32,
  syscallArgument64,
  syscallArgumentSigned,
  syscallNumber,
} from "./registers.ts";
import {
  restoreSignalFrame,
  setupSignalFrame,
  signalFrameAddress,
  signalFrameBytes,
  SIGRETURN_FRAME_BYTES,
} from "./signal.ts";
import { CPU_BASE, CPU_STATE } from "../../virt/layout.ts";
import { buildVdso } from "./vdso.ts";

export { createX86FrontEnd, x86FrontEnd } from "./frontend.ts";

const EM_X86_64 = 62;
const VDSO_IMAGE: Uint8Array = buildVdso();

function viewOf(saved: Uint8Array): DataView {
  return new DataView(saved.buffer, saved.byteOffset, saved.length);
}

export const x86: GuestArch = {
  name: "x86_64",
  elfMachine: EM_X86_64,
  platform: "x86_64",
  hwcap: HWCAP,
  hwcap2: 0,
  syscallNames: SYSCALL_NAMES,
  startThread,
  getPc,
  setPc,
  getSp,
  setSp,
  syscallNumber,
  syscallArgument,
  syscallArgumentSigned,
  syscallArgument32,
  syscallArgument64,
  setSyscallResult,
  setSyscallResult64,
  restartSyscall,
  setTls,
  signalFrameBytes,
  setupSignalFrame,
  restoreSignalFrame,
  signalFrameAddress,
  sigreturnFrameBytes: SIGRETURN_FRAME_BYTES,
  fpuSignalCode,
  segmentBases: {
    get: (ram, segment) => ram.readU64(CPU_BASE + (segment === "fs" ? CPU_STATE.fsBase : CPU_STATE.gsBase)),
    set: (ram, segment, base) =>
      ram.writeU64(CPU_BASE + (segment === "fs" ? CPU_STATE.fsBase : CPU_STATE.gsBase), base),
  },
  getRegset: (saved, type) => (type === "prstatus" ? getUserRegs(saved) : saveFpu(viewOf(saved), 0)),
  setRegset: (saved, type, bytes) => {
    if (type === "prstatus") setUserRegs(saved, bytes);
    else restoreFpu(viewOf(saved), 0, bytes);
  },
  vdso: () => ({ image: VDSO_IMAGE, readsWallClock: true }),
  cpuinfo,
};
