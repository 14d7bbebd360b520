// SPDX-License-Identifier: Apache-2.0
// MMX, SSE, SSE2, SSE3, SSSE3, SSE4.1, SSE4.2 and SHA, one row an encoding form. Row syntax: tables/forms.ts.
// Vx is the xmm register of ModRM.reg; W with a size is an xmm register or memory of that size; U is a
// register only. P, Q and N are the same for MMX.
// Source: AMD64 Architecture Programmer's Manual, volumes 4 and 5.

/** Packed integer operations that exist for MMX (no prefix) and for SSE2 (66): opcode and mnemonic. */
const BOTH = `
60 PUNPCKLBW
61 PUNPCKLWD
62 PUNPCKLDQ
63 PACKSSWB
64 PCMPGTB
65 PCMPGTW
66 PCMPGTD
67 PACKUSWB
68 PUNPCKHBW
69 PUNPCKHWD
6a PUNPCKHDQ
6b PACKSSDW
74 PCMPEQB
75 PCMPEQW
76 PCMPEQD
d1 PSRLW
d2 PSRLD
d3 PSRLQ
d4 PADDQ
d5 PMULLW
d8 PSUBUSB
d9 PSUBUSW
da PMINUB
db PAND
dc PADDUSB
dd PADDUSW
de PMAXUB
df PANDN
e0 PAVGB
e1 PSRAW
e2 PSRAD
e3 PAVGW
e4 PMULHUW
e5 PMULHW
e8 PSUBSB
e9 PSUBSW
ea PMINSW
eb POR
ec PADDSB
ed PADDSW
ee PMAXSW
ef PXOR
f1 PSLLW
f2 PSLLD
f3 PSLLQ
f4 PMULUDQ
f5 PMADDWD
f6 PSADBW
f8 PSUBB
f9 PSUBW
fa PSUBD
fb PSUBQ
fc PADDB
fd PADDW
fe PADDD
38.00 PSHUFB
38.01 PHADDW
38.02 PHADDD
38.03 PHADDSW
38.04 PMADDUBSW
38.05 PHSUBW
38.06 PHSUBD
38.07 PHSUBSW
38.08 PSIGNB
38.09 PSIGNW
38.0a PSIGND
38.0b PMULHRSW
38.1c PABSB
38.1d PABSW
38.1e PABSD
`;

/** Float arithmetic in four forms: PS (no prefix), PD (66), SS (F3), SD (F2). */
const FLOAT4 = ["51 SQRT", "58 ADD", "59 MUL", "5c SUB", "5d MIN", "5e DIV", "5f MAX"];

function bothRows(): string[] {
  return BOTH.trim().split("\n").flatMap((line) => {
    const [opcode, name] = line.split(" ");
    // The low unpacks of MMX read 32 bits of memory only.
    const low = name!.startsWith("PUNPCKL");
    return [`${opcode} NP ${name} Pq,${low ? "Qd" : "Qq"} mmx`, `${opcode} 66 ${name} Vx,Wx`];
  });
}

function floatRows(): string[] {
  return FLOAT4.flatMap((line) => {
    const [opcode, name] = line.split(" ");
    return [
      `${opcode} NP ${name}PS Vx,Wx`,
      `${opcode} 66 ${name}PD Vx,Wx`,
      `${opcode} F3 ${name}SS Vx,Wd`,
      `${opcode} F2 ${name}SD Vx,Wq`,
    ];
  });
}

