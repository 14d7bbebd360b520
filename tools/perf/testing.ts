// SPDX-License-Identifier: Apache-2.0
// A small ELF file made by hand: one segment, symbols, a frame table. For tests.

export const BASE = 0x1000;

export interface TestSymbol {
  readonly name: string;
  readonly start: number;
  readonly bytes: number;
  readonly binding?: number;
}

export interface TestFrame {
  readonly start: number;
  readonly bytes: number;
  /** Call frame instructions. */
  readonly program: readonly number[];
  readonly isSignal?: boolean;
}

class Bytes {
  readonly all: number[] = [];

  u8(...values: readonly number[]): this {
    for (const value of values) this.all.push(value & 255);
    return this;
  }

  u16(value: number): this {
    return this.u8(value, value >> 8);
  }

  u32(value: number): this {
    return this.u16(value & 0xffff).u16(value >>> 16);
  }

  u64(value: number): this {
    return this.u32(value >>> 0).u32(Math.floor(value / 2 ** 32));
  }

  text(text: string): this {
    return this.u8(...[...text].map((letter) => letter.charCodeAt(0)), 0);
  }

  pad(length: number): this {
    while (this.all.length < length) this.u8(0);
    return this;
  }
}

/** .eh_frame at virtual address `address`; CFA = rsp + 8 and the return address beneath it, unless a program differs. */
function makeFrameTable(frames: readonly TestFrame[], address: number): Uint8Array {
  const bytes = new Bytes();
  for (const { start, bytes: length, program, isSignal } of frames) {
    const commonAt = bytes.all.length;
    const common = new Bytes().u32(0).u8(1).text(isSignal === true ? "zRS" : "zR").u8(1, 0x78, 16, 1, 0x1b);
    common.u8(0x0c, 7, 8, 0x90, 1);
    bytes.u32(common.all.length).u8(...common.all);
    const idAt = bytes.all.length + 4;
    const entry = new Bytes().u32(idAt - commonAt).u32(start - (address + idAt + 4)).u32(length).u8(
      0,
      ...program,
    );
    bytes.u32(entry.all.length).u8(...entry.all);
  }
  return Uint8Array.from(bytes.u32(0).all);
}

/** The whole file; it is mapped from offset 0 at BASE. */
export function makeElf(symbols: readonly TestSymbol[], frames: readonly TestFrame[]): Uint8Array {
  const names = new Bytes().u8(0);
  const table = new Bytes().pad(24);
  for (const { name, start, bytes, binding = 1 } of symbols) {
    table.u32(names.all.length).u8((binding << 4) | 2, 0).u16(1).u64(start).u64(bytes);
    names.text(name);
  }
  const sectionNames = new Bytes().text("").text(".symtab").text(".strtab").text(".eh_frame").text(".plt");
  const nameAt = (name: string): number => String.fromCharCode(...sectionNames.all).indexOf(`${name}\0`);
  const file = new Bytes();
  const tableAt = 0x200;
  const namesAt = tableAt + table.all.length;
  const framesAt = namesAt + names.all.length;
  const frameTable = makeFrameTable(frames, BASE + framesAt);
  const sectionNamesAt = framesAt + frameTable.length;
  const sectionsAt = sectionNamesAt + sectionNames.all.length;
  file.u8(0x7f, 0x45, 0x4c, 0x46, 2, 1, 1).pad(16).u16(3).u16(62).u32(1).u64(BASE).u64(64).u64(sectionsAt)
    .u32(0);
  file.u16(64).u16(56).u16(1).u16(64).u16(6).u16(5);
  file.u32(1).u32(5).u64(0).u64(BASE).u64(BASE).u64(0x10000).u64(0x10000).u64(0x1000);
  file.pad(tableAt).u8(...table.all, ...names.all, ...frameTable, ...sectionNames.all);
  const section = (
    name: string,
    type: number,
    address: number,
    at: number,
    length: number,
    link = 0,
  ): void => {
    file.u32(nameAt(name)).u32(type).u64(0).u64(address).u64(at).u64(length).u32(link).u32(0).u64(1).u64(0);
  };
  file.pad(file.all.length + 64);
  section(".symtab", 2, 0, tableAt, table.all.length, 2);
  section(".strtab", 3, 0, namesAt, names.all.length);
  section(".eh_frame", 1, BASE + framesAt, framesAt, frameTable.length);
  section(".plt", 1, BASE + 0xf000, 0xf000, 0x100);
  section("", 3, 0, sectionNamesAt, sectionNames.all.length);
  return Uint8Array.from(file.all);
}
