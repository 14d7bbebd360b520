// SPDX-License-Identifier: Apache-2.0
// Where a host keeps translated code from one run to the next.
//
// A region of translated code is found by what it was made from: the content of the pages that its guest code lies in,
// named by a strong hash. Nothing depends on files, addresses or processes, so the same library is translated once
// wherever it is mapped. A store may forget anything at any time.

/** A region of guest code as it is kept; offsets are in bytes from its anchor, a guest address. */
export interface StoredRegion {
  /** Of its function among the exports of its module. */
  readonly name: string;
  /** Of the anchor within its page. */
  readonly anchorOffset: number;
  /** Floating point mode. */
  readonly mode: number;
  /** Pages of its code: distance in pages from that of the anchor, and hash. */
  readonly pages: readonly (readonly [distance: number, hash: string])[];
  readonly offsets: readonly number[];
  /** By number of the entry. */
  readonly entries: readonly number[];
  /** Indirect jumps, and where each was seen to go in the region. */
  readonly switches: readonly (readonly [offset: number, targets: readonly number[]])[];
  readonly exits: readonly number[];
  /** Instructions where checks of memory that others share failed often. */
  readonly apart: readonly number[];
  readonly links: number;
  /** Links of which it is foreseen that they lead to the first entry of a region in the same module: number, and its name. */
  readonly calls: readonly (readonly [link: number, name: string])[];
  /** Blocks with indirect calls, and the links that know where these went. */
  readonly sites: readonly (readonly [offset: number, link: number])[];
  /** Blocks with indirect calls, and where these went when the region was made: the region of a run that has not seen them has that from here. */
  readonly callees: readonly (readonly [offset: number, target: number])[];
  readonly instructions: number;
  readonly generation: number;
  readonly hasGroups: boolean;
  /** Whether it has tables (virt/translate/tables.ts); never any more, where checks of them failed. */
  readonly tables: "some" | "none" | "never";
}

/** A module out of the store. */
export interface StoredModule {
  readonly regions: readonly StoredRegion[];
  /** Whether its regions were put together after they had proved useful. */
  readonly isSettled: boolean;
  /** Undefined when it cannot be used after all. */
  compile(): WebAssembly.Module | undefined;
}

export type StoredRuntime = Pick<StoredModule, "compile">;

export interface UsedRuntime {
  /** Undefined when it came from the store. */
  readonly bytes: Uint8Array<ArrayBuffer> | undefined;
  readonly module: WebAssembly.Module;
  /** Its exports, for a host that can have them optimised. */
  readonly functions: readonly unknown[];
}

export interface UsedModule {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly module: WebAssembly.Module;
  /** Functions of its regions, for a host that can have them optimised. */
  readonly functions: readonly unknown[];
  /** A function that does nothing. */
  readonly trifle: unknown;
  /** Pages of 64 KiB of the memory that alone it can be used with; 0: any that grows. */
  readonly memoryPages: number;
  /** Whether it is to stay as it is: a host that can have functions optimised does it now. */
  readonly isSettled: boolean;
  /** What is worth keeping: none when everything in it was replaced. Then it is to go, if an earlier save() left it. */
  readonly regions: readonly StoredRegion[];
}

/** Bytecode of the blocks of a page of guest code (virt/interp/kept.ts). */
export interface KeptPage {
  readonly hash: string;
  readonly bytes: Uint8Array;
}

/** Never throws: what cannot be read is not there, what cannot be written is left out. */
export interface TranslationStore {
  /** A strong hash of a page of guest code. */
  hash(page: Uint8Array): string;
  /** Modules for such a memory with regions whose anchor lies in a page of this hash. `reads`: those too that were not read so far, which may be large. */
  modulesFor(pageHash: string, memoryPages: number, reads: boolean): readonly StoredModule[];
  /** How many bytes there are of bytecode for the page with this hash; 0 when there is none. */
  bytecodeLength(pageHash: string): number;
  /** Reads so many bytes; false, with anything in `into`, when they cannot be had after all. */
  readBytecode(pageHash: string, into: Uint8Array): boolean;
  saveBytecode(pages: readonly KeptPage[]): void;
  /** The module of the interpreter and of all that regions call, as an earlier run has left it; the same for all runs of a build. */
  runtime(): StoredRuntime | undefined;
  /** Keeps it. `from`: when it came from the store itself. */
  saveRuntime(used: UsedRuntime, from: StoredRuntime | undefined): void;
  /** A module that is to be kept as it is, optimised at once; undefined where the host has no way to do that. Throws what a module throws. */
  compileSettled?(bytes: Uint8Array<ArrayBuffer>): WebAssembly.Module | undefined;
  /** Called before so many guest instructions are translated for later runs, which takes some 80 us of a processor each: a host may tell who waits. */
  noteWork?(instructions: number): void;
  /** Keeps modules, perhaps again with fewer regions. `from`: where a module came from, when it is the store itself. */
  save(modules: readonly { readonly used: UsedModule; readonly from: StoredModule | undefined }[]): void;
}
