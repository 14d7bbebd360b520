// SPDX-License-Identifier: Apache-2.0
// What CPUID promises: exactly what the machine implements.
//
// The processor is an Intel one of the time before AVX in family and model, so that C libraries choose their
// SSE2 and SSSE3 variants; of what came later it has the SHA extensions. Cache leaves describe a plain modern
// hierarchy, from which glibc sizes its copies.
// Source: Intel SDM volume 2, CPUID; AMD64 Architecture Programmer's Manual, volume 3, appendix E.

export interface CpuidResult {
  eax: number;
  ebx: number;
  ecx: number;
  edx: number;
}

/** CPUID.1:EDX by bit, with the names of /proc/cpuinfo. */
const FEATURES_1_EDX: ReadonlyArray<readonly [number, string]> = [
  [0, "fpu"],
  [4, "tsc"],
  [5, "msr"],
  [6, "pae"],
  [8, "cx8"],
  [11, "sep"],
  [13, "pge"],
  [15, "cmov"],
  [16, "pat"],
  [19, "clflush"],
  [23, "mmx"],
  [24, "fxsr"],
  [25, "sse"],
  [26, "sse2"],
];
/** CPUID.1:ECX. */
const FEATURES_1_ECX: ReadonlyArray<readonly [number, string]> = [
  [0, "pni"],
  [9, "ssse3"],
  [13, "cx16"],
  [19, "sse4_1"],
  [20, "sse4_2"],
  [23, "popcnt"],
  [31, "hypervisor"],
];
/** CPUID.7.0:EBX. */
const FEATURES_7_EBX: ReadonlyArray<readonly [number, string]> = [[29, "sha_ni"]];
/** CPUID.80000001:EDX and ECX. */
const FEATURES_81_EDX: ReadonlyArray<readonly [number, string]> = [
  [11, "syscall"],
  [20, "nx"],
  [27, "rdtscp"],
  [29, "lm"],
];
const FEATURES_81_ECX: ReadonlyArray<readonly [number, string]> = [[0, "lahf_lm"]];

/** SEP means SYSENTER, which 64-bit user code does not have here; Linux shows it and glibc ignores it. */
const HIDDEN: ReadonlySet<string> = new Set(["sep", "msr"]);

function bits(features: ReadonlyArray<readonly [number, string]>): number {
  return features.reduce((sum, [bit, name]) => (HIDDEN.has(name) ? sum : sum | (1 << bit)), 0);
}

/** Names for the flags line of /proc/cpuinfo. */
export const CPU_FLAGS: readonly string[] = [
  ...FEATURES_1_EDX,
  ...FEATURES_81_EDX,
  ...FEATURES_1_ECX,
  ...FEATURES_81_ECX,
  ...FEATURES_7_EBX,
].map(([, name]) => name).filter((name) => !HIDDEN.has(name));

/** AT_HWCAP is CPUID.1:EDX. */
export const HWCAP: number = bits(FEATURES_1_EDX) >>> 0;

export const VENDOR = "GenuineIntel";
export const BRAND = "Rookery Virtual CPU";
export const FAMILY = 6;
export const MODEL = 44;
export const STEPPING = 2;

const LEAF_MAX = 0x0b;
const EXTENDED_LEAF_MAX = 0x8000_0008;

function text(value: string, at: number): number {
  let word = 0;
  for (let i = 0; i < 4; i++) word |= (value.charCodeAt(at + i) || 0) << (8 * i);
  return word;
}

/** One row of leaf 4: type (1 data, 2 instructions, 3 both), level, bytes, ways. */
const CACHES: ReadonlyArray<readonly [number, number, number, number]> = [
  [1, 1, 32 << 10, 8],
  [2, 1, 32 << 10, 8],
  [3, 2, 256 << 10, 8],
  [3, 3, 8 << 20, 16],
];
const LINE_BYTES = 64;

function cacheLeaf(subleaf: number): CpuidResult {
  const row = CACHES[subleaf];
  if (row === undefined) return { eax: 0, ebx: 0, ecx: 0, edx: 0 };
  const [type, level, bytes, ways] = row;
  const sets = bytes / LINE_BYTES / ways;
  return {
    eax: type | (level << 5) | (1 << 8),
    ebx: (LINE_BYTES - 1) | ((ways - 1) << 22),
    ecx: sets - 1,
    edx: 0,
  };
}

function brandLeaf(part: number): CpuidResult {
  const at = part * 16;
  return {
    eax: text(BRAND, at),
    ebx: text(BRAND, at + 4),
    ecx: text(BRAND, at + 8),
    edx: text(BRAND, at + 12),
  };
}

/** Answers one CPUID; unsigned or signed 32-bit values. */
export function cpuid(leaf: number, subleaf: number): CpuidResult {
  const zero: CpuidResult = { eax: 0, ebx: 0, ecx: 0, edx: 0 };
  switch (leaf >>> 0) {
    case 0:
      return { eax: LEAF_MAX, ebx: text(VENDOR, 0), edx: text(VENDOR, 4), ecx: text(VENDOR, 8) };
    case 1:
      return {
        eax: STEPPING | ((MODEL & 15) << 4) | (FAMILY << 8) | ((MODEL >> 4) << 16),
        ebx: (LINE_BYTES / 8) << 8 | 1 << 16,
        ecx: bits(FEATURES_1_ECX),
        edx: bits(FEATURES_1_EDX),
      };
    case 2:
      // Descriptor FF: see leaf 4.
      return { eax: 0x01, ebx: 0xff, ecx: 0, edx: 0 };
    case 4:
      return cacheLeaf(subleaf);
    case 7:
      return subleaf === 0 ? { ...zero, ebx: bits(FEATURES_7_EBX) } : zero;
    case 0x8000_0000:
      return { ...zero, eax: EXTENDED_LEAF_MAX };
    case 0x8000_0001:
      return { eax: 0, ebx: 0, ecx: bits(FEATURES_81_ECX), edx: bits(FEATURES_81_EDX) };
    case 0x8000_0002:
    case 0x8000_0003:
    case 0x8000_0004:
      return brandLeaf((leaf & 0xf) - 2);
    case 0x8000_0006:
      return { ...zero, ecx: 0x0100_6040 };
    case 0x8000_0008:
      return { ...zero, eax: 0x3030 };
    default:
      return zero;
  }
}
