// SPDX-License-Identifier: Apache-2.0
// The nodes that procfs and sysfs are made of: directories from tables, files from functions, links.
//
// A text file is generated when it is read from its start and kept for the reads that go on from there, so that
// a reader sees one consistent text. Text is a byte string (lib/byte-string.ts). Source: proc(5).

import {
  type AttributeChange,
  type DirEntry,
  File,
  Inode,
  type Path,
  type SuperBlock,
} from "../include/linux/fs.ts";
import type { Kernel, Task } from "../include/linux/sched.ts";
import type { IovIter } from "../include/linux/uio.ts";
import { isSleeping, type Sleeps } from "../include/linux/wait.ts";
import { direntType, S_IFDIR, S_IFLNK, S_IFREG } from "../include/uapi/stat.ts";
import { EINVAL, EIO, ENOENT, EPERM } from "../lib/errno.ts";
import { bytesToString, stringToBytes } from "../lib/byte-string.ts";
import { DirectoryFile } from "./libfs.ts";

export interface PseudoSuperBlock extends SuperBlock {
  readonly kernel: Kernel;
  nextIno(): number;
}

/** Whose process a node belongs to, when it belongs to one. */
export type OwnerOf = () => { uid: number; gid: number };

export abstract class PseudoInode extends Inode {
  readonly superBlock: PseudoSuperBlock;
  readonly ino: number;
  readonly #owner: OwnerOf | undefined;

  constructor(superBlock: PseudoSuperBlock, mode: number, owner?: OwnerOf) {
    super();
    this.superBlock = superBlock;
    this.ino = superBlock.nextIno();
    this.mode = mode;
    this.#owner = owner;
    this.atime = this.mtime = this.ctime = superBlock.kernel.time.realtime();
    this.refresh();
  }

  get kernel(): Kernel {
    return this.superBlock.kernel;
  }
  override refresh(): void {
    if (this.#owner !== undefined) ({ uid: this.uid, gid: this.gid } = this.#owner());
  }
  override setAttributes(change: AttributeChange): void {
    if (change.mode !== undefined || change.uid !== undefined || change.gid !== undefined) throw EPERM;
  }
}

/** Makes a node when it is first looked up. */
export type NodeMaker = () => Inode;

/** A directory whose names are those of a table that all its kind share; `T` is what the makers work for. */
export class SharedTableDirectory<T> extends PseudoInode {
  readonly #makers: ReadonlyMap<string, (subject: T) => Inode>;
  readonly #subject: T;
  readonly #made = new Map<string, Inode>();

  constructor(
    superBlock: PseudoSuperBlock,
    makers: ReadonlyMap<string, (subject: T) => Inode>,
    subject: T,
    owner?: OwnerOf,
    mode = 0o555,
  ) {
    super(superBlock, S_IFDIR | mode, owner);
    this.#makers = makers;
    this.#subject = subject;
    this.nlink = 2;
  }
  override get isCacheable(): boolean {
    return false; // The table is as quick as the dentry cache, and owners change.
  }
  override lookup(name: string): Inode | undefined {
    const known = this.#made.get(name);
    if (known !== undefined) return known;
    const node = this.#makers.get(name)?.(this.#subject);
    if (node !== undefined) this.#made.set(name, node);
    return node;
  }
  override iterate(position: number, emit: (entry: DirEntry, next: number) => boolean): void {
    listNames(this, this.#makers.keys(), position, emit);
  }
  override open(_task: Task, path: Path, flags: number): File {
    return new DirectoryFile(path, flags);
  }
}

function listNames(
  directory: Inode,
  names: Iterable<string>,
  position: number,
  emit: (entry: DirEntry, next: number) => boolean,
): void {
  let index = 0;
  for (const name of names) {
    if (index++ < position) continue;
    const node = directory.lookup(name);
    if (node === undefined || isSleeping(node)) continue;
    if (!emit({ name, ino: node.ino, type: direntType(node.mode) }, index)) return;
  }
}

/** A directory with a fixed table of names. */
export class TableDirectory extends SharedTableDirectory<undefined> {
  constructor(
    superBlock: PseudoSuperBlock,
    entries: Readonly<Record<string, NodeMaker>>,
    owner?: OwnerOf,
    mode?: number,
  ) {
    super(superBlock, new Map(Object.entries(entries)), undefined, owner, mode);
  }
}

/** A directory whose names are found and listed by functions; a node is kept as long as `lookup` gives its key. */
export abstract class DynamicDirectory extends PseudoInode {
  constructor(superBlock: PseudoSuperBlock, owner?: OwnerOf, mode = 0o555) {
    super(superBlock, S_IFDIR | mode, owner);
    this.nlink = 2;
  }
  override get isCacheable(): boolean {
    return false;
  }
  abstract override lookup(name: string): Inode | undefined;
  /** Entries with their positions (rising, from 0), from `position` on. */
  protected abstract entries(position: number): Iterable<{ name: string; at: number }>;
  override iterate(position: number, emit: (entry: DirEntry, next: number) => boolean): void {
    for (const { name, at } of this.entries(position)) {
      const node = this.lookup(name);
      if (node === undefined) continue;
      if (!emit({ name, ino: node.ino, type: direntType(node.mode) }, at + 1)) return;
    }
  }
  override open(_task: Task, path: Path, flags: number): File {
    return new DirectoryFile(path, flags);
  }
}

type Text = string | Uint8Array;
/** `reader` is the task that reads. */
export type Show = (reader: Task) => Text | Sleeps<Text>;
export type Store = (writer: Task, text: string) => void | Sleeps<void>;

export interface TextOptions {
  readonly mode?: number;
  readonly store?: Store;
  readonly owner?: OwnerOf;
  /** Checked at open. Throws EACCES, EPERM. */
  readonly check?: (opener: Task) => void;
}

export class TextInode extends PseudoInode {
  readonly show: Show;
  readonly store: Store | undefined;
  readonly #check: ((opener: Task) => void) | undefined;

