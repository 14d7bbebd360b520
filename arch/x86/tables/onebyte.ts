// SPDX-License-Identifier: Apache-2.0
// The one-byte opcode map in 64-bit mode, one row an encoding form. Row syntax: see tables/forms.ts.
// Opcodes without a row are invalid in 64-bit mode (#UD); C4, C5 and 62 are VEX and EVEX, which CPUID
// does not promise. Source: AMD64 Architecture Programmer's Manual, volume 3, appendix A.

const ARITHMETIC = ["ADD", "OR", "ADC", "SBB", "AND", "SUB", "XOR", "CMP"];
const SHIFTS = ["ROL", "ROR", "RCL", "RCR", "SHL", "SHR", "SHL", "SAR"];

function hex(n: number): string {
  return n.toString(16).padStart(2, "0");
}

function arithmeticRows(): string[] {
  return ARITHMETIC.flatMap((name, i) => {
    const lock = name === "CMP" ? "" : " lock";
    const base = i * 8;
    return [
      `${hex(base)} - ${name} Eb,Gb${lock}`,
      `${hex(base + 1)} - ${name} Ev,Gv${lock}`,
      `${hex(base + 2)} - ${name} Gb,Eb`,
      `${hex(base + 3)} - ${name} Gv,Ev`,
      `${hex(base + 4)} - ${name} AL,Ib`,
      `${hex(base + 5)} - ${name} rAX,Iz`,
      `80/${i} - ${name} Eb,Ib${lock}`,
      `81/${i} - ${name} Ev,Iz${lock}`,
      `83/${i} - ${name} Ev,Is${lock}`,
    ];
  });
}

function shiftRows(): string[] {
  return SHIFTS.flatMap((name, i) => [
    `c0/${i} - ${name} Eb,Ib`,
    `c1/${i} - ${name} Ev,Ib`,
    `d0/${i} - ${name} Eb,1`,
    `d1/${i} - ${name} Ev,1`,
    `d2/${i} - ${name} Eb,CL`,
    `d3/${i} - ${name} Ev,CL`,
  ]);
}

const ROWS = `
50+r - PUSH Zv d64
58+r - POP Zv d64
63 - MOVSXD Gv,Ed
68 - PUSH Iz d64
69 - IMUL Gv,Ev,Iz
6a - PUSH Is d64
6b - IMUL Gv,Ev,Is
6c - INS - priv
6d - INS - priv
6e - OUTS - priv
6f - OUTS - priv
70+c - Jcc Jb f64
84 - TEST Eb,Gb
85 - TEST Ev,Gv
86 - XCHG Eb,Gb lock
87 - XCHG Ev,Gv lock
88 - MOV Eb,Gb
89 - MOV Ev,Gv
8a - MOV Gb,Eb
8b - MOV Gv,Ev
8c:r - MOV_FROM_SEGMENT Ev,Sw
8c:m - MOV_FROM_SEGMENT Ew,Sw
8d:m - LEA Gv,M
8e - MOV_TO_SEGMENT Sw,Ew
8f/0 - POP Ev d64
90+r - XCHG Zv,rAX
90 - NOP_OR_XCHG Zv,rAX
90 F3 NOP_OR_XCHG Zv,rAX pause
98 - CBW -
99 - CWD -
9b - FWAIT -
9c - PUSHF - d64
9d - POPF - d64
9e - SAHF -
9f - LAHF -
a0 - MOV AL,Ob
a1 - MOV rAX,Ov
a2 - MOV Ob,AL
a3 - MOV Ov,rAX
a4 - MOVS Yb,Xb
a5 - MOVS Yv,Xv
a6 - CMPS Xb,Yb
a7 - CMPS Xv,Yv
a8 - TEST AL,Ib
a9 - TEST rAX,Iz
aa - STOS Yb,AL
ab - STOS Yv,rAX
ac - LODS AL,Xb
ad - LODS rAX,Xv
ae - SCAS AL,Yb
af - SCAS rAX,Yv
b0+r - MOV Zb,Ib
b8+r - MOV Zv,Iv
c2 - RET Iw f64
c3 - RET - f64
c6/0 - MOV Eb,Ib
c7/0 - MOV Ev,Iz
c8 - ENTER Iw,Ib d64
c9 - LEAVE - d64
ca - RETF Iw
cb - RETF -
cc - INT3 -
cd - INT Ib
cf - IRET -
d7 - XLAT -
e0 - LOOPNE Jb f64
e1 - LOOPE Jb f64
e2 - LOOP Jb f64
e3 - JRCXZ Jb f64
e4 - IN Ib priv
e5 - IN Ib priv
e6 - OUT Ib priv
e7 - OUT Ib priv
e8 - CALL Jz f64
e9 - JMP Jz f64
eb - JMP Jb f64
ec - IN - priv
ed - IN - priv
ee - OUT - priv
ef - OUT - priv
f1 - INT1 -
f4 - HLT - priv
f5 - CMC -
f6/0 - TEST Eb,Ib
f6/1 - TEST Eb,Ib
f6/2 - NOT Eb lock
f6/3 - NEG Eb lock
f6/4 - MUL Eb
f6/5 - IMUL1 Eb
f6/6 - DIV Eb
f6/7 - IDIV Eb
f7/0 - TEST Ev,Iz
f7/1 - TEST Ev,Iz
f7/2 - NOT Ev lock
f7/3 - NEG Ev lock
f7/4 - MUL Ev
f7/5 - IMUL1 Ev
f7/6 - DIV Ev
f7/7 - IDIV Ev
f8 - CLC -
f9 - STC -
fa - CLI - priv
fb - STI - priv
fc - CLD -
fd - STD -
fe/0 - INC Eb lock
fe/1 - DEC Eb lock
ff/0 - INC Ev lock
ff/1 - DEC Ev lock
ff/2 - CALL Eq f64
ff/3:m - CALLF Mz
ff/4 - JMP Eq f64
ff/5:m - JMPF Mz
ff/6 - PUSH Ev d64
`;

export const ONE_BYTE_ROWS: readonly string[] = [
  ...arithmeticRows(),
  ...shiftRows(),
  ...ROWS.trim().split("\n"),
];
