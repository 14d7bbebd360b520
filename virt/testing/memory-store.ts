// SPDX-License-Identifier: Apache-2.0
// A store of translations for tests, in memory.

import type {
  KeptPage,
  StoredModule,
  TranslationStore,
  UsedModule,
} from "../../include/host/translations.ts";

type KeptModule = StoredModule & Pick<UsedModule, "memoryPages">;

/** A store that keeps everything as it was given. `open` begins another run, which has read no module. */
export class MemoryStore implements TranslationStore {
  readonly pages: Map<string, Uint8Array> = new Map();
  modules: KeptModule[] = [];
  noteWork?: (instructions: number) => void;
  readonly #read = new Set<StoredModule>();

  open(): this {
    this.#read.clear();
    return this;
  }

  hash(page: Uint8Array): string {
    return page.join(); // no hash is stronger
  }

  modulesFor(pageHash: string, memoryPages: number, reads: boolean): readonly StoredModule[] {
    const usable = this.modules.filter((module) => module.memoryPages === memoryPages);
    const found = usable.filter(({ regions }) =>
      regions.some(({ pages }) => pages.some(([distance, hash]) => distance === 0 && hash === pageHash))
    );
    if (reads) { for (const module of found) this.#read.add(module); }
    return found.filter((module) => this.#read.has(module));
  }

  bytecodeLength(pageHash: string): number {
    return this.pages.get(pageHash)?.length ?? 0;
  }

  readBytecode(pageHash: string, into: Uint8Array): boolean {
    into.set(this.pages.get(pageHash) ?? []);
    return this.pages.has(pageHash);
  }

  saveBytecode(pages: readonly KeptPage[]): void {
    for (const { hash, bytes } of pages) this.pages.set(hash, bytes);
  }

  runtime(): undefined {}
  saveRuntime(): void {}

  save(modules: readonly { readonly used: UsedModule; readonly from: StoredModule | undefined }[]): void {
    for (const { used, from } of modules) {
      const compile = from === undefined ? (): WebAssembly.Module => used.module : () => from.compile();
      this.modules = this.modules.filter((module) => module !== from);
      if (used.regions.length > 0) this.modules.push({ ...used, compile });
    }
  }
}
