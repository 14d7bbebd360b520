// SPDX-License-Identifier: Apache-2.0
// All that the kernel knows of the world: time, chance, a console, disks, links. Implemented in virt/host/*.

export interface Host {
  readonly clock: HostClock;
  readonly entropy: HostEntropy;
  /** Sleeps the whole kernel until a host event (see `onEvent`) or the deadline (ns of clock.monotonic), if given. */
  idle(deadlineNs: number | undefined): Promise<void>;
  /** Ends a running `idle`: the kernel itself became runnable from outside (a new process). */
  wake?(): void;
  /** Lets the host's event loop turn once (terminal input, timers of the page). Called every few milliseconds. */
  breathe(): Promise<void>;
  /** Virtual time only: `retired` guest instructions have run since the last call. */
  advance?(retired: number): void;
}

export interface HostClock {
  /** Nanoseconds since an arbitrary start, never backwards. Safe integer. */
  monotonicNs(): number;
  /** Wall-clock time of monotonicNs() === 0, in ns since the Epoch as a bigint. */
  readonly wallAtZeroNs: bigint;
}

export interface HostEntropy {
  fill(bytes: Uint8Array): void;
}

/** A byte terminal or pipe outside. Input arrives by callback; the kernel keeps its own queue. */
export interface HostConsole {
  readonly isTerminal: boolean;
  readonly columns: number;
  readonly rows: number;
  write(bytes: Uint8Array): void;
  /** Nobody reads the output any more: writers of a pipe get EPIPE. */
  readonly isOutputClosed?: boolean;
  /** `listener(bytes)` on input, `listener(undefined)` at its end. Returns the unsubscribe function. */
  onInput(listener: (bytes: Uint8Array | undefined) => void): () => void;
  /** Back-pressure: no input is wanted for now (what is on its way may still come), or it is again. */
  setInputPaused?(isPaused: boolean): void;
  onResize(listener: (columns: number, rows: number) => void): () => void;
}

/** A disk: fixed-size array of bytes. Calls complete at once (undefined) or later (promise). */
export interface HostDisk {
  readonly sizeBytes: number;
  readonly isReadOnly: boolean;
  read(offset: number, into: Uint8Array): Promise<void> | undefined;
  write(offset: number, from: Uint8Array): Promise<void> | undefined;
  flush(): Promise<void> | undefined;
}

/** A directory of the host, for -v mounts. Paths are relative, "/"-separated, "" is the root. Errors carry `code`. */
export interface HostDirectory {
  readonly isReadOnly: boolean;
  stat(path: string): HostStat;
  list(path: string): { name: string; kind: HostStat["kind"] }[];
  read(path: string, offset: number, into: Uint8Array): number;
  write(path: string, offset: number, from: Uint8Array): number;
  truncate(path: string, size: number): void;
  create(path: string, mode: number): void;
  mkdir(path: string, mode: number): void;
  symlink(path: string, target: string): void;
  link(path: string, existing: string): void;
  readlink(path: string): string;
  unlink(path: string): void;
  rmdir(path: string): void;
  rename(from: string, to: string): void;
  chmod(path: string, mode: number): void;
  utimes(path: string, atimeNs: bigint, mtimeNs: bigint): void;
  sync(path: string): void;
}

export interface HostStat {
  readonly kind: "file" | "directory" | "symlink" | "other";
  /** Of its file system: numbers of inodes tell files apart within one. 0 when there is one alone. */
  readonly dev?: number;
  readonly ino: number;
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly atimeNs: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
}
