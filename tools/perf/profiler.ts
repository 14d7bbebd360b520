// SPDX-License-Identifier: Apache-2.0
// The profiler of one machine: hangs on its CPU, its system calls and its compiler, and makes a profile at the end.

import type { Cpu } from "../../include/linux/cpu.ts";
import type { HostClock } from "../../include/host/host.ts";
import { isSleeping, type Sleeps, type Wait } from "../../include/linux/wait.ts";
import type { Machine, MachineOptions } from "../../init/machine.ts";
import type { LinuxKernel } from "../../kernel/kernel.ts";
import type { TaskStruct } from "../../kernel/task.ts";
import { PAGE_SIZE } from "../../virt/layout.ts";
import { makeProfile, type Profile } from "./profile.ts";
import { COMPILE, type KernelCount, type Module, Recorder } from "./recorder.ts";
import { type CpuWatcher, WatchedCpu } from "./watched-cpu.ts";

/** What the kernel's page faults are called among its functions. */
const PAGE_FAULT = "page fault";
const SLEEPING_FAULT = "page fault that waited";
/** Files that are no larger can be read for their symbols. */
const FILE_BYTES_MAX = 512 * 2 ** 20;

/** What Machine.boot is to be given. */
export type ProfilerHooks = Pick<MachineOptions, "watchCpu" | "compile">;

export class Profiler implements CpuWatcher {
  readonly #clock: HostClock;
  readonly #hasTime: boolean;
  #cpu: WatchedCpu | undefined;
  #kernel: LinuxKernel | undefined;
  #recorder: Recorder | undefined;
  #startCounters: Readonly<Record<string, number>> = {};
  #nextSample = 0;
  /** Host time of compiling since the CPU was entered. */
  #compileNs = 0;
  /** The fault that the kernel is busy with. */
  #fault: { readonly task: TaskStruct; readonly switches: number } | undefined;
  #stop: (() => void) | undefined;

  /** `time` is "virtual" when the clock does not tell what the host does. */
  constructor(clock: HostClock, time: "real" | "virtual") {
    this.#clock = clock;
    this.#hasTime = time === "real";
  }

  /** For Machine.boot. Until `start`, they only pass on. */
  readonly hooks: ProfilerHooks = {
    watchCpu: (cpu: Cpu) => (this.#cpu = new WatchedCpu(cpu, this.#clock)),
    compile: (bytes) => this.#compile(bytes),
  };

  /** From now on all is noted. Precondition: `machine` was booted with `hooks`. */
  start(machine: Machine): void {
    const { kernel } = machine;
    this.#kernel = kernel;
    this.#recorder = new Recorder(kernel.arch.vdso().image);
    this.#startCounters = machine.statistics();
    this.#nextSample = kernel.cpu.retired + this.#recorder.period;
    if (this.#cpu !== undefined) this.#cpu.watcher = this;
    const recorder = this.#recorder;
    this.#stop = kernel.hooks.use({
      around: ({ task, name }, next) => this.#timedCall(recorder.kernelCount(task.comm, `${name}(2)`), next),
    });
  }

