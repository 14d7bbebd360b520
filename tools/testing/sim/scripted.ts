// SPDX-License-Identifier: Apache-2.0
// A kernel whose programs are scripts: generators that yield system calls. No instruction set, no real memory.
//
// The register file is the real one, used so: "sp" names the script that runs, rax the result, the argument registers
// the arguments. clone(2) gets the child's script as its stack pointer, so a fork needs no copy of a generator.
// Signal handlers are scripts, too; the frame is a stack of them.

import {
  type Access,
  type Cpu,
  type GuestArch,
  type SignalFrame,
  TRAP_PREEMPTED,
  TRAP_SYSCALL,
} from "../../../include/linux/cpu.ts";
import { type File, POLLIN } from "../../../include/linux/fs.ts";
import type { Mm, PageAllocator, UserAccess } from "../../../include/linux/mm_types.ts";
import type { FilesStruct, FsStruct } from "../../../include/linux/sched.ts";
import type { Host } from "../../../include/host/host.ts";
import { type Syscall, syscall } from "../../../include/linux/syscalls.ts";
import { type Sleeps, WaitQueue, WOULD_BLOCK } from "../../../include/linux/wait.ts";
import { LinuxKernel } from "../../../kernel/kernel.ts";
import { seededChoice } from "../../../kernel/sched/runqueue.ts";
import { kernelSyscalls } from "../../../kernel/syscalls.ts";
import type { TaskStruct } from "../../../kernel/task.ts";
import { waitUntil } from "../../../kernel/wait.ts";
import { EFAULT } from "../../../lib/errno.ts";
import { Ram } from "../../../lib/ram.ts";
import { credentialsOf } from "../../../security/commoncap.ts";
import { CPU_BASE } from "../../../virt/layout.ts";

/** What a script yields: a call with its arguments, or instructions to spend. */
export type Step = { readonly call: string; readonly args: readonly number[] } | { readonly spend: number };
export type Script = Generator<Step, void, number>;
export type Program = (task: ScriptTask) => Script;

const NUMBER = 0;
const ARGUMENTS = 1;
const STACK = 8;
const RESULT = 9;
const MEMORY_BYTES = 1 << 16;
/** How long the way into the host takes, how long that idles when nothing is to come, and a turn of its event loop. */
const IDLE_ENTRY_NS = 500;
const IDLE_NS = 1e9;
const IDLE_TURN_NS = 1e5;

interface Instance {
  readonly script: Script;
  readonly frames: { readonly script: Script; readonly mask: bigint; readonly result: number }[];
  isStarted: boolean;
}

/** What a script may do. */
export interface ScriptTask {
  /** Makes a system call; the answer is its result (negative: errno). */
  call(name: string, ...args: number[]): Generator<Step, number, number>;
  /** clone(2): the child runs `program`. */
  clone(
    flags: number,
    program: Program,
    tls?: number,
    parentTid?: number,
    childTid?: number,
  ): Generator<Step, number, number>;
  spend(instructions: number): Generator<Step, void, number>;
  /** Installs a handler: a script that runs on `signal`. */
  handle(
    signal: number,
    handler: (signal: number) => Script,
    flags?: number,
  ): Generator<Step, number, number>;
  readonly memory: DataView;
}

/** An address space of 64 KiB that is always there. Page 0 is not mapped. */
class FlatMm {
  users = 1;
  readonly id: number;
  readonly root = 0;
  dumpable = 1;
  readonly peakResidentPages = 0;
  readonly bytes: Uint8Array;
  readonly user: UserAccess;
  constructor(id: number, bytes: Uint8Array) {
    this.id = id;
    this.bytes = bytes;
    this.user = new FlatAccess(bytes) as unknown as UserAccess;
  }
  findVma(): undefined {
    return undefined;
  }
  clone(): FlatMm {
    return new FlatMm(this.id + 1, this.bytes.slice());
  }
  put(): void {
    this.users--;
  }
}

