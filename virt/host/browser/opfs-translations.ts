// SPDX-License-Identifier: Apache-2.0
// Translated code kept in the origin private file system, so that a page that comes back begins where it has stopped
// (include/host/translations.ts). In a Worker only, where such files can be read and written at once.
//
// Everything is in one file (record-file.ts), under a key of Rookery's build. A page cannot have the engine's machine code; WebAssembly,
// bytecode and what is known of regions it can. Records are named by SHA-256 of the page or of the module, and
// a module's note in the index has the pages that its regions are anchored in, each with the size of the memory that it is for.

import { sha256 } from "@noble/hashes/sha2.js";

import type {
  KeptPage,
  StoredModule,
  StoredRegion,
  StoredRuntime,
  TranslationStore,
  UsedModule,
  UsedRuntime,
} from "../../../include/host/translations.ts";
import { type NewRecord, RecordFile, type SyncFile } from "./record-file.ts";

/** Put in by scripts/bundle.ts: names the code that decides what translations mean. */
declare const ROOKERY_BUILD: string;

/** Bytes of a hash that names a page or a module. */
const NAME_BYTES = 16;
const RUNTIME_NAME = "runtime";
/** Before the header of a module: its length. */
const LENGTH_BYTES = 4;
const DEFAULT_FILE = "rookery-translations";

export interface OpfsTranslations extends TranslationStore, Disposable {}

interface Header {
  readonly isSettled: boolean;
  readonly regions: readonly StoredRegion[];
}

interface SavedModule {
  readonly used: UsedModule;
  readonly from: StoredModule | undefined;
}

class KeptModule implements StoredModule {
  readonly id: string;
  readonly regions: readonly StoredRegion[];
  readonly isSettled: boolean;
  readonly bytes: Uint8Array<ArrayBuffer>;

  constructor(id: string, { regions, isSettled }: Header, bytes: Uint8Array<ArrayBuffer>) {
    this.id = id;
    this.regions = regions;
    this.isSettled = isSettled;
    this.bytes = bytes;
  }

  compile(): WebAssembly.Module | undefined {
    return compiled(this.bytes);
  }
}

/** The store in any such file. */
export class TranslationFile implements TranslationStore {
  readonly #records: RecordFile;
  readonly #modules = new Map<string, KeptModule | undefined>();
  /** Anchor to modules. */
  readonly #anchored = new Map<string, string[]>();

  /** Throws what the file throws. */
  constructor(file: SyncFile, build: string) {
    this.#records = new RecordFile(file, build);
    for (const [id, anchors] of this.#records.notes()) this.#noteAnchors(id, anchors);
  }

  hash(page: Uint8Array): string {
    return nameOf(page);
  }

  bytecodeLength(pageHash: string): number {
    return this.#records.length(pageHash) ?? 0;
  }

  readBytecode(pageHash: string, into: Uint8Array): boolean {
    return this.#records.read(pageHash, into);
  }

  saveBytecode(pages: readonly KeptPage[]): void {
    this.#commit(() =>
      this.#records.commit(pages.map(({ hash, bytes }) => ({ name: hash, parts: [bytes] })))
    );
  }

  modulesFor(pageHash: string, memoryPages: number, reads: boolean): readonly StoredModule[] {
    return (this.#anchored.get(anchorIn(pageHash, memoryPages)) ?? []).flatMap((id) => {
      if (reads && !this.#modules.has(id)) this.#modules.set(id, this.#readModule(id));
      return this.#modules.get(id) ?? [];
    });
  }

  runtime(): StoredRuntime | undefined {
    const bytes = this.#readRecord(RUNTIME_NAME);
    return bytes === undefined ? undefined : { compile: () => compiled(bytes) };
  }

