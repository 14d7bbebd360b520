// SPDX-License-Identifier: Apache-2.0
// Short pieces of machine code run to their INT3, interpreted and translated: what only shows when instructions
// meet. Single instructions are the oracle's (tools/testing/isa).

import assert from "node:assert/strict";
import { test } from "node:test";

import {
  TRAP_BREAKPOINT,
  TRAP_DIVIDE,
  TRAP_FAULT,
  TRAP_FPU,
  TRAP_PROTECTION,
} from "../../include/linux/cpu.ts";
import { Ram } from "../../lib/ram.ts";
import { WasmCpu } from "../../virt/cpu.ts";
import { CPU_BASE, CPU_STATE, FRAMES_START, PTE_EXEC, PTE_WRITE } from "../../virt/layout.ts";
import { ToySpace } from "../../virt/testing/toy.ts";
import { x86, x86FrontEnd } from "./index.ts";

const CODE = 0x40_0000;
const DATA = 0x60_0000;
const STACK = 0x7f_f000;
const RAX = 0;
const RCX = 1;
const RDX = 2;
const RBX = 3;
const RSP = 4;
const RSI = 6;
const RDI = 7;
const R9 = 9;
const R11 = 11;

class Machine {
  readonly ram: Ram;
  readonly cpu: WasmCpu;
  readonly data: number;
  readonly stack: number;

  constructor(hex: string, hotEntries: number) {
    this.ram = new Ram(FRAMES_START + (4 << 20), FRAMES_START + (4 << 20));
    this.cpu = new WasmCpu(this.ram, x86FrontEnd, { hotEntries });
    const space = new ToySpace(this.ram, FRAMES_START);
    const code = space.frame();
    this.ram.u8.set(Buffer.from(`${hex.replaceAll(" ", "")}cc`, "hex"), code);
    space.map(CODE, code, PTE_EXEC);
    this.data = space.frame();
    space.map(DATA, this.data, PTE_WRITE);
    this.stack = space.frame();
    space.map(STACK - 4096, this.stack, PTE_WRITE);
    this.cpu.setAddressSpace(space.root, 1);
    x86.startThread(this.ram, CODE, STACK);
    this.set(RBX, BigInt(DATA));
  }

  set(register: number, value: bigint): void {
    this.ram.view.setBigUint64(CPU_BASE + CPU_STATE.gpr + 8 * register, value, true);
  }

  get(register: number): bigint {
    return this.ram.view.getBigUint64(CPU_BASE + CPU_STATE.gpr + 8 * register, true);
  }

  /** To an offset in the code. */
  jump(offset: number): void {
    this.ram.writeU64(CPU_BASE + CPU_STATE.pc, CODE + offset);
  }

  run(): number {
    return this.cpu.run(1_000_000);
  }
}

function both(name: string, hex: string, body: (machine: Machine) => void): void {
  for (const hot of [0, 1]) test(`${name} (hot ${hot})`, () => body(new Machine(hex, hot)));
}

// cmp rax, rcx; bt edx, 15; rol dx, 8; mov rsi, [rdi]; add rsi, 1; int3; pushfq; pop rax
both(
  "flags that a rotate keeps are there for who leaves before all are set",
  "4839c8 0fbae20f 66c1c208 488b37 4883c601 cc 9c58",
  (m) => {
    for (let round = 0; round < 12; round++) {
      if (round === 6) m.cpu.translateHot();
      const isEqual = round % 2 === 0;
      const carry = BigInt(round >> 1 & 1);
      m.set(RAX, 5n);
      m.set(RCX, isEqual ? 5n : 4n);
      m.set(RDX, carry << 8n);
      m.set(RDI, BigInt(round % 3 === 2 ? DATA : DATA + 4096));
      m.jump(0);
      assert.equal(m.run(), round % 3 === 2 ? TRAP_BREAKPOINT : TRAP_FAULT);
      if (round % 3 === 2) continue;
      m.jump(19);
      assert.equal(m.run(), TRAP_BREAKPOINT);
      // CF of the rotate; PF, AF, ZF and SF of the comparison.
      assert.equal(m.get(RAX) & 0xd5n, carry | (isEqual ? 0x44n : 0n), `round ${round}`);
    }
  },
);

// add [rbx+8], r9d; imul r11d, esi; stc; mov ecx, esi; mov esi, r9d
both("a value made early does not reach its register early", "44014b08 440fafde f9 89f1 4489ce", (m) => {
  m.set(RSI, 0x1111_1111_0000_0003n);
  m.set(R9, 0x2222_2222_0000_0005n);
  m.set(R11, 7n);
  assert.equal(m.run(), TRAP_BREAKPOINT);
  assert.deepEqual([RCX, RSI, R11].map((n) => m.get(n)), [3n, 5n, 21n]);
});

