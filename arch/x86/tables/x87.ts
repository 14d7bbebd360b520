// SPDX-License-Identifier: Apache-2.0
// The x87 escape opcodes D8 to DF, one row an encoding form. Row syntax: see tables/forms.ts.
// Operands: ST is the top, Ti the register of the low three bits; Ms and Ml are 32-bit and 64-bit floats,
// Mt the 80-bit one; Mw Md Mq are integers, Mt with FBLD and FBSTP is packed decimal.
// Source: AMD64 Architecture Programmer's Manual, volume 3, appendix A, table A-15 (x87 encodings).

const ARITHMETIC = ["FADD", "FMUL", "FCOM", "FCOMP", "FSUB", "FSUBR", "FDIV", "FDIVR"];

function arithmeticRows(): string[] {
  return ARITHMETIC.flatMap((name, i) => {
    const integer = `FI${name.slice(1)}`;
    const rows = [
      `d8/${i}:m - ${name} Ms`,
      `d8/${i}:r - ${name} ST,Ti`,
      `da/${i}:m - ${integer} Md`,
      `dc/${i}:m - ${name} Ml`,
      `de/${i}:m - ${integer} Mw`,
    ];
    return rows;
  });
}

// In DC and DE the register forms of SUB/SUBR and DIV/DIVR are exchanged relative to D8.
const ROWS = `
dc/0:r - FADD Ti,ST
dc/1:r - FMUL Ti,ST
dc/2:r - FCOM ST,Ti
dc/3:r - FCOMP ST,Ti
dc/4:r - FSUBR Ti,ST
dc/5:r - FSUB Ti,ST
dc/6:r - FDIVR Ti,ST
dc/7:r - FDIV Ti,ST
de/0:r - FADDP Ti,ST
de/1:r - FMULP Ti,ST
de/2:r - FCOMP ST,Ti
de/3:r1 - FCOMPP -
de/4:r - FSUBRP Ti,ST
de/5:r - FSUBP Ti,ST
de/6:r - FDIVRP Ti,ST
de/7:r - FDIVP Ti,ST
d9/0:m - FLD Ms
d9/2:m - FST Ms
d9/3:m - FSTP Ms
d9/4:m - FLDENV M
d9/5:m - FLDCW Mw
d9/6:m - FNSTENV M
d9/7:m - FNSTCW Mw
d9/0:r - FLD Ti
d9/1:r - FXCH Ti
d9/2:r0 - FNOP -
d9/3:r - FSTP Ti
d9/4:r0 - FCHS -
d9/4:r1 - FABS -
d9/4:r4 - FTST -
d9/4:r5 - FXAM -
d9/5:r0 - FLD1 -
d9/5:r1 - FLDL2T -
d9/5:r2 - FLDL2E -
d9/5:r3 - FLDPI -
d9/5:r4 - FLDLG2 -
d9/5:r5 - FLDLN2 -
d9/5:r6 - FLDZ -
d9/6:r0 - F2XM1 -
d9/6:r1 - FYL2X -
d9/6:r2 - FPTAN -
d9/6:r3 - FPATAN -
d9/6:r4 - FXTRACT -
d9/6:r5 - FPREM1 -
d9/6:r6 - FDECSTP -
d9/6:r7 - FINCSTP -
d9/7:r0 - FPREM -
d9/7:r1 - FYL2XP1 -
d9/7:r2 - FSQRT -
d9/7:r3 - FSINCOS -
d9/7:r4 - FRNDINT -
d9/7:r5 - FSCALE -
d9/7:r6 - FSIN -
d9/7:r7 - FCOS -
da/0:r - FCMOVB ST,Ti
da/1:r - FCMOVE ST,Ti
da/2:r - FCMOVBE ST,Ti
da/3:r - FCMOVU ST,Ti
da/5:r1 - FUCOMPP -
db/0:m - FILD Md
db/1:m - FISTTP Md sse3
db/2:m - FIST Md
db/3:m - FISTP Md
db/5:m - FLD Mt
db/7:m - FSTP Mt
db/0:r - FCMOVNB ST,Ti
db/1:r - FCMOVNE ST,Ti
db/2:r - FCMOVNBE ST,Ti
db/3:r - FCMOVNU ST,Ti
db/4:r0 - FNOP -
db/4:r1 - FNOP -
db/4:r2 - FNCLEX -
db/4:r3 - FNINIT -
db/4:r4 - FNOP -
db/5:r - FUCOMI ST,Ti
db/6:r - FCOMI ST,Ti
dd/0:m - FLD Ml
dd/1:m - FISTTP Mq sse3
dd/2:m - FST Ml
dd/3:m - FSTP Ml
dd/4:m - FRSTOR M
dd/6:m - FNSAVE M
dd/7:m - FNSTSW Mw
dd/0:r - FFREE Ti
dd/1:r - FXCH Ti
dd/2:r - FST Ti
dd/3:r - FSTP Ti
dd/4:r - FUCOM ST,Ti
dd/5:r - FUCOMP ST,Ti
df/0:m - FILD Mw
df/1:m - FISTTP Mw sse3
df/2:m - FIST Mw
df/3:m - FISTP Mw
df/4:m - FBLD Mt
df/5:m - FILD Mq
df/6:m - FBSTP Mt
df/7:m - FISTP Mq
df/0:r - FFREEP Ti
df/1:r - FXCH Ti
df/2:r - FSTP Ti
df/3:r - FSTP Ti
df/4:r0 - FNSTSW AX
df/5:r - FUCOMIP ST,Ti
df/6:r - FCOMIP ST,Ti
`;

export const X87_ROWS: readonly string[] = [...arithmeticRows(), ...ROWS.trim().split("\n")].map((r) =>
  `${r} x87`
);
