// SPDX-License-Identifier: Apache-2.0
// Writes a WebAssembly module: types, imports, functions, exports, code.
//
// Imported functions come first in the index space, so all imports are declared before the first function.

import type { Assembler } from "./assembler.ts";
import { ByteWriter } from "./bytes.ts";
import { FUNCREF } from "./opcodes.ts";

const SECTION_TYPE = 1;
const SECTION_IMPORT = 2;
const SECTION_FUNCTION = 3;
const SECTION_EXPORT = 7;
const SECTION_CODE = 10;
const SECTION_CUSTOM = 0;
const NAMES_FUNCTIONS = 1;

export class WasmModule {
  readonly #types: string[] = [];
  readonly #typeBytes = new ByteWriter();
  readonly #imports = new ByteWriter();
  #importCount = 0;
  #importedFunctions = 0;
  readonly #functions: { typeIndex: number; code: Assembler | undefined }[] = [];
  readonly #names: [index: number, name: string][] = [];
  readonly #exports = new ByteWriter();
  #exportCount = 0;

  typeIndex(params: readonly number[], results: readonly number[]): number {
    const key = `${params.join()}>${results.join()}`;
    const known = this.#types.indexOf(key);
    if (known >= 0) return known;
    this.#typeBytes.byte(0x60);
    this.#typeBytes.u32(params.length);
    for (const type of params) this.#typeBytes.byte(type);
    this.#typeBytes.u32(results.length);
    for (const type of results) this.#typeBytes.byte(type);
    return this.#types.push(key) - 1;
  }

  /** Imports from module "m". `minimumPages` and `maximumPages` bound what the host passes in. */
  importMemory(name: string, minimumPages: number, maximumPages: number): void {
    this.#import(name, 2);
    this.#imports.byte(1);
    this.#imports.u32(minimumPages);
    this.#imports.u32(maximumPages);
  }

  importTable(name: string): void {
    this.#import(name, 1);
    this.#imports.byte(FUNCREF);
    this.#imports.byte(0);
    this.#imports.u32(0);
  }

  importFunction(name: string, params: readonly number[], results: readonly number[]): number {
    if (this.#functions.length > 0) throw new Error("imports come first");
    const type = this.typeIndex(params, results);
    this.#import(name, 0);
    this.#imports.u32(type);
    return this.#importedFunctions++;
  }

  /** Reserves an index, for functions that call each other; define() gives the body. */
  declare(params: readonly number[], results: readonly number[]): number {
    this.#functions.push({ typeIndex: this.typeIndex(params, results), code: undefined });
    return this.#importedFunctions + this.#functions.length - 1;
  }

  define(index: number, code: Assembler): void {
    const entry = this.#functions[index - this.#importedFunctions];
    if (entry === undefined || entry.typeIndex !== this.typeIndex(code.params, code.results)) {
      throw new Error("body does not fit the declaration");
    }
    entry.code = code;
  }

  add(code: Assembler): number {
    const index = this.declare(code.params, code.results);
    this.define(index, code);
    return index;
  }

  /** What the engine's profilers call a function. */
  nameFunction(index: number, name: string): void {
    this.#names.push([index, name]);
  }

  exportFunction(name: string, index: number): void {
    this.#exports.name(name);
    this.#exports.byte(0);
    this.#exports.u32(index);
    this.#exportCount++;
  }

  finish(): Uint8Array<ArrayBuffer> {
    const out = new ByteWriter();
    for (const byte of [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0]) out.byte(byte);
    section(out, SECTION_TYPE, this.#types.length, this.#typeBytes);
    section(out, SECTION_IMPORT, this.#importCount, this.#imports);
    const indexes = new ByteWriter();
    const code = new ByteWriter();
    for (const entry of this.#functions) {
      if (entry.code === undefined) throw new Error("a function was declared and not defined");
      indexes.u32(entry.typeIndex);
      entry.code.finish(code);
    }
    section(out, SECTION_FUNCTION, this.#functions.length, indexes);
    section(out, SECTION_EXPORT, this.#exportCount, this.#exports);
    this.#hintSection(out);
    section(out, SECTION_CODE, this.#functions.length, code);
    if (this.#names.length > 0) this.#nameSection(out);
    return out.take();
  }

  #nameSection(out: ByteWriter): void {
    const functions = new ByteWriter();
    functions.u32(this.#names.length);
    for (const [index, name] of this.#names) {
      functions.u32(index);
      functions.name(name);
    }
    const content = new ByteWriter();
    content.byte(NAMES_FUNCTIONS);
    content.u32(functions.length);
    content.append(functions);
    custom(out, "name", content);
  }

  /** WebAssembly's branch hinting proposal; engines without it pass over the section. */
  #hintSection(out: ByteWriter): void {
    const content = new ByteWriter();
    let count = 0;
    for (const entry of this.#functions) if (entry.code?.hasHints === true) count++;
    if (count === 0) return;
    content.u32(count);
    this.#functions.forEach(({ code }, n) => {
      if (code?.hasHints !== true) return;
      content.u32(this.#importedFunctions + n);
      code.finishHints(content);
    });
    custom(out, "metadata.code.branch_hint", content);
  }

  #import(name: string, kind: number): void {
    this.#imports.name("m");
    this.#imports.name(name);
    this.#imports.byte(kind);
    this.#importCount++;
  }
}

function section(out: ByteWriter, id: number, count: number, content: ByteWriter): void {
  if (count === 0) return;
  const head = new ByteWriter();
  head.u32(count);
  out.byte(id);
  out.u32(head.length + content.length);
  out.append(head);
  out.append(content);
}

function custom(out: ByteWriter, name: string, content: ByteWriter): void {
  const head = new ByteWriter();
  head.name(name);
  out.byte(SECTION_CUSTOM);
  out.u32(head.length + content.length);
  out.append(head);
  out.append(content);
}