const ROWS = `
10 NP MOVU Vx,Wx
10 66 MOVU Vx,Wx
10 F3 MOVSS Vx,Wd
10 F2 MOVSD Vx,Wq
11 NP MOVU Wx,Vx
11 66 MOVU Wx,Vx
11 F3 MOVSS Wd,Vx
11 F2 MOVSD Wq,Vx
12:m NP MOVLP Vx,Mq
12:r NP MOVHLPS Vx,Ux
12:m 66 MOVLP Vx,Mq
12 F3 MOVSLDUP Vx,Wx
12 F2 MOVDDUP Vx,Wq
13:m NP MOVLP Mq,Vx
13:m 66 MOVLP Mq,Vx
14 NP UNPCKLPS Vx,Wx
14 66 PUNPCKLQDQ Vx,Wx
15 NP UNPCKHPS Vx,Wx
15 66 PUNPCKHQDQ Vx,Wx
16:m NP MOVHP Vx,Mq
16:r NP MOVLHPS Vx,Ux
16:m 66 MOVHP Vx,Mq
16 F3 MOVSHDUP Vx,Wx
17:m NP MOVHP Mq,Vx
17:m 66 MOVHP Mq,Vx
28 NP MOVA Vx,Wx
28 66 MOVA Vx,Wx
29 NP MOVA Wx,Vx
29 66 MOVA Wx,Vx
2a NP CVTPI2PS Vx,Qq mmx
2a 66 CVTPI2PD Vx,Qq mmx
2a F3 CVTSI2SS Vx,Ey
2a F2 CVTSI2SD Vx,Ey
2b:m NP MOVA Mx,Vx
2b:m 66 MOVA Mx,Vx
2c NP CVTTPS2PI Pq,Wq mmx
2c 66 CVTTPD2PI Pq,Wx mmx
2c F3 CVTTSS2SI Gy,Wd
2c F2 CVTTSD2SI Gy,Wq
2d NP CVTPS2PI Pq,Wq mmx
2d 66 CVTPD2PI Pq,Wx mmx
2d F3 CVTSS2SI Gy,Wd
2d F2 CVTSD2SI Gy,Wq
2e NP UCOMISS Vx,Wd
2e 66 UCOMISD Vx,Wq
2f NP COMISS Vx,Wd
2f 66 COMISD Vx,Wq
50:r NP MOVMSKPS Gd,Ux
50:r 66 MOVMSKPD Gd,Ux
52 NP RSQRTPS Vx,Wx
52 F3 RSQRTSS Vx,Wd
53 NP RCPPS Vx,Wx
53 F3 RCPSS Vx,Wd
54 NP PAND Vx,Wx
54 66 PAND Vx,Wx
55 NP PANDN Vx,Wx
55 66 PANDN Vx,Wx
56 NP POR Vx,Wx
56 66 POR Vx,Wx
57 NP PXOR Vx,Wx
57 66 PXOR Vx,Wx
5a NP CVTPS2PD Vx,Wq
5a 66 CVTPD2PS Vx,Wx
5a F3 CVTSS2SD Vx,Wd
5a F2 CVTSD2SS Vx,Wq
5b NP CVTDQ2PS Vx,Wx
5b 66 CVTPS2DQ Vx,Wx
5b F3 CVTTPS2DQ Vx,Wx
6c 66 PUNPCKLQDQ Vx,Wx
6d 66 PUNPCKHQDQ Vx,Wx
6e NP MOVD Pq,Ey mmx
6e 66 MOVD Vx,Ey
6f NP MOVQ Pq,Qq mmx
6f 66 MOVA Vx,Wx
6f F3 MOVU Vx,Wx
70 NP PSHUFW Pq,Qq,Ib mmx
70 66 PSHUFD Vx,Wx,Ib
70 F3 PSHUFHW Vx,Wx,Ib
70 F2 PSHUFLW Vx,Wx,Ib
71/2:r NP PSRLW Nq,Ib mmx
71/4:r NP PSRAW Nq,Ib mmx
71/6:r NP PSLLW Nq,Ib mmx
71/2:r 66 PSRLW Ux,Ib
71/4:r 66 PSRAW Ux,Ib
71/6:r 66 PSLLW Ux,Ib
72/2:r NP PSRLD Nq,Ib mmx
72/4:r NP PSRAD Nq,Ib mmx
72/6:r NP PSLLD Nq,Ib mmx
72/2:r 66 PSRLD Ux,Ib
72/4:r 66 PSRAD Ux,Ib
72/6:r 66 PSLLD Ux,Ib
73/2:r NP PSRLQ Nq,Ib mmx
73/6:r NP PSLLQ Nq,Ib mmx
73/2:r 66 PSRLQ Ux,Ib
73/3:r 66 PSRLDQ Ux,Ib
73/6:r 66 PSLLQ Ux,Ib
73/7:r 66 PSLLDQ Ux,Ib
77 NP EMMS - mmx
7c 66 HADDPD Vx,Wx
7c F2 HADDPS Vx,Wx
7d 66 HSUBPD Vx,Wx
7d F2 HSUBPS Vx,Wx
7e NP MOVD Ey,Pq mmx
7e 66 MOVD Ey,Vx
7e F3 MOVQ Vx,Wq
7f NP MOVQ Qq,Pq mmx
7f 66 MOVA Wx,Vx
7f F3 MOVU Wx,Vx
c2 NP CMPPS Vx,Wx,Ib
c2 66 CMPPD Vx,Wx,Ib
c2 F3 CMPSS Vx,Wd,Ib
c2 F2 CMPSD Vx,Wq,Ib
c4:m NP PINSRW Pq,Mw,Ib mmx
c4:r NP PINSRW Pq,Ed,Ib mmx
c4:m 66 PINSRW Vx,Mw,Ib
c4:r 66 PINSRW Vx,Ed,Ib
c5:r NP PEXTRW Gd,Nq,Ib mmx
c5:r 66 PEXTRW Gd,Ux,Ib
c6 NP SHUFPS Vx,Wx,Ib
c6 66 SHUFPD Vx,Wx,Ib
d0 66 ADDSUBPD Vx,Wx
d0 F2 ADDSUBPS Vx,Wx
d6 66 MOVQ Wq,Vx
d6:r F3 MOVQ2DQ Vx,Nq mmx
d6:r F2 MOVDQ2Q Pq,Ux mmx
d7:r NP PMOVMSKB Gd,Nq mmx
d7:r 66 PMOVMSKB Gd,Ux
e6 66 CVTTPD2DQ Vx,Wx
e6 F3 CVTDQ2PD Vx,Wq
e6 F2 CVTPD2DQ Vx,Wx
e7:m NP MOVQ Mq,Pq mmx
e7:m 66 MOVA Mx,Vx
f0:m F2 MOVU Vx,Mx
f7:r NP MASKMOVQ Pq,Nq mmx
f7:r 66 MASKMOVDQU Vx,Ux
38.10 66 PBLENDVB Vx,Wx
38.14 66 BLENDVPS Vx,Wx
38.15 66 BLENDVPD Vx,Wx
38.17 66 PTEST Vx,Wx
38.20 66 PMOVSXBW Vx,Wq
38.21 66 PMOVSXBD Vx,Wd
38.22 66 PMOVSXBQ Vx,Ww
38.23 66 PMOVSXWD Vx,Wq
38.24 66 PMOVSXWQ Vx,Wd
38.25 66 PMOVSXDQ Vx,Wq
38.28 66 PMULDQ Vx,Wx
38.29 66 PCMPEQQ Vx,Wx
38.2a:m 66 MOVA Vx,Mx
38.2b 66 PACKUSDW Vx,Wx
38.30 66 PMOVZXBW Vx,Wq
38.31 66 PMOVZXBD Vx,Wd
38.32 66 PMOVZXBQ Vx,Ww
38.33 66 PMOVZXWD Vx,Wq
38.34 66 PMOVZXWQ Vx,Wd
38.35 66 PMOVZXDQ Vx,Wq
38.37 66 PCMPGTQ Vx,Wx
38.38 66 PMINSB Vx,Wx
38.39 66 PMINSD Vx,Wx
38.3a 66 PMINUW Vx,Wx
38.3b 66 PMINUD Vx,Wx
38.3c 66 PMAXSB Vx,Wx
38.3d 66 PMAXSD Vx,Wx
38.3e 66 PMAXUW Vx,Wx
38.3f 66 PMAXUD Vx,Wx
38.40 66 PMULLD Vx,Wx
38.41 66 PHMINPOSUW Vx,Wx
38.c8 NP SHA1NEXTE Vx,Wx
38.c9 NP SHA1MSG1 Vx,Wx
38.ca NP SHA1MSG2 Vx,Wx
38.cb NP SHA256RNDS2 Vx,Wx
38.cc NP SHA256MSG1 Vx,Wx
38.cd NP SHA256MSG2 Vx,Wx
38.f0 F2 CRC32 Gy,Eb
38.f1 F2 CRC32 Gy,Ev
3a.08 66 ROUNDPS Vx,Wx,Ib
3a.09 66 ROUNDPD Vx,Wx,Ib
3a.0a 66 ROUNDSS Vx,Wd,Ib
3a.0b 66 ROUNDSD Vx,Wq,Ib
3a.0c 66 BLENDPS Vx,Wx,Ib
3a.0d 66 BLENDPD Vx,Wx,Ib
3a.0e 66 PBLENDW Vx,Wx,Ib
3a.0f NP PALIGNR Pq,Qq,Ib mmx
3a.0f 66 PALIGNR Vx,Wx,Ib
3a.14:m 66 PEXTRB Mb,Vx,Ib
3a.14:r 66 PEXTRB Ed,Vx,Ib
3a.15:m 66 PEXTRW Mw,Vx,Ib
3a.15:r 66 PEXTRW Ed,Vx,Ib
3a.16 66 PEXTRD Ey,Vx,Ib
3a.17 66 EXTRACTPS Ed,Vx,Ib
3a.20:m 66 PINSRB Vx,Mb,Ib
3a.20:r 66 PINSRB Vx,Ed,Ib
3a.21 66 INSERTPS Vx,Wd,Ib
3a.22 66 PINSRD Vx,Ey,Ib
3a.40 66 DPPS Vx,Wx,Ib
3a.41 66 DPPD Vx,Wx,Ib
3a.42 66 MPSADBW Vx,Wx,Ib
3a.60 66 PCMPESTRM Vx,Wx,Ib
3a.61 66 PCMPESTRI Vx,Wx,Ib
3a.62 66 PCMPISTRM Vx,Wx,Ib
3a.63 66 PCMPISTRI Vx,Wx,Ib
3a.cc NP SHA1RNDS4 Vx,Wx,Ib
`;

/** Forms whose 16-byte memory operand need not be aligned; those of SHA should be by Intel's manual, and need not on Zen. */
export const UNALIGNED: ReadonlySet<string> = new Set([
  "MOVU",
  "PCMPESTRM",
  "PCMPESTRI",
  "PCMPISTRM",
  "PCMPISTRI",
  "SHA1NEXTE",
  "SHA1MSG1",
  "SHA1MSG2",
  "SHA1RNDS4",
  "SHA256RNDS2",
  "SHA256MSG1",
  "SHA256MSG2",
]);

export const SSE_ROWS: readonly string[] = [...bothRows(), ...floatRows(), ...ROWS.trim().split("\n")].map(
  (row) => `0f.${row}`,
);
