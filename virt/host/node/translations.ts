// SPDX-License-Identifier: Apache-2.0
// Translated code kept in a directory from run to run (include/host/translations.ts).
//
// One file a module, and one for the runtime's: magic, lengths, a header in JSON, the WebAssembly bytes, the engine's own machine code, and a digest
// each of what lies between the lengths and the machine code, and of that: 32 bytes, a SHA-256, or of a MiB and more a CRC-32 and zeros. An index
// for each size of memory says which modules have regions anchored in which page. Everything lies in a folder of Rookery's build and the engine's version, since both decide what
// the bytes mean; modules in one within that, of the engine's settings and the processor, since machine code is taken under the same ones alone. A store that makes a folder lets those
// beside it go that were not used for longest. Files are written aside and renamed, the index is appended to; whoever loses a race has to translate again, no more.
//
// Machine code is kept only where the engine can give it (native-code.ts): what it happens to have made at first, and of all that is used
// when a module settles, at the end of the second run that uses it. Most programs that run once never come again.
//
// Bytecode that came with an image is looked at where there is none of one's own, and never written. It is all that comes with one: an image may come from anyone, and wrong
// bytecode does to a machine what it likes, and can make a run hang, where machine code would do anything to the host.

import { hash } from "node:crypto";
import {
  appendFileSync,
  chmodSync,
  closeSync,
  copyFileSync,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { cachedDataVersionTag } from "node:v8";

import type {
  KeptPage,
  StoredModule,
  StoredRegion,
  StoredRuntime,
  TranslationStore,
  UsedModule,
  UsedRuntime,
} from "../../../include/host/translations.ts";
import { underUsualSettings } from "./engine.ts";
import { type NativeCode, nativeCode } from "./native-code.ts";
import { PACK_FILES, PagePack } from "./page-pack.ts";

const MAGIC = 0x324b_5254; // "TRK2"
const HEAD_BYTES = 16;
const DIGEST_BYTES = 32;
const LARGE_BYTES = 2 ** 20;
/** Bytes of a hash that names a page or a module. */
const NAME_BYTES = 16;
const INDEX_FILE = "index"; // and the pages of the memory that the modules in it are for
const MODULE_SUFFIX = ".module";
/** Beside the bundles: the name of a build. Written by scripts/bundle.ts. */
export const IDENTITY_FILE = "identity";
/** In the folder of an engine, and of a build where it came with that. */
export const RUNTIME_FILE = "runtime";
/** Folders that are kept, of which there is one for each build and engine, and in those one for each way that the engine was set. */
const FOLDERS_MAX = 4;
const FOLDER_NAME = /^[0-9a-f]{16}$/;
/** Of uses nearer to each other than that one is noted. */
const USES_APART_MS = 3_600_000;
/** Above this the modules used longest ago go, until three quarters are left. */
const STORE_BYTES_MAX = 256 * 2 ** 20;

interface Header {
  readonly regions: readonly StoredRegion[];
  /** Whether it is optimised and stays as it is. */
  readonly isSettled: boolean;
}

/** Directories that came from elsewhere. */
export interface Shipped {
  /** With the build: the runtime's module is taken from it as long as there is no other. */
  readonly runtime?: string | undefined;
  /** With an image: bytecode. */
  readonly image?: string | undefined;
}

/** `build` names what the bytes mean on Rookery's side. */
export function directoryStore(directory: string, build: string, shipped: Shipped = {}): TranslationStore {
  const key = folderFor(`${build} ${process.versions.v8} ${process.arch}`);
  const under = (path: string | undefined): string | undefined =>
    path === undefined ? undefined : join(path, key);
  return new DirectoryStore(join(directory, key), nativeCode(), {
    runtime: under(shipped.runtime),
    image: under(shipped.image),
  });
}

function folderFor(key: string): string {
  return hash("sha256", key).slice(0, NAME_BYTES);
}

/** Puts what may come with an image, of what lies in `directory`, into the new directory `to`, for everyone to read. */
export function ship(directory: string, to: string): void {
  mkdirSync(to);
  for (const key of readdirSync(directory)) {
    mkdirSync(join(to, key));
    for (const file of PACK_FILES.filter((name) => existsSync(join(directory, key, name)))) {
      copyForEveryone(join(directory, key, file), join(to, key, file));
    }
  }
}

/** Puts what comes with the build, of what lies in `directory`, into `to`. */
export function shipRuntime(directory: string, to: string): void {
  for (const key of readdirSync(directory)) {
    for (const engine of readdirSync(join(directory, key)).filter((entry) => FOLDER_NAME.test(entry))) {
      mkdirSync(join(to, key), { recursive: true });
      copyForEveryone(join(directory, key, engine, RUNTIME_FILE), join(to, key, RUNTIME_FILE));
    }
  }
}

function copyForEveryone(from: string, to: string): void {
  copyFileSync(from, to);
  chmodSync(to, 0o644);
}

class DirectoryStore implements TranslationStore {
  readonly #pages: PagePack;
  readonly #shippedPages: PagePack | undefined;
  /** For bytecode, and in it for modules. */
  readonly #directory: string;
  readonly #engineDirectory: string;
  readonly #native: NativeCode | undefined;
  readonly #shippedRuntime: string | undefined;
  /** By size of memory: page to modules. */
  readonly #indexes = new Map<number, ReadonlyMap<string, ReadonlySet<string>>>();
  /** Only then can the store have grown. */
  #hasWritten = false;
  readonly #modules = new Map<string, FileModule | undefined>();
  /** All of their functions are optimised. */
  readonly #optimised = new WeakSet<WebAssembly.Module>();

  constructor(directory: string, native: NativeCode | undefined, { runtime, image }: Shipped) {
    this.#shippedRuntime = runtime;
    this.#pages = new PagePack(directory);
    this.#shippedPages = image === undefined ? undefined : new PagePack(image);
    this.#directory = directory;
    const engine = underUsualSettings(() => cachedDataVersionTag());
    this.#engineDirectory = join(directory, folderFor(`${engine}`));
    this.#native = native;
  }

  hash(page: Uint8Array): string {
    return name(page);
  }

  bytecodeLength(pageHash: string): number {
    return this.#pages.length(pageHash) || (this.#shippedPages?.length(pageHash) ?? 0);
  }

  readBytecode(pageHash: string, into: Uint8Array): boolean {
    const pack = this.#pages.length(pageHash) > 0 ? this.#pages : this.#shippedPages;
    return pack?.read(pageHash, into) ?? false;
  }

  saveBytecode(pages: readonly KeptPage[]): void {
    if (pages.length > 0) this.#tryTo(() => makeFolder(this.#directory));
    this.#pages.append(pages); // of none too: the file is not open while others may replace it
  }

  /** A full or read-only disk: the next run translates again. */
  #tryTo(save: () => void): void {
    try {
      save();
    } catch {
      // Nothing depends on it.
    }
  }

  #makeEngineDirectory(): void {
    for (const directory of [this.#directory, this.#engineDirectory]) makeFolder(directory);
  }

  modulesFor(pageHash: string, memoryPages: number, reads: boolean): readonly StoredModule[] {
    const found: StoredModule[] = [];
    for (const id of this.#indexOf(memoryPages).get(pageHash) ?? []) {
      if (reads && !this.#modules.has(id)) this.#modules.set(id, this.#readOwn(id, this.#modulePath(id)));
      const module = this.#modules.get(id);
      if (module !== undefined) found.push(module);
    }
    return found;
  }

  save(modules: readonly { readonly used: UsedModule; readonly from: StoredModule | undefined }[]): void {
    this.#tryTo(() => {
      this.#makeEngineDirectory();
      for (const { used, from } of modules) {
        if (from instanceof FileModule) this.#saveAgain(from, used);
        else this.#saveNew(used);
      }
      if (this.#hasWritten) this.#trim();
    });
  }

  compileSettled(bytes: Uint8Array<ArrayBuffer>): WebAssembly.Module | undefined {
    const module = this.#native?.compileOptimised(bytes);
    if (module !== undefined) this.#optimised.add(module);
    return module;
  }

  runtime(): StoredRuntime | undefined {
    const own = this.#readOwn(RUNTIME_FILE, this.#runtimePath);
    if (own !== undefined || this.#shippedRuntime === undefined) return own;
    return this.#read(RUNTIME_FILE, join(this.#shippedRuntime, RUNTIME_FILE));
  }

  /** As with other modules: the first run leaves the bytes, the second the machine code, unless the engine has taken what there is. */
  saveRuntime({ bytes, module, functions }: UsedRuntime, from: StoredRuntime | undefined): void {
    const kept = from instanceof FileModule ? from : undefined;
    const content = bytes ?? kept?.bytes;
    if (
      content === undefined || (kept?.isSettled === true && kept.isTaken)
      || (kept !== undefined && this.#native === undefined)
    ) {
      return;
    }
    this.#tryTo(() => {
      this.#makeEngineDirectory();
      let native: Uint8Array = new Uint8Array();
      if (kept !== undefined && this.#native !== undefined) {
        this.#native.optimise(functions);
        native = this.#native.take(module, functions[0]);
      }
      this.#write(this.#runtimePath, { regions: [], isSettled: kept !== undefined }, content, native);
    });
  }

  get #runtimePath(): string {
    return join(this.#engineDirectory, RUNTIME_FILE);
  }

  #saveNew(used: UsedModule): void {
    const id = name(used.bytes);
    const { regions, isSettled } = used;
    if (regions.length === 0) {
      rmSync(this.#modulePath(id), { force: true });
      return;
    }
    if (isSettled && !this.#optimised.has(used.module)) this.#native?.optimise(used.functions);
    const native = this.#native?.take(used.module, used.trifle) ?? new Uint8Array();
    this.#write(this.#modulePath(id), { regions, isSettled }, used.bytes, native);
    const pages = new Set(
      used.regions.flatMap(({ pages: all }) => all.filter(([distance]) => distance === 0)),
    );
    const rows = [...pages].map(([, hash]) => Buffer.from(hash + id, "hex"));
    appendFileSync(this.#indexPath(used.memoryPages), Buffer.concat(rows));
  }

  /** A module that was used again is optimised for good; regions that others have replaced go, and with the last of them the module. */
  #saveAgain(from: FileModule, used: UsedModule): void {
    if (used.regions.length === 0) {
      rmSync(this.#modulePath(from.id), { force: true });
      return;
    }
    const native = from.isSettled || used.functions.length === 0 ? undefined : this.#native;
    if (native === undefined && used.regions.length === from.regions.length) return;
    native?.optimise(used.functions);
    const code = native?.take(used.module, used.trifle) ?? from.code;
    const header = { regions: used.regions, isSettled: from.isSettled || native !== undefined };
    this.#write(this.#modulePath(from.id), header, from.bytes, code);
  }

  #write(path: string, header: Header, bytes: Uint8Array, native: Uint8Array): void {
    this.#hasWritten = true;
    const json = Buffer.from(JSON.stringify(header));
    const head = Buffer.alloc(HEAD_BYTES);
    [MAGIC, json.length, bytes.length, native.length].forEach((word, n) => head.writeUInt32LE(word, n * 4));
    const front = Buffer.concat([json, bytes]);
    const digests = [front, native].map(digestOf);
    const aside = `${path}.${process.pid}`;
    const file = openSync(aside, "w", 0o600);
    try { // Part by part: what a compiler's machine code would be copied into for it is 80 MB.
      for (const part of [head, front, native, ...digests]) writeFileSync(file, part);
    } finally {
      closeSync(file);
    }
    renameSync(aside, path);
  }

  #read(id: string, path: string): FileModule | undefined {
    let file = -1;
    try {
      file = openSync(path, "r");
      const [magic, json = 0, bytes = 0, native = 0] = new Uint32Array(readPart(file, HEAD_BYTES).buffer);
      if (magic !== MAGIC || fstatSync(file).size !== HEAD_BYTES + json + bytes + native + 2 * DIGEST_BYTES) {
        return undefined;
      }
      // The engine takes machine code with memory of its own, and a copy of megabytes is felt.
      const front = readPart(file, json + bytes);
      const code = readPart(file, native);
      const digests = Buffer.concat([front, code].map(digestOf));
      if (!digests.equals(readPart(file, 2 * DIGEST_BYTES))) return undefined;
      const header: Header = JSON.parse(new TextDecoder().decode(front.subarray(0, json))) as Header; // as written
      return new FileModule(id, header, front.subarray(json), code, this.#native);
    } catch {
      return undefined; // gone, or not ours
    } finally {
      if (file >= 0) closeSync(file);
    }
  }

  /** What is never written again tells by its time that it is used: whoever makes room goes by that. */
  #readOwn(id: string, path: string): FileModule | undefined {
    const module = this.#read(id, path);
    if (module === undefined) return undefined;
    this.#tryTo(() => {
      const now = Date.now();
      if (now - statSync(path).mtimeMs > USES_APART_MS) utimesSync(path, now / 1000, now / 1000);
    });
    return module;
  }

  #modulePath(id: string): string {
    return join(this.#engineDirectory, id + MODULE_SUFFIX);
  }

  #indexPath(memoryPages: number): string {
    return join(this.#engineDirectory, `${INDEX_FILE}.${memoryPages}`);
  }

  #indexOf(memoryPages: number): ReadonlyMap<string, ReadonlySet<string>> {
    const known = this.#indexes.get(memoryPages);
    if (known !== undefined) return known;
    const index = readIndex(this.#indexPath(memoryPages));
    this.#indexes.set(memoryPages, index);
    return index;
  }

  #trim(): void {
    const files = readdirSync(this.#engineDirectory).filter((file) => file.endsWith(MODULE_SUFFIX)).map(
      (file) => {
        const path = join(this.#engineDirectory, file);
        const { size, mtimeMs } = statSync(path);
        return { path, size, mtimeMs };
      },
    );
    let total = files.reduce((sum, { size }) => sum + size, 0);
    if (total <= STORE_BYTES_MAX) return;
    files.sort((a, b) => a.mtimeMs - b.mtimeMs);
    for (const { path, size } of files) {
      if (total <= STORE_BYTES_MAX * 0.75) break;
      rmSync(path, { force: true });
      total -= size;
    }
  }
}