// clc; mov ecx, 4; xor eax, eax; l: mov rdx, [rbx+rax*8]; adc rdx, [rbx+rax*8+32]; mov [rbx+rax*8], rdx;
// lea rax, [rax+1]; dec ecx; jnz l; sbb rsi, rsi
both(
  "a carry runs through a loop",
  "f8 b904000000 31c0 488b14c3 481354c320 488914c3 488d4001 ffc9 75eb 4819f6",
  (m) => {
    for (let n = 0; n < 4; n++) m.ram.view.setBigUint64(m.data + 8 * n, 0xffff_ffff_ffff_ffffn, true);
    m.ram.view.setBigUint64(m.data + 32, 1n, true);
    assert.equal(m.run(), TRAP_BREAKPOINT);
    for (let n = 0; n < 4; n++) assert.equal(m.ram.view.getBigUint64(m.data + 8 * n, true), 0n);
    // XOR cleared the carry before the loop; the last ADC set it.
    assert.equal(m.get(RSI), 0xffff_ffff_ffff_ffffn);
  },
);

// ucomisd xmm0, [rbx]; seta al; setae cl; setb dl; jp +2; inc r9d... by value pairs
both("float conditions, NaN included", "f20f1003 660f2e4308 0f97c0 0f93c1 0f92c2 400f94c6 400f9ac7", (m) => {
  const cases: readonly (readonly [number, number, readonly number[]])[] = [
    [1, 2, [0, 0, 1, 0, 0]],
    [2, 1, [1, 1, 0, 0, 0]],
    [2, 2, [0, 1, 0, 1, 0]],
    [Number.NaN, 1, [0, 0, 1, 1, 1]],
    [0, -0, [0, 1, 0, 1, 0]],
  ];
  for (const [a, b, wanted] of cases) {
    m.ram.view.setFloat64(m.data, a, true);
    m.ram.view.setFloat64(m.data + 8, b, true);
    x86.setPc(m.ram, CODE);
    assert.equal(m.run(), TRAP_BREAKPOINT);
    assert.deepEqual([RAX, RCX, RDX, RSI, RDI].map((n) => Number(m.get(n) & 0xffn)), wanted, `${a} ${b}`);
  }
});

// mov rdi, rbx; mov ecx, 600 (qwords: past the page); mov eax, 0x55; rep stosq
both("REP STOS stops at the fault with exact registers", "4889df b958020000 b855000000 f348ab", (m) => {
  assert.equal(m.run(), TRAP_FAULT);
  assert.equal(m.cpu.trapAddress, DATA + 4096);
  assert.deepEqual([m.get(RDI), m.get(RCX)], [BigInt(DATA + 4096), 88n]);
  assert.equal(x86.getPc(m.ram), CODE + 13);
  assert.equal(m.ram.u8[m.data + 4088], 0x55);
});

// mov ecx, 3; L: mov rax, [rip → DATA]; add rax, [rip → DATA + 8]; mov [rip → DATA], rax; dec ecx; jnz L;
// mov rdx, [rip → DATA + 0x1010]
both(
  "accesses to static data share checks by pages, and fault where they are",
  "b903000000 488b05f4ff1f00 480305f5ff1f00 488905e6ff1f00 ffc9 75e7 488b15eb0f2000",
  (m) => {
    m.ram.writeU64(m.data, 1);
    m.ram.writeU64(m.data + 8, 10);
    for (let n = 1; n <= 3; n++) {
      m.jump(0);
      assert.equal(m.run(), TRAP_FAULT);
      assert.equal(m.ram.readU64(m.data), 1 + 30 * n);
      assert.equal(m.cpu.trapAddress, DATA + 0x1010);
      assert.equal(m.ram.readU64(CPU_BASE + CPU_STATE.pc), CODE + 30);
    }
  },
);

// lea rsi, [rbx]; lea rdi, [rbx+1]; mov ecx, 10; rep movsb: the first byte spreads
both("REP MOVS with overlap copies byte by byte", "488d33 488d7b01 b90a000000 f3a4", (m) => {
  m.ram.u8[m.data] = 0x7a;
  assert.equal(m.run(), TRAP_BREAKPOINT);
  assert.deepEqual([...m.ram.u8.subarray(m.data, m.data + 12)], [...Array<number>(11).fill(0x7a), 0]);
});

