// SPDX-License-Identifier: Apache-2.0
// Machine: the library's one noun. A kernel that runs, processes started from outside, their output.
//
// The kernel's loop runs in the background from boot to disposal; everything here only adds work to it and waits for
// promises. Strings that cross the border are UTF-8 outside and bytes (latin-1 strings) inside.

import { attachConsole, openConsole } from "../drivers/tty/console.ts";
import { HostInput, HostStreamFile } from "../drivers/tty/host_stream.ts";
import { FilesStructImpl, type VfsImpl } from "../fs/fs.ts";
import type { Host, HostConsole, HostDirectory, HostDisk } from "../include/host/host.ts";
import type { TranslationStore } from "../include/host/translations.ts";
import type { Cpu } from "../include/linux/cpu.ts";
import type { File, Path } from "../include/linux/fs.ts";
import type { Sleeps } from "../include/linux/wait.ts";
import { O_RDONLY, O_RDWR, O_WRONLY } from "../include/uapi/fcntl.ts";
import type { LinuxKernel } from "../kernel/kernel.ts";
import { startStrace } from "../kernel/strace.ts";
import type { TaskStruct } from "../kernel/task.ts";
import type { Errno } from "../lib/errno.ts";
import { utf8ToByteString } from "../lib/byte-string.ts";
import { DEFAULT_PATH, execSearching, lookUpAccount, UnknownUser } from "./exec-user.ts";
import { BufferConsole } from "./buffer-console.ts";
import { type ChildOptions, type ChildProcess, spawnChild } from "./child-process.ts";
import { exportTree } from "./export.ts";
import { type BuiltKernel, createKernel } from "./main.ts";
import { find, makeDirectory, mountRoot } from "./rootfs.ts";
import { mountHostDirectory } from "./volumes.ts";

export interface MachineMount {
  /** Absolute path in the guest; made if it is not there. */
  readonly target: string;
  readonly directory: HostDirectory;
  readonly mode: "rw" | "ro" | "overlay";
}

export interface MachineOptions {
  readonly host: Host;
  /** The root image (EROFS); changes go to memory. */
  readonly root: HostDisk;
  /** Guest memory, bytes. */
  readonly memoryBytes?: number;
  readonly hostname?: string | undefined;
  readonly mounts?: readonly MachineMount[];
  /** System calls as text, one line a call, through `write`; only those in `names` when given. */
  readonly strace?:
    | { readonly names: readonly string[] | undefined; readonly write: (line: string) => void }
    | undefined;
  /** A defect of the kernel was met; the process that met it is killed. */
  readonly onOops?: (error: unknown) => void;
  readonly compile?: ((bytes: Uint8Array<ArrayBuffer>) => WebAssembly.Module) | undefined;
  /** Where translated code is kept between runs. Not together with virtual time: what is there decides when code is
   *  translated, and with it where the scheduler may preempt. */
  readonly translations?: TranslationStore | undefined;
  /** Puts something of its own around the CPU: a profiler. */
  readonly watchCpu?: ((cpu: Cpu) => Cpu) | undefined;
}

export type Stdio =
  | { readonly terminal: HostConsole }
  | { readonly stdin?: HostConsole; readonly stdout?: HostConsole; readonly stderr?: HostConsole };

export interface SpawnOptions {
  /** Added to PATH, HOME, USER, LOGNAME, SHELL and HOSTNAME of the user. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string | undefined;
  /** "USER[:GROUP]", names or numbers. */
  readonly user?: string | undefined;
  readonly stdio?: Stdio;
}

export interface ExitStatus {
  /** 0 to 255; 128 + signal when a signal ended it. */
  readonly exitCode: number;
  readonly signal: number | undefined;
}

/** A process started from outside. */
export interface Process {
  readonly pid: number;
  /** Rejects when the program could not be started at all for want of a user; never for an exit status. */
  readonly exited: Promise<ExitStatus>;
  /** kill(2) on its process group's leader. */
  kill(signal: number): void;
}

export interface ExecOptions extends Omit<SpawnOptions, "stdio"> {
  readonly input?: string | Uint8Array;
  /** SIGKILL after so long. */
  readonly timeoutMs?: number;
}

export interface ExecResult extends ExitStatus {
  readonly ok: boolean;
  readonly stdout: string;
  readonly stderr: string;
  readonly bytes: { readonly stdout: Uint8Array; readonly stderr: Uint8Array };
}

const DEFAULT_MEMORY_BYTES = 2 ** 30;
const SIGKILL = 9;
const EXIT_SIGNAL_BASE = 128;