class FileModule implements StoredModule {
  readonly id: string;
  readonly regions: readonly StoredRegion[];
  readonly isSettled: boolean;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly code: Uint8Array<ArrayBuffer>;
  readonly #native: NativeCode | undefined;
  /** The engine has accepted the machine code. */
  isTaken = false;

  constructor(
    id: string,
    header: Header,
    bytes: Uint8Array<ArrayBuffer>,
    code: Uint8Array<ArrayBuffer>,
    native: NativeCode | undefined,
  ) {
    this.id = id;
    this.regions = header.regions;
    this.isSettled = header.isSettled;
    this.bytes = bytes;
    this.code = code;
    this.#native = native;
  }

  compile(): WebAssembly.Module | undefined {
    const ready = this.code.length === 0 ? undefined : this.#native?.give(this.code, this.bytes);
    this.isTaken = ready !== undefined;
    if (ready !== undefined) return ready;
    try {
      return new WebAssembly.Module(this.bytes);
    } catch {
      return undefined;
    }
  }
}

function makeFolder(folder: string): void {
  const isNew = mkdirSync(folder, { recursive: true, mode: 0o700 }) !== undefined;
  if (isNew) removeOldest(dirname(folder), folder);
}

/** Folders of other builds and engines, but for those used last; `own` is about to be. */
function removeOldest(directory: string, own: string): void {
  const folders = readdirSync(directory).filter((entry) => FOLDER_NAME.test(entry))
    .map((entry) => join(directory, entry)).filter((path) => path !== own)
    .map((path) => ({ path, usedMs: lastUseOf(path) }));
  folders.sort((a, b) => b.usedMs - a.usedMs);
  for (const { path } of folders.slice(FOLDERS_MAX - 1)) rmSync(path, { recursive: true, force: true });
}