  saveRuntime({ bytes }: UsedRuntime): void {
    if (bytes === undefined || this.#records.length(RUNTIME_NAME) !== undefined) return;
    this.#commit(() => this.#records.commit([{ name: RUNTIME_NAME, parts: [bytes] }]));
  }

  /** A module of the store is written again only when some of its regions have been replaced, and goes with the last of them. */
  save(modules: readonly SavedModule[]): void {
    const changed = modules.filter(({ used, from }) => used.regions.length !== from?.regions.length);
    const gone = changed.filter(({ used }) => used.regions.length === 0).map(idOf);
    const kept = changed.filter(({ used }) => used.regions.length > 0).map(recordOf);
    this.#commit(() => this.#records.commit(kept, gone));
  }

  #commit(write: () => void): void {
    try {
      write();
    } catch {
      // The quota is used up, or the file is gone: the next run translates again.
    }
  }

  #noteAnchors(id: string, anchors: readonly string[]): void {
    for (const anchor of anchors) {
      const ids = this.#anchored.get(anchor);
      if (ids === undefined) this.#anchored.set(anchor, [id]);
      else ids.push(id);
    }
  }

  #readRecord(name: string): Uint8Array<ArrayBuffer> | undefined {
    const length = this.#records.length(name);
    if (length === undefined) return undefined;
    const bytes = new Uint8Array(length);
    return this.#records.read(name, bytes) ? bytes : undefined;
  }

  #readModule(id: string): KeptModule | undefined {
    const bytes = this.#readRecord(id);
    if (bytes === undefined) return undefined;
    const end = LENGTH_BYTES + new DataView(bytes.buffer).getUint32(0, true);
    const header = JSON.parse(new TextDecoder().decode(bytes.subarray(LENGTH_BYTES, end))) as Header; // as written
    return new KeptModule(id, header, bytes.subarray(end));
  }
}

function anchorIn(pageHash: string, memoryPages: number): string {
  return `${pageHash} ${memoryPages}`;
}

function idOf({ used, from }: SavedModule): string {
  return from instanceof KeptModule ? from.id : nameOf(used.bytes);
}

function recordOf(module: SavedModule): NewRecord {
  const { used, from } = module;
  const { regions, isSettled, memoryPages } = used;
  const header = new TextEncoder().encode(JSON.stringify({ isSettled, regions } satisfies Header));
  const length = new Uint8Array(LENGTH_BYTES);
  new DataView(length.buffer).setUint32(0, header.length, true);
  const anchors = regions.flatMap(({ pages }) => pages.filter(([distance]) => distance === 0));
  return {
    name: idOf(module),
    parts: [length, header, from instanceof KeptModule ? from.bytes : used.bytes],
    note: [...new Set(anchors.map(([, hash]) => anchorIn(hash, memoryPages)))],
  };
}

function compiled(bytes: Uint8Array<ArrayBuffer>): WebAssembly.Module | undefined {
  try {
    return new WebAssembly.Module(bytes);
  } catch {
    return undefined;
  }
}

function nameOf(bytes: Uint8Array): string {
  let name = "";
  for (const byte of sha256(bytes).subarray(0, NAME_BYTES)) name += byte.toString(16).padStart(2, "0");
  return name;
}

/** Closes the file with the store. */
class OpenTranslations extends TranslationFile implements OpfsTranslations {
  readonly #handle: FileSystemSyncAccessHandle;

  constructor(handle: FileSystemSyncAccessHandle, build: string) {
    super(handle, build);
    this.#handle = handle;
  }

  [Symbol.dispose](): void {
    this.#handle.close();
  }
}

/**
 * Opens the translations `file` of this origin, made when there are none. Undefined where there cannot be any: outside a Worker, in a
 * browser without such files, and while another machine has them; a machine does without then.
 */
export async function opfsTranslations(file: string = DEFAULT_FILE): Promise<OpfsTranslations | undefined> {
  if (typeof ROOKERY_BUILD === "undefined") return undefined;
  let handle: FileSystemSyncAccessHandle | undefined;
  try {
    const directory = await navigator.storage.getDirectory();
    handle = await (await directory.getFileHandle(file, { create: true })).createSyncAccessHandle();
    return new OpenTranslations(handle, ROOKERY_BUILD);
  } catch {
    handle?.close();
    return undefined;
  }
}