export class Machine implements AsyncDisposable {
  readonly kernel: LinuxKernel;
  readonly #vfs: VfsImpl;
  readonly #setRoot: BuiltKernel["setRoot"];
  readonly #saveTranslations: (isEnd: boolean) => void;
  readonly #hostname: string;
  readonly #loop: Promise<void>;
  /** Upper layer of the root. */
  #upper: Path | undefined;
  #isStopped = false;
  /** Rejects when the kernel itself breaks; pending as long as all is well. */
  readonly failed: Promise<never>;

  /** Builds a kernel and mounts its root. Throws Errno or the reason when the image cannot be mounted. */
  static async boot(options: MachineOptions): Promise<Machine> {
    const machine = new Machine(options);
    try {
      await Promise.race([machine.#prepare(options), machine.failed]);
    } catch (error) {
      await machine[Symbol.asyncDispose]();
      throw error;
    }
    return machine;
  }

  private constructor(options: MachineOptions) {
    this.#hostname = options.hostname ?? "rookery";
    const { kernel, vfs, setRoot, saveTranslations } = createKernel({
      host: options.host,
      memoryBytes: options.memoryBytes ?? DEFAULT_MEMORY_BYTES,
      hostname: this.#hostname,
      ...(options.compile === undefined ? {} : { compile: options.compile }),
      ...(options.watchCpu === undefined ? {} : { watchCpu: options.watchCpu }),
      ...(options.translations === undefined ? {} : { translations: options.translations }),
    });
    this.#saveTranslations = saveTranslations;
    this.kernel = kernel;
    this.#vfs = vfs;
    this.#setRoot = setRoot;
    kernel.onOops = options.onOops;
    if (options.translations !== undefined) kernel.sched.onQuiet = () => saveTranslations(false);
    this.#loop = kernel.run(() => this.#isStopped);
    this.failed = new Promise((_, reject) => {
      this.#loop.catch(reject);
    });
    this.failed.catch(() => {});
  }

  async #prepare(options: MachineOptions): Promise<void> {
    const { kernel } = this;
    const vfs = this.#vfs;
    const setRoot = this.#setRoot;
    this.#upper = await this.#inKernel(function*(task) {
      const upper = yield* mountRoot(task, kernel, vfs, { disk: options.root });
      setRoot(task.fs);
      for (const mount of options.mounts ?? []) yield* mountHostDirectory(task, kernel, vfs, mount);
      return upper;
    });
    if (options.strace !== undefined) startStrace(kernel, options.strace);
  }

  /** Runs `body` as a kernel thread that stands in the root. */
  #inKernel<T>(body: (task: TaskStruct) => Sleeps<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.kernel.spawnKernelThread("kworker", function*(task) {
        try {
          resolve(yield* body(task));
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)));
        }
      });
    });
  }

  /** Starts a program. Names without a slash are sought along PATH. With a command and its arguments apart its
   *  standard streams are Web Streams; with an `argv` they are what `stdio` says. */
  spawn(command: string, args?: readonly string[], options?: ChildOptions): ChildProcess;
  spawn(argv: readonly string[], options?: SpawnOptions): Process;
  spawn(
    command: string | readonly string[],
    second: readonly string[] | SpawnOptions = [],
    third: ChildOptions = {},
  ): Process {
    if (typeof command !== "string") return this.#start(command, isArguments(second) ? {} : second);
    return spawnChild(this, [command, ...(isArguments(second) ? second : [])], third);
  }

  #start(argv: readonly string[], options: SpawnOptions): Process {
    const { kernel } = this;
    const vfs = this.#vfs;
    const hostname = this.#hostname;
    let finish: (status: ExitStatus) => void = () => {};
    let fail: (error: Error) => void = () => {};
    const exited = new Promise<ExitStatus>((resolve, reject) => {
      finish = resolve;
      fail = reject;
    });
    exited.catch(() => {});
    const stdio = options.stdio ?? {};
    if ("terminal" in stdio) attachConsole(kernel, stdio.terminal);
    const task = kernel.spawn({
      comm: (argv[0] ?? "").split("/").at(-1)!.slice(0, 15),
      fs: { ...kernel.rootFs() },
      files: new FilesStructImpl(),
      cred: kernel.rootCred,
      onExit: (status) => finish(exitStatusOf(status)),
      onLoadError: (error) => this.#reportLoadError(stdio, argv[0] ?? "", error),
      *load(self) {
        yield* openStdio(kernel, self, stdio);
        let account;
        try {
          account = yield* lookUpAccount(self, utf8ToByteString(options.user ?? "root"));
        } catch (error) {
          if (error instanceof UnknownUser) fail(error);
          throw error;
        }
        const env = {
          PATH: DEFAULT_PATH,
          HOME: account.home,
          USER: account.name,
          LOGNAME: account.name,
          SHELL: account.shell,
          HOSTNAME: hostname,
          ...encodeRecord(options.env ?? {}),
        };
        const cwd = yield* find(self, vfs, utf8ToByteString(options.cwd ?? "/"));
        self.fs = { ...self.fs, cwd };
        self.cred = account.cred;
        yield* execSearching(self, argv.map(utf8ToByteString), env);
      },
    });
    return { pid: task.pid, exited, kill: (signal) => kernel.kill(task, signal) };
  }

  #reportLoadError(stdio: Stdio, name: string, error: Errno): void {
    const console = "terminal" in stdio ? stdio.terminal : stdio.stderr;
    console?.write(new TextEncoder().encode(`rookery: ${name}: ${explain(error)}\n`));
  }

  /** Runs a command to its end. A string is for /bin/sh -c. Never throws on an exit status. */
  async exec(command: string | readonly string[], options: ExecOptions = {}): Promise<ExecResult> {
    const argv = typeof command === "string" ? ["/bin/sh", "-c", command] : command;
    const stdin = new BufferConsole(options.input);
    const stdout = new BufferConsole();
    const stderr = new BufferConsole();
    const child = this.spawn(argv, { ...options, stdio: { stdin, stdout, stderr } });
    const timer = options.timeoutMs === undefined
      ? undefined
      : this.kernel.time.addTimer(
        this.kernel.time.monotonicNs() + options.timeoutMs * 1e6,
        () => child.kill(SIGKILL),
      );
    const status = await Promise.race([child.exited, this.failed]);
    timer?.cancel();
    const bytes = { stdout: stdout.written(), stderr: stderr.written() };
    return {
      ...status,
      ok: status.exitCode === 0,
      stdout: new TextDecoder().decode(bytes.stdout),
      stderr: new TextDecoder().decode(bytes.stderr),
      bytes,
    };
  }

  /** Makes a directory in the guest, with its parents. */
  async makeDirectory(path: string): Promise<void> {
    const vfs = this.#vfs;
    await this.#inKernel((task) => makeDirectory(task, vfs, utf8ToByteString(path)));
  }

  /** What changed against the root image: the upper layer of the overlay as a tar archive, in pieces. A removed name is
   *  a character device 0:0; trusted.overlay.opaque marks a directory that hides the one below. */
  async changes(): Promise<Uint8Array[]> {
    const vfs = this.#vfs;
    const pieces: Uint8Array[] = [];
    const upper = this.#upper;
    if (upper !== undefined) {
      await this.#inKernel((task) =>
        exportTree(task, vfs, upper, (bytes) => void pieces.push(bytes.slice()))
      );
    }
    return pieces;
  }

  /** Counters of the machine and the kernel, by name. */
  statistics(): Record<string, number> {
    return { retired: this.kernel.cpu.retired, ...this.kernel.cpu.statistics() };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isStopped = true;
    this.kernel.sched.requestStop();
    await this.#loop.catch(() => {});
    this.#saveTranslations(true);
  }
}