// xor eax, eax; mov esi, 7; mov r9d, 50; do { mov ecx, 6; call f } while (--r9d); int3; and f, aligned:
// do { eax += esi; if (ecx != 3 && (cl & 1)) eax += 1; else eax += 2 } while (--ecx); ret
// where the one comes by an indirect jump, and the other by that or, for 3, by a branch.
both(
  "a function that begins with a loop which indirect jumps enter in the middle",
  "31c0be0700000041b932000000b906000000e80900000041ffc975f1cc0f1f0001f083f903741c488d15100000004c8d050e000000f6c101490f44d0ffe283c001eb0383c002ffc975d6c3",
  (m) => {
    assert.equal(m.run(), TRAP_BREAKPOINT);
    assert.equal(m.get(RAX), 50n * (6n * 7n + 2n * 1n + 4n * 2n));
  },
);

// stmxcsr [rbx]; then 1/3 with PE tracked; stmxcsr [rbx+4]
both(
  "after STMXCSR the flags are kept",
  "0fae1b b801000000 f20f2ac0 b803000000 f20f2ac8 f20f5ec1 0fae5b04 f20f59c0 660fefc9 f20f5ec1 0fae5b08",
  (m) => {
    assert.equal(m.run(), TRAP_BREAKPOINT);
    const words = [0, 4, 8].map((at) => m.ram.view.getUint32(m.data + at, true));
    assert.deepEqual(words, [0x1f80, 0x1fa0, 0x1fa4]);
  },
);

both("faults are at the instruction", "b807000000 31d2 31c9 f7f1", (m) => {
  assert.equal(m.run(), TRAP_DIVIDE);
  assert.deepEqual([x86.getPc(m.ram), m.get(RAX)], [CODE + 9, 7n]);
});

both("a jump to an address that is not canonical", "48b80000000000800000 ffe0", (m) => {
  assert.equal(m.run(), TRAP_PROTECTION);
  assert.equal(x86.getPc(m.ram), CODE + 10);
});

// call rax
both(
  "a call to an address that is not canonical leaves the stack alone",
  "48b80000000000800000 ffd0",
  (m) => {
    assert.equal(m.run(), TRAP_PROTECTION);
    assert.deepEqual([x86.getPc(m.ram), m.get(RSP)], [CODE + 10, BigInt(STACK)]);
    assert.deepEqual([...m.ram.u8.subarray(m.stack + 4088, m.stack + 4096)], Array<number>(8).fill(0));
  },
);

// jmp rax
both("a fetch from the kernel's half faults at its very address", "48b84600ac7549fdffff ffe0", (m) => {
  assert.equal(m.run(), TRAP_FAULT);
  assert.equal(m.ram.view.getBigUint64(CPU_BASE + CPU_STATE.trapAddress, true), 0xffff_fd49_75ac_0046n);
});

// call rax, with no page below the stack
both("the fault of a call's push comes before that of its target", "48b80000000000800000 ffd0", (m) => {
  m.set(RSP, BigInt(STACK - 4096));
  assert.equal(m.run(), TRAP_FAULT);
  assert.equal(m.cpu.trapAddress, STACK - 4096 - 8);
});

// ldmxcsr [rbx]; then four times movsd xmm0, [rbx+16+16n]; mulsd xmm0, [rbx+24+16n]; movsd [rbx+96+8n], xmm0
both(
  "denormals are zeros, and flushed to them, in tracked mode",
  `0fae13 ${
    [0, 1, 2, 3].map((n) => ["1043", 16 + 16 * n, "5943", 24 + 16 * n, "1143", 96 + 8 * n]).map((code) =>
      code.map((part) => (typeof part === "string" ? `f20f${part}` : part.toString(16).padStart(2, "0")))
        .join("")
    ).join("")
  }`,
  (m) => {
    const control = 0x9fe0; // DAZ and FTZ, and the precision flag
    m.ram.view.setUint32(m.data, control, true);
    // A denormal, a product that is one, one that is rounded to the least normal number, and one that is plain.
    const factors = [[2 ** -1050, 2 ** 100], [2 ** -1022, -0.5], [1 - 2 ** -53, 2 ** -1022], [2, 3]] as const;
    factors.flat().forEach((factor, n) => m.ram.view.setFloat64(m.data + 16 + 8 * n, factor, true));
    assert.equal(m.run(), TRAP_BREAKPOINT);
    const products = [0, 1, 2, 3].map((n) => m.ram.view.getFloat64(m.data + 96 + 8 * n, true));
    assert.deepEqual(products, [0, -0, 0, 6]);
    assert.equal(m.ram.u32[(CPU_BASE + CPU_STATE.mxcsr) >>> 2], control | 0x10);
  },
);

