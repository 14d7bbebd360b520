// SPDX-License-Identifier: Apache-2.0
// ELF64: the parts that loading a program needs. Source: elf(5).

export const EI_NIDENT = 16;
export const ELF64_EHDR_BYTES = 64;
export const ELF64_PHDR_BYTES = 56;

export const ET_EXEC = 2;
export const ET_DYN = 3;

export const PT_LOAD = 1;
export const PT_DYNAMIC = 2;
export const PT_INTERP = 3;
export const PT_NOTE = 4;
export const PT_PHDR = 6;
export const PT_TLS = 7;
export const PT_GNU_STACK = 0x6474_e551;
export const PT_GNU_PROPERTY = 0x6474_e553;

export const PF_X = 1;
export const PF_W = 2;
export const PF_R = 4;