class FlatAccess {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer);
  }
  #holds(address: number, length: number): boolean {
    return address >= 4096 && address + length <= this.#bytes.length;
  }
  tryCopyIn(address: number, into: Uint8Array): boolean {
    if (!this.#holds(address, into.length)) return false;
    into.set(this.#bytes.subarray(address, address + into.length));
    return true;
  }
  tryCopyOut(address: number, from: Uint8Array): boolean {
    if (!this.#holds(address, from.length)) return false;
    this.#bytes.set(from, address);
    return true;
  }
  tryReadU32(address: number): number | undefined {
    return this.#holds(address, 4) ? this.#view.getUint32(address, true) : undefined;
  }
  tryWriteU32(address: number, value: number): boolean {
    if (!this.#holds(address, 4)) return false;
    this.#view.setUint32(address, value, true);
    return true;
  }
  tryPrepare(address: number, length: number, _access: Access): boolean {
    return this.#holds(address, length);
  }
  *prepare(address: number, length: number): Sleeps<void> {
    if (!this.#holds(address, length)) throw EFAULT;
  }
  *copyIn(address: number, length: number): Sleeps<Uint8Array> {
    const bytes = new Uint8Array(length);
    if (!this.tryCopyIn(address, bytes)) throw EFAULT;
    return bytes;
  }
  *copyOut(address: number, bytes: Uint8Array): Sleeps<void> {
    if (!this.tryCopyOut(address, bytes)) throw EFAULT;
  }
  *writeU32(address: number, value: number): Sleeps<void> {
    if (!this.tryWriteU32(address, value)) throw EFAULT;
  }
  translate(): number {
    return 0;
  }
}

class NoFiles {
  users = 1;
  clone(): NoFiles {
    return new NoFiles();
  }
  put(): void {
    this.users--;
  }
  find(): File | undefined {
    return undefined;
  }
}

/** A gate that scripts wait at and open: the simplest thing that sleeps. */
class Gate {
  readonly queue = new WaitQueue();
  tokens = 0;
}

/** A kernel, its scripts, and virtual time. */
export class ScriptedKernel {
  readonly kernel: LinuxKernel;
  readonly #instances: Instance[] = [];
  readonly #handlers: ((signal: number) => Script)[] = [];
  readonly #gates: Gate[] = [];
  #now = 0;
  #retired = 0;
  oops: unknown;

  /** `choose` picks who runs next; without it the kernel's own order holds. */
  constructor(choose?: (count: number) => number) {
    const ram = new Ram(CPU_BASE + 65536, CPU_BASE + 65536);
    const host = {
      clock: { monotonicNs: () => this.#now, wallAtZeroNs: 1_700_000_000_000_000_000n },
      entropy: { fill: (bytes: Uint8Array) => bytes.fill(4) },
      idle: async (deadlineNs: number | undefined) => this.#idle(deadlineNs),
      breathe: async () => {},
      advance: (retired: number) => {
        this.#now += retired;
      },
    } satisfies Host;
    const names = [...kernelSyscalls.map((call) => call.name), "gate_wait", "gate_open"];
    this.kernel = new LinuxKernel({
      host,
      arch: this.#arch(names),
      cpu: this.#cpu(ram),
      ram,
      frames: { totalPages: 16384, freePages: 1000, get() {}, put() {} } as unknown as PageAllocator,
      createVfs: () => ({}) as never,
      syscalls: [...kernelSyscalls, ...this.#gateCalls()],
      createFiles: () => new NoFiles() as unknown as FilesStruct,
      rootFs: () => ({ umask: 0 }) as unknown as FsStruct,
      rootCred: credentialsOf(0, 0),
    });
    this.kernel.sched.queue.choose = choose;
    this.kernel.onOops = (error) => {
      this.oops ??= error;
    };
  }

  get nowNs(): number {
    return this.#now;
  }

  /** Starts a process. `exited` receives its wait status. */
  spawn(program: Program, exited: (status: number) => void = () => {}): TaskStruct {
    const mm = new FlatMm(1, new Uint8Array(MEMORY_BYTES)) as unknown as Mm;
    return this.kernel.spawn({
      comm: "script",
      fs: this.kernel.rootFs(),
      files: new NoFiles() as unknown as FilesStruct,
      cred: credentialsOf(0, 0),
      onExit: exited,
      load: (task) => this.#load(task, mm, program),
    });
  }

  /** Runs until nothing can happen any more, or `turns` are over (false). Throws what broke the kernel. */
  run(turns: number = 100_000): boolean {
    for (let turn = 0; turn < turns; turn++) {
      if (this.oops !== undefined) throw new Error("the kernel broke", { cause: this.oops });
      if (this.kernel.sched.step()) continue;
      const next = this.kernel.time.nextDeadlineNs;
      if (next === Infinity) return true;
      this.#now = Math.max(this.#now, next);
    }
    return false;
  }

  /** As hosts' timers do that count whole milliseconds and are never late: a last part of one passes in turns. */
  #idle(deadlineNs: number | undefined): void {
    this.#now += IDLE_ENTRY_NS;
    const leftNs = deadlineNs === undefined ? IDLE_NS : deadlineNs - this.#now;
    this.#now += leftNs < 1e6 ? IDLE_TURN_NS : Math.floor(leftNs / 1e6) * 1e6;
  }

  *#load(task: TaskStruct, mm: Mm, program: Program): Sleeps<void> {
    task.mm = mm;
    this.kernel.sched.makeLive(task);
    this.#write(STACK, this.#start(program));
  }

  #start(program: Program): number {
    const index = this.#instances.length;
    const instance: Instance = { script: program(this.#scriptTask()), frames: [], isStarted: false };
    this.#instances.push(instance);
    return index + 1;
  }

  #scriptTask(): ScriptTask {
    const start = (program: Program): number => this.#start(program);
    const addHandler = (handler: (signal: number) => Script): number => this.#handlers.push(handler);
    const memory = (): DataView => {
      const mm = this.kernel.sched.current?.mm as unknown as FlatMm | undefined;
      if (mm === undefined) throw new Error("no script runs");
      return new DataView(mm.bytes.buffer);
    };
    function* call(name: string, ...args: number[]): Generator<Step, number, number> {
      return yield { call: name, args };
    }
    return {
      call,
      *clone(flags, program, tls = 0, parentTid = 0, childTid = 0) {
        return yield* call("clone", flags, start(program), parentTid, childTid, tls);
      },
      *spend(instructions) {
        yield { spend: instructions };
      },
      *handle(signal, handler, flags = 0) {
        const address = addHandler(handler) + 100;
        const view = this.memory;
        const at = 0x2000;
        view.setUint32(at, address, true);
        view.setUint32(at + 4, 0, true);
        view.setUint32(at + 8, flags, true);
        for (let offset = 12; offset < 32; offset += 4) view.setUint32(at + offset, 0, true);
        return yield* call("rt_sigaction", signal, at, 0, 8);
      },
      get memory() {
        return memory();
      },
    };
  }

  #read(register: number): number {
    return this.kernel.ram.f64[(CPU_BASE >> 3) + register]!;
  }

  #write(register: number, value: number): void {
    this.kernel.ram.f64[(CPU_BASE >> 3) + register] = value;
  }

  #cpu(ram: Ram): Cpu {
    const retired = (): number => this.#retired;
    return {
      ram,
      get retired() {
        return retired();
      },
      trapAddress: 0,
      trapAddress64: 0n,
      trapAccess: 0,
      setAddressSpace() {},
      endAddressSpace() {},
      run: (budget) => this.#run(budget),
      flushRange() {},
      gatherPagesBy() {},
      flushAll() {},
      invalidateFrame() {},
      step: () => this.#run(1),
      statistics: () => ({}),
    };
  }

  #run(budget: number): number {
    const instance = this.#instances[this.#read(STACK) - 1];
    if (instance === undefined) throw new Error("no script at this stack pointer");
    this.#retired += 100;
    const frame = instance.frames.at(-1);
    const next = (frame?.script ?? instance.script).next(this.#read(RESULT));
    if (next.done === true) {
      this.#setCall(frame === undefined ? "exit_group" : "rt_sigreturn", [0]);
      return TRAP_SYSCALL;
    }
    if ("spend" in next.value) {
      this.#retired += next.value.spend;
      return next.value.spend >= budget ? TRAP_PREEMPTED : this.#run(budget - next.value.spend);
    }
    this.#setCall(next.value.call, next.value.args);
    return TRAP_SYSCALL;
  }

  #setCall(name: string, args: readonly number[]): void {
    this.#write(NUMBER, this.kernel.arch.syscallNames.indexOf(name));
    for (let index = 0; index < 6; index++) this.#write(ARGUMENTS + index, args[index] ?? 0);
  }

  #gateCalls(): Syscall[] {
    const number = {
      kind: "int",
      decode: (_task: unknown, index: number) => this.#read(ARGUMENTS + index),
    } as const;
    const gate = (index: number): Gate => (this.#gates[index] ??= new Gate());
    return [
      syscall("gate_wait", [number], (task, index) => {
        const { queue } = gate(index);
        return waitUntil<number>(task, queue, POLLIN, () => {
          if (gate(index).tokens === 0) return WOULD_BLOCK;
          gate(index).tokens--;
          return 0;
        }, { exclusive: true });
      }),
      syscall("gate_open", [number], (_task, index) => {
        gate(index).tokens++;
        gate(index).queue.wake(POLLIN);
        return 0;
      }),
    ];
  }

  #arch(names: readonly string[]): GuestArch {
    const argument = (_ram: Ram, index: number): number => this.#read(ARGUMENTS + index);
    return {
      name: "script",
      elfMachine: 0,
      platform: "script",
      hwcap: 0,
      hwcap2: 0,
      syscallNames: names,
      startThread() {},
      getPc: () => 0,
      setPc() {},
      getSp: () => this.#read(STACK),
      setSp: (_ram, sp) => this.#write(STACK, sp),
      syscallNumber: () => this.#read(NUMBER),
      syscallArgument: argument,
      syscallArgumentSigned: argument,
      syscallArgument32: (ram, index) => argument(ram, index) | 0,
      syscallArgument64: (ram, index) => BigInt(argument(ram, index)),
      setSyscallResult: (_ram, value) => this.#write(RESULT, value),
      setSyscallResult64: (_ram, value) => this.#write(RESULT, Number(value)),
      restartSyscall: (_ram, number) => this.#restart(number),
      setTls() {},
      signalFrameBytes: () => 8,
      setupSignalFrame: (_ram, frame) => this.#pushFrame(frame),
      restoreSignalFrame: () => this.#popFrame(),
      signalFrameAddress: () => 0x3000,
      sigreturnFrameBytes: 8,
      getRegset: (saved) => saved,
      setRegset() {},
      vdso: () => ({ image: new Uint8Array() }),
      cpuinfo: () => "",
    };
  }

  /** The call is made again: a script cannot go back, so a one-step script makes it. */
  #restart(number: number): void {
    const instance = this.#instances[this.#read(STACK) - 1]!;
    const name = this.kernel.arch.syscallNames[number] ?? "";
    const args = [0, 1, 2, 3, 4, 5].map((index) => this.#read(ARGUMENTS + index));
    const top = instance.frames.length;
    const setResult = (result: number): void => this.#write(RESULT, result);
    function* again(): Script {
      const result = yield { call: name, args };
      instance.frames.splice(top, 1);
      setResult(result);
      yield { spend: 0 };
    }
    instance.frames.push({ script: again(), mask: 0n, result: 0 });
  }

  #pushFrame(frame: SignalFrame): { address: number; bytes: Uint8Array } {
    const instance = this.#instances[this.#read(STACK) - 1]!;
    const handler = this.#handlers[frame.handler - 101];
    if (handler === undefined) throw new Error("no such handler");
    instance.frames.push({ script: handler(frame.signal), mask: frame.mask, result: this.#read(RESULT) });
    return { address: 0x3000, bytes: new Uint8Array(8) };
  }

  #popFrame(): ReturnType<GuestArch["restoreSignalFrame"]> {
    const instance = this.#instances[this.#read(STACK) - 1]!;
    const frame = instance.frames.pop();
    if (frame === undefined) throw new Error("rt_sigreturn without a frame");
    return { mask: frame.mask, altStack: { sp: 0, flags: 2, size: 0 }, result: BigInt(frame.result) };
  }
}

/** Runs `scenario` under the kernel's own order and under `seeds` others. What it throws names the seed. */
export function exploreSchedules(seeds: number, scenario: (kernel: ScriptedKernel) => void): void {
  for (let seed = 0; seed <= seeds; seed++) {
    try {
      scenario(new ScriptedKernel(seed === 0 ? undefined : seededChoice(seed)));
    } catch (error) {
      throw new Error(`under seed ${String(seed)}`, { cause: error });
    }
  }
}