/** Nearly every run adds to the bytecode or uses a module; a folder itself changes only with what is new in it. */
function lastUseOf(folder: string): number {
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).map((file) => join(folder, file));
  return Math.max(
    ...[folder, ...files].map((path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0),
  );
}

/** Page to modules. */
function readIndex(path: string): Map<string, Set<string>> {
  const index = new Map<string, Set<string>>();
  try {
    const text = readFileSync(path).toString("hex");
    for (let at = 0; at + NAME_BYTES * 4 <= text.length; at += NAME_BYTES * 4) {
      const page = text.slice(at, at + NAME_BYTES * 2);
      const modules = index.get(page) ?? new Set();
      index.set(page, modules.add(text.slice(at + NAME_BYTES * 2, at + NAME_BYTES * 4)));
    }
  } catch {
    // Nothing was kept so far.
  }
  return index;
}

/** The next bytes of a file; throws when it has fewer. */
function readPart(file: number, length: number): Uint8Array<ArrayBuffer> {
  const part = new Uint8Array(length);
  for (let done = 0; done < length;) {
    const read = readSync(file, part, done, length - done, null);
    if (read === 0) throw new Error("the file ends early");
    done += read;
  }
  return part;
}

/** What tells that a part of a file is whole. Of a compiler's 80 MB a strong hash takes a fiftieth of its run. */
function digestOf(part: Uint8Array): Uint8Array {
  if (part.length < LARGE_BYTES) return hash("sha256", part, "buffer");
  const digest = Buffer.alloc(DIGEST_BYTES);
  digest.writeUInt32LE(process.getBuiltinModule("node:zlib").crc32(part)); // Loaded by those who have large ones.
  return digest;
}

function name(bytes: Uint8Array): string {
  return hash("sha256", bytes).slice(0, NAME_BYTES * 2);
}