// ldmxcsr [rbx]; movsd xmm0, [rbx+8]; mov ecx, 9; L: divsd xmm0, [rbx+16+8*rcx]; dec ecx; jnz L
both(
  "divisions are tracked until one traps",
  "0fae13 f20f104308 b909000000 f20f5e44cb10 ffc9 75f6",
  (m) => {
    const control = 0x1d20; // a division by zero traps; the precision flag is set
    m.ram.view.setUint32(m.data, control, true);
    m.ram.view.setFloat64(m.data + 8, 10, true);
    for (let n = 4; n <= 9; n++) m.ram.view.setFloat64(m.data + 16 + 8 * n, 3, true); // below is 0
    assert.equal(m.run(), TRAP_FPU);
    assert.deepEqual([x86.getPc(m.ram), m.get(RCX)], [CODE + 13, 3n]);
    assert.equal(m.ram.u32[(CPU_BASE + CPU_STATE.mxcsr) >>> 2], control | 0x04);
  },
);

// ldmxcsr [rbx]; movups xmm0, [rbx+16]; movups xmm1, [rbx+32]; dpps xmm0, xmm1, 0x31
both(
  "DPPS keeps the underflow of a product when the sum is refused",
  "0fae13 0f104310 0f104b20 660f3a40c131",
  (m) => {
    m.ram.view.setUint32(m.data, 0x1e80, true); // all masked but denormal operands
    const factor = 1 + 2 ** -23;
    for (const [at, lanes] of [[16, [factor * 2 ** -100, 1]], [32, [factor * 2 ** -40, 1]]] as const) {
      lanes.forEach((value, n) => m.ram.view.setFloat32(m.data + at + 4 * n, value, true));
    }
    assert.equal(m.run(), TRAP_FPU);
    assert.equal(x86.getPc(m.ram), CODE + 11);
    assert.equal(m.ram.u32[(CPU_BASE + CPU_STATE.mxcsr) >>> 2], 0x1e80 | 0x32);
  },
);

// mov ecx, 1; repe cmpsb, and with words
for (const [name, code] of [["bytes", "f3a6"], ["words", "f366a7"]] as const) {
  both(
    `REPE CMPS of ${name} faults at its target when neither operand is there`,
    `b901000000 ${code}`,
    (m) => {
      m.set(RSI, 0x70_0010n);
      m.set(RDI, 0x70_0200n);
      assert.equal(m.run(), TRAP_FAULT);
      assert.equal(m.cpu.trapAddress, 0x70_0200);
      assert.deepEqual([m.get(RSI), m.get(RDI), m.get(RCX)], [0x70_0010n, 0x70_0200n, 1n]);
    },
  );
}

// mov ecx, 1; repe cmpsd
both("REPE CMPSD reads a target across pages before a source in kernel space", "b901000000 f3a7", (m) => {
  m.set(RSI, 0xffff_ffff_c9b1_199cn);
  m.set(RDI, BigInt(DATA + 4095));
  assert.equal(m.run(), TRAP_FAULT);
  assert.equal(m.cpu.trapAddress, DATA + 4096);
});

// mov ecx, 1; rep movsd
both("REP MOVSD from across pages to kernel space faults at the exact address", "b901000000 f3a5", (m) => {
  m.set(RSI, BigInt(STACK - 4));
  m.set(RDI, 0xffff_ffff_c9b1_1fffn);
  assert.equal(m.run(), TRAP_FAULT);
  const at = m.ram.view.getBigUint64(CPU_BASE + CPU_STATE.trapAddress, true);
  assert.equal(at, 0xffff_ffff_c9b1_1fffn);
});

// fxrstor64 [rbx]; fxsave64 [rbx+512]: an exception is pending, and the pointers are no addresses
both("FXRSTOR keeps 48 bits of the x87 pointers", "480fae0b 480fae8300020000", (m) => {
  const { view } = m.ram;
  view.setUint32(m.data, 0x8081_037e, true); // invalid operation, unmasked and pending
  view.setBigUint64(m.data + 8, 0x00ff_a577_67e1_8172n, true);
  view.setBigUint64(m.data + 16, 0xff06_5774_99df_9e00n, true);
  view.setUint32(m.data + 24, 0x1f80, true);
  assert.equal(m.run(), TRAP_BREAKPOINT);
  const pointers = [8, 16].map((at) => view.getBigUint64(m.data + 512 + at, true));
  assert.deepEqual(pointers, [0xffff_a577_67e1_8172n, 0x0000_5774_99df_9e00n]);
});