  /** Ends it. The machine must still run: the files of the sampled code are read through its kernel. */
  async finish(machine: Machine): Promise<Profile> {
    const kernel = this.#kernel;
    const recorder = this.#recorder;
    if (kernel === undefined || recorder === undefined) throw new Error("the profiler was not started");
    this.#stop?.();
    if (this.#cpu !== undefined) this.#cpu.watcher = undefined;
    const counters: Record<string, number> = {};
    for (const [name, value] of Object.entries(machine.statistics())) {
      counters[name] = value - (this.#startCounters[name] ?? 0);
    }
    const files = [...recorder.modules].filter(({ file }) => file !== undefined);
    await Promise.race([readModules(kernel, files), machine.failed.catch(() => {})]);
    return makeProfile(recorder, { counters, hasTime: this.#hasTime });
  }

  get untilSample(): number {
    return Math.max(1, this.#nextSample - (this.#cpu?.retired ?? 0));
  }

  ran(instructions: number, hostNs: number): void {
    const recorder = this.#recorder;
    const task = this.#kernel?.sched.current;
    if (recorder === undefined || task === undefined) return;
    const compileNs = Math.min(this.#compileNs, hostNs);
    this.#compileNs = 0;
    recorder.ran(instructions, this.#time(hostNs - compileNs));
    if (compileNs > 0) recorder.kernelCount(task.comm, COMPILE).hostNs += this.#time(compileNs);
    const retired = this.#cpu?.retired ?? 0;
    if (retired < this.#nextSample) return;
    recorder.sample(task, task.kernel.ram);
    this.#nextSample = retired + recorder.period;
  }

  faulted(): void {
    const kernel = this.#kernel;
    const task = kernel?.sched.current;
    if (kernel === undefined || task === undefined) return;
    this.#fault = { task, switches: kernel.sched.switches };
  }

  /** A fault is over when its task runs on; when others ran meanwhile, its time is not known. */
  entered(hostNs: number): void {
    const fault = this.#fault;
    if (fault === undefined) return;
    this.#fault = undefined;
    const { sched } = fault.task.kernel;
    const isSame = sched.current === fault.task && this.#kernel?.sched.switches === fault.switches;
    const count = this.#recorder?.kernelCount(fault.task.comm, isSame ? PAGE_FAULT : SLEEPING_FAULT);
    if (count === undefined) return;
    count.count++;
    if (isSame) count.hostNs += this.#time(hostNs);
  }

  #time(ns: number): number {
    return this.#hasTime ? ns : 0;
  }

  #compile(bytes: Uint8Array<ArrayBuffer>): WebAssembly.Module {
    const startNs = this.#clock.monotonicNs();
    const module = new WebAssembly.Module(bytes);
    this.#compileNs += this.#clock.monotonicNs() - startNs;
    const comm = this.#kernel?.sched.current?.comm;
    if (comm !== undefined && this.#recorder !== undefined) this.#recorder.kernelCount(comm, COMPILE).count++;
    return module;
  }

  /** Drives a system call itself, so that the time that it sleeps is left out. */
  *#timedCall(count: KernelCount, next: () => Sleeps<number | bigint>): Sleeps<number | bigint> {
    count.count++;
    let startNs = this.#clock.monotonicNs();
    const body = next();
    for (;;) {
      let step: IteratorResult<Wait, number | bigint>;
      try {
        step = body.next();
      } finally {
        count.hostNs += this.#time(this.#clock.monotonicNs() - startNs);
      }
      if (step.done === true) return step.value;
      yield step.value;
      startNs = this.#clock.monotonicNs();
    }
  }
}

/** Reads whole files through the page cache, as a thread of the kernel. */
function readModules(kernel: LinuxKernel, modules: readonly Module[]): Promise<void> {
  return new Promise((resolve) => {
    kernel.spawnKernelThread("perf", function*() {
      for (const module of modules) {
        try {
          module.bytes = yield* readWhole(kernel, module);
        } catch {
          // A file that cannot be read any more only leaves its addresses without names.
        }
        module.file?.put();
      }
      resolve();
    });
  });
}

function* readWhole(kernel: LinuxKernel, { file }: Module): Sleeps<Uint8Array | undefined> {
  const inode = file?.inode;
  const mapping = inode?.mapping;
  if (inode === undefined || mapping === undefined || inode.size > FILE_BYTES_MAX) return undefined;
  const bytes = new Uint8Array(inode.size);
  for (let at = 0; at < bytes.length; at += PAGE_SIZE) {
    const answer = mapping.find(at / PAGE_SIZE) || mapping.read(at / PAGE_SIZE);
    const frame = isSleeping<number>(answer) ? yield* answer : answer;
    if (frame === 0) break;
    const length = Math.min(PAGE_SIZE, bytes.length - at);
    bytes.set(kernel.ram.u8.subarray(frame, frame + length), at);
  }
  return bytes;
}
