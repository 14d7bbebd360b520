// SPDX-License-Identifier: Apache-2.0
// The two-byte opcode map (0F xx) without SSE and MMX, one row an encoding form. Row syntax: tables/forms.ts.
// Opcodes without a row raise #UD, as do those whose CPUID bit is not promised (3DNow!, XSAVE, RDRAND,
// MONITOR, SMAP ...). SLDT, STR, SGDT, SIDT and SMSW behave as on a CPU with UMIP on: #GP in user mode.
// Source: AMD64 Architecture Programmer's Manual, volume 3, appendix A.

const ROWS = `
00/0 - SLDT - priv
00/1 - STR - priv
00/2 - LLDT - priv
00/3 - LTR - priv
00/4 - VERR Ew
00/5 - VERW Ew lock
01/0:m - SGDT - priv
01/1:m - SIDT - priv
01/2:m - LGDT - priv
01/3:m - LIDT - priv
01/4 - SMSW - priv
01/6 - LMSW - priv
01/7:m - INVLPG - priv
01/7:r0 - SWAPGS - priv
01/7:r1 - RDTSCP -
02 - LAR Gv,Ew
03 - LSL Gv,Ew
05 - SYSCALL -
06 - CLTS - priv
07 - SYSRET - priv
08 - INVD - priv
09 - WBINVD - priv
0b - UD2 -
0d:m - PREFETCH M
18/0:m - PREFETCH M
18/1:m - PREFETCH M
18/2:m - PREFETCH M
18/3:m - PREFETCH M
18/4:m - NOP Ev
18/5:m - NOP Ev
18/6:m - NOP Ev
18/7:m - NOP Ev
18:r - NOP Ev
19 - NOP Ev
1a - NOP Ev
1b - NOP Ev
1c - NOP Ev
1d - NOP Ev
1e - NOP Ev
1f - NOP Ev
20 - MOV_CR - priv regonly lockreg
21 - MOV_DR - priv regonly
22 - MOV_CR - priv regonly lockreg
23 - MOV_DR - priv regonly
30 - WRMSR - priv
31 - RDTSC -
32 - RDMSR - priv
33 - RDPMC - priv
40+c - CMOVcc Gv,Ev
80+c - Jcc Jz f64
90+c - SETcc Eb
a0 - PUSH_SEGMENT 4 d64
a1 - POP_SEGMENT 4 d64
a2 - CPUID -
a3 - BT Ev,Gv
a4 - SHLD Ev,Gv,Ib
a5 - SHLD Ev,Gv,CL
a8 - PUSH_SEGMENT 5 d64
a9 - POP_SEGMENT 5 d64
ab - BTS Ev,Gv lock
ac - SHRD Ev,Gv,Ib
ad - SHRD Ev,Gv,CL
ae/0:m NP FXSAVE M
ae/1:m NP FXRSTOR M
ae/2:m NP LDMXCSR Md
ae/3:m NP STMXCSR Md
ae/7:m NP CLFLUSH Mb
ae/5:r NP LFENCE -
ae/6:r NP MFENCE -
ae/7:r NP SFENCE -
af - IMUL Gv,Ev
b0 - CMPXCHG Eb,Gb lock
b1 - CMPXCHG Ev,Gv lock
b2:m - LOAD_FAR 2,Gv,M
b3 - BTR Ev,Gv lock
b4:m - LOAD_FAR 4,Gv,M
b5:m - LOAD_FAR 5,Gv,M
b6 - MOVZX Gv,Eb
b7 - MOVZX Gv,Ew
b8 F3 POPCNT Gv,Ev
b9 - UD1 Gv,Ev
ba/4 - BT Ev,Ib
ba/5 - BTS Ev,Ib lock
ba/6 - BTR Ev,Ib lock
ba/7 - BTC Ev,Ib lock
bb - BTC Ev,Gv lock
bc - BSF Gv,Ev
bc F3 BSF Gv,Ev tzcnt
bd - BSR Gv,Ev
bd F3 BSR Gv,Ev lzcnt
be - MOVSX Gv,Eb
bf - MOVSX Gv,Ew
c0 - XADD Eb,Gb lock
c1 - XADD Ev,Gv lock
c3:m NP MOVNTI My,Gy
c7/1:m - CMPXCHG8B M lock
c8+r - BSWAP Zy
ff - UD0 -
`;

export const TWO_BYTE_ROWS: readonly string[] = ROWS.trim().split("\n").map((row) => `0f.${row}`);