  constructor(superBlock: PseudoSuperBlock, show: Show, options: TextOptions = {}) {
    super(
      superBlock,
      S_IFREG | (options.mode ?? (options.store === undefined ? 0o444 : 0o644)),
      options.owner,
    );
    this.show = show;
    this.store = options.store;
    this.#check = options.check;
  }
  override setAttributes(change: AttributeChange): void {
    const { size, ...rest } = change; // O_TRUNC of a writable setting is allowed and does nothing.
    if (size !== undefined && this.store === undefined) throw EPERM;
    super.setAttributes(rest);
  }
  override open(task: Task, path: Path, flags: number): File {
    this.#check?.(task);
    return new TextFile(path, flags, this);
  }
}

class TextFile extends File {
  readonly #node: TextInode;
  #content: Uint8Array | undefined;

  constructor(path: Path, flags: number, node: TextInode) {
    super(path, flags);
    this.#node = node;
  }
  override get inode(): Inode {
    return this.#node;
  }
  override get isSeekable(): boolean {
    return true;
  }
  override read(iter: IovIter, position: number | undefined): number | Sleeps<number> {
    const at = position ?? this.pos;
    if (this.#content !== undefined && at !== 0) return this.#copy(iter, position, this.#content);
    const text = this.#node.show(currentTask(this.#node.kernel));
    if (isSleeping(text)) return this.#readLater(iter, position, text);
    return this.#copy(iter, position, this.#keep(text));
  }
  *#readLater(iter: IovIter, position: number | undefined, text: Sleeps<Text>): Sleeps<number> {
    return this.#copy(iter, position, this.#keep(yield* text));
  }
  #keep(text: Text): Uint8Array {
    return (this.#content = typeof text === "string" ? stringToBytes(text) : text);
  }
  #copy(iter: IovIter, position: number | undefined, content: Uint8Array): number {
    const at = position ?? this.pos;
    const count = Math.max(0, Math.min(iter.remaining, content.length - at));
    if (count > 0) iter.copyOut(content, at, count);
    if (position === undefined) this.pos = at + count;
    return count;
  }
  override write(iter: IovIter): number | Sleeps<number> {
    const { store } = this.#node;
    if (store === undefined) throw EIO;
    const length = iter.remaining;
    const bytes = new Uint8Array(length);
    iter.copyIn(bytes, 0, length);
    const answer = store(currentTask(this.#node.kernel), bytesToString(bytes));
    this.#content = undefined;
    if (isSleeping(answer)) return finishWrite(answer, length);
    return length;
  }
  override seek(offset: number, whence: number): number {
    const target = whence === 0 ? offset : whence === 1 ? this.pos + offset : Number.NaN;
    if (!(target >= 0)) throw EINVAL;
    this.pos = target;
    return target;
  }
  override fsync(): void {}
}

function* finishWrite(answer: Sleeps<void>, length: number): Sleeps<number> {
  yield* answer;
  return length;
}

/** A symbolic link with a text. */
export class LinkInode extends PseudoInode {
  readonly #target: () => string;
  constructor(superBlock: PseudoSuperBlock, target: () => string, owner?: OwnerOf) {
    super(superBlock, S_IFLNK | 0o777, owner);
    this.#target = target;
  }
  override get isCacheable(): boolean {
    return false;
  }
  override readlink(): string {
    return this.#target();
  }
}

/** A magic link: leads to a place in the tree, whatever its text says. */
export class MagicLinkInode extends PseudoInode {
  readonly #text: (reader: Task) => string;
  readonly #follow: (task: Task) => Path;
  constructor(
    superBlock: PseudoSuperBlock,
    text: (reader: Task) => string,
    follow: (task: Task) => Path,
    owner?: OwnerOf,
    mode = 0o777,
  ) {
    super(superBlock, S_IFLNK | mode, owner);
    this.#text = text;
    this.#follow = follow;
  }
  override readlink(): string {
    return this.#text(currentTask(this.kernel));
  }
  override followLink(task: Task): Path {
    return this.#follow(task);
  }
}

/** The task that the kernel works for. */
export function currentTask(kernel: Kernel): Task {
  const task = kernel.tasks.current;
  if (task === undefined) throw ENOENT;
  return task;
}
