// SPDX-License-Identifier: Apache-2.0
// A file of the origin private file system as a disk: it stays in the browser when the page is gone. In a Worker only,
// where such files can be read and written at once. One machine at a time has a disk open.
// Source: File System Standard, WHATWG, "FileSystemSyncAccessHandle".

import type { HostDisk } from "../../../include/host/host.ts";

export interface OpfsDiskOptions {
  /** Fills a disk that is not there yet, or not whole: an image to be downloaded once. */
  readonly source?: string | URL | Blob;
  /** Size of a new disk without a source. */
  readonly sizeBytes?: number;
  readonly readOnly?: boolean;
}

export interface OpfsDisk extends HostDisk, Disposable {}

/** Says that the copy of a source came to its end. */
const COMPLETE_SUFFIX = ".complete";

function writeAt(file: FileSystemSyncAccessHandle, bytes: Uint8Array<ArrayBuffer>, at: number): void {
  if (file.write(bytes, { at }) !== bytes.length) throw new Error("the browser's quota is used up");
}

class SyncAccessDisk implements OpfsDisk {
  readonly sizeBytes: number;
  readonly isReadOnly: boolean;
  readonly #file: FileSystemSyncAccessHandle;

  constructor(file: FileSystemSyncAccessHandle, isReadOnly: boolean) {
    this.#file = file;
    this.isReadOnly = isReadOnly;
    this.sizeBytes = file.getSize();
  }

  read(offset: number, into: Uint8Array<ArrayBuffer>): undefined {
    const count = this.#file.read(into, { at: offset });
    into.fill(0, count);
  }

  write(offset: number, from: Uint8Array<ArrayBuffer>): undefined {
    writeAt(this.#file, from, offset);
  }

  flush(): undefined {
    this.#file.flush();
  }

  [Symbol.dispose](): void {
    this.#file.close();
  }
}

async function bodyOf(source: string | URL | Blob): Promise<ReadableStream<Uint8Array<ArrayBuffer>>> {
  if (source instanceof Blob) return source.stream();
  const response = await fetch(source);
  if (!response.ok || response.body === null) {
    throw new Error(`${String(source)}: HTTP status ${response.status}`);
  }
  return response.body;
}

async function fill(file: FileSystemSyncAccessHandle, source: string | URL | Blob): Promise<void> {
  file.truncate(0);
  let at = 0;
  const reader = (await bodyOf(source)).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    writeAt(file, value, at);
    at += value.length;
  }
  file.flush();
}

async function exists(directory: FileSystemDirectoryHandle, name: string): Promise<boolean> {
  try {
    await directory.getFileHandle(name);
    return true;
  } catch {
    return false;
  }
}

/** Opens the disk `name` of this origin, made when it is not there. */
export async function opfsDisk(name: string, options: OpfsDiskOptions = {}): Promise<OpfsDisk> {
  const directory = await navigator.storage.getDirectory();
  const handle = await directory.getFileHandle(name, { create: true });
  const file = await handle.createSyncAccessHandle();
  try {
    if (options.source !== undefined) {
      if (!(await exists(directory, name + COMPLETE_SUFFIX))) {
        await fill(file, options.source);
        await directory.getFileHandle(name + COMPLETE_SUFFIX, { create: true });
      }
    } else if (options.sizeBytes !== undefined && file.getSize() === 0) {
      file.truncate(options.sizeBytes);
    }
    return new SyncAccessDisk(file, options.readOnly ?? false);
  } catch (error) {
    file.close();
    throw error;
  }
}
