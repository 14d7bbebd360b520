// SPDX-License-Identifier: Apache-2.0
// CPUID promises what the decoder's table has, and nothing else; cpuinfo and hwcap say the same.

import assert from "node:assert/strict";
import { test } from "node:test";

import { CPU_FLAGS, cpuid, HWCAP } from "./cpuid.ts";
import { x86 } from "./index.ts";
import { X86_FORMS } from "./tables/forms.ts";

function has(mnemonic: string): boolean {
  return X86_FORMS.some((form) => form.mnemonic === mnemonic);
}

/** Bit of CPUID.1:ECX, an instruction of the extension. */
const ECX: readonly (readonly [number, string])[] = [
  [0, "ADDSUBPD"],
  [1, "PCLMULQDQ"],
  [3, "MONITOR"],
  [9, "PSHUFB"],
  [12, "VFMADD132PD"],
  [13, "CMPXCHG8B"],
  [19, "PTEST"],
  [20, "PCMPESTRI"],
  [22, "MOVBE"],
  [23, "POPCNT"],
  [25, "AESENC"],
  [26, "XSAVE"],
  [28, "VADDPD"],
  [30, "RDRAND"],
];

/** Bit of CPUID.7.0:EBX, an instruction of the extension. */
const LEAF_7_EBX: readonly (readonly [number, string])[] = [
  [3, "ANDN"],
  [5, "VPBROADCASTB"],
  [8, "RORX"],
  [18, "RDSEED"],
  [19, "ADCX"],
  [24, "CLWB"],
  [29, "SHA256RNDS2"],
];

test("a feature bit is set exactly when its instructions are there", () => {
  const { ecx, edx } = cpuid(1, 0);
  for (const [bit, mnemonic] of ECX) assert.equal(((ecx >>> bit) & 1) === 1, has(mnemonic), mnemonic);
  const v1 = [0, 4, 8, 15, 19, 23, 24, 25, 26];
  for (const bit of v1) assert.equal((edx >>> bit) & 1, 1, `EDX bit ${bit}`);
  assert.equal(HWCAP, edx >>> 0);
  for (const [bit, mnemonic] of LEAF_7_EBX) {
    assert.equal(((cpuid(7, 0).ebx >>> bit) & 1) === 1, has(mnemonic), mnemonic);
  }
  assert.deepEqual(cpuid(7, 1), { eax: 0, ebx: 0, ecx: 0, edx: 0 });
  assert.equal((cpuid(0x8000_0001, 0).edx >>> 29) & 1, 1, "long mode");
});

test("the vendor string and the brand", () => {
  const { ebx, ecx, edx } = cpuid(0, 0);
  const text = [ebx, edx, ecx].flatMap((word) => [0, 8, 16, 24].map((shift) => (word >>> shift) & 0xff));
  assert.equal(String.fromCharCode(...text), "GenuineIntel");
  assert.equal(cpuid(0x8000_0000, 0).eax >>> 0, 0x8000_0008);
});

test("cpuinfo has a block of one processor", () => {
  const text = x86.cpuinfo(1, 2600);
  assert.match(text, /^processor\t: 1\nvendor_id\t: GenuineIntel\n/);
  assert.match(text, /\ncpu MHz\t\t: 2600\.000\n/);
  assert.ok(text.endsWith("\n\n"));
  assert.ok(CPU_FLAGS.includes("sse2") && !CPU_FLAGS.includes("avx"));
});

test("the system call table knows its ends", () => {
  assert.equal(x86.syscallNames[0], "read");
  assert.equal(x86.syscallNames[59], "execve");
  assert.equal(x86.syscallNames[334], "rseq");
  assert.equal(x86.syscallNames[400], undefined);
  assert.equal(x86.syscallNames[439], "faccessat2");
  assert.equal(x86.syscallNames[462], "mseal");
});