function isArguments(value: readonly string[] | SpawnOptions): value is readonly string[] {
  return Array.isArray(value);
}

function* openStdio(kernel: LinuxKernel, task: TaskStruct, stdio: Stdio): Sleeps<void> {
  if ("terminal" in stdio) {
    // By name, so that ttyname(3) finds it; a root without /dev still gets a terminal.
    let file: File;
    try {
      file = yield* kernel.vfs.open(task, "/dev/tty1", O_RDWR, 0);
    } catch {
      file = openConsole(task, undefined, O_RDWR);
    }
    task.files.install(task, file, false);
    task.files.install(task, file.get(), false);
    task.files.install(task, file.get(), false);
    return;
  }
  const silent = new BufferConsole();
  const stdin = stdio.stdin ?? silent;
  task.files.install(task, new HostStreamFile(kernel, stdin, O_RDONLY, new HostInput(stdin)), false);
  task.files.install(task, new HostStreamFile(kernel, stdio.stdout ?? silent, O_WRONLY), false);
  task.files.install(task, new HostStreamFile(kernel, stdio.stderr ?? silent, O_WRONLY), false);
}

/** What wait(2) reports, taken apart. */
function exitStatusOf(status: number): ExitStatus {
  const signal = status & 0x7f;
  return signal === 0
    ? { exitCode: (status >> 8) & 0xff, signal: undefined }
    : { exitCode: EXIT_SIGNAL_BASE + signal, signal };
}

function encodeRecord(record: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(record).map(([k, v]) => [utf8ToByteString(k), utf8ToByteString(v)]),
  );
}

const EXPLANATIONS: Partial<Record<string, string>> = {
  ENOENT: "no such program",
  EACCES: "permission denied",
  ENOEXEC: "not an executable that this machine can run",
  ELIBBAD: "its program interpreter is damaged",
  EISDIR: "is a directory",
};

function explain(error: Errno): string {
  return EXPLANATIONS[error.code] ?? error.code;
}
