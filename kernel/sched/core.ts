// SPDX-License-Identifier: Apache-2.0
// The scheduler: one CPU, many tasks.
//
// It runs a task until it sleeps, dies, has used its slice of instructions or spins (PAUSE), then takes the next. The register file
// in RAM belongs to the task that ran user code last; it is copied out only when another task needs it. Time is read
// once per switch: the end of one task's turn is the start of the next one's. CPU time is measured and divided between
// user and system by what the turn consisted of: instructions and system calls.
// Between turns, due timers fire; every few milliseconds the host gets its turn, too.

import type { Host } from "../../include/host/host.ts";
import type { Cpu } from "../../include/linux/cpu.ts";
import type { Mm } from "../../include/linux/mm_types.ts";
import type { Ram } from "../../lib/ram.ts";
import { CPU_BASE, SAVED_BYTES } from "../../virt/layout.ts";
import type { TaskScheduler, TaskStruct } from "../task.ts";
import type { TimeKeeping } from "../time/timekeeping.ts";
import { RunQueue } from "./runqueue.ts";

/** Wall time between two turns of the host. */
const BREATHE_NS = 8_000_000;
/** Turns after which the host gets its turn even if the clock stands still (virtual time). */
const BREATHE_TURNS = 4096;
/** How long a slice should last in real time. */
const SLICE_NS = 3_000_000;
const SLICE_MIN = 20_000;
const SLICE_MAX = 20_000_000;
const SLICE_START = 1_000_000;
/** What is to be done while nobody waits begins after so long a pause, if that many instructions went before it. */
const QUIET_NS = 1_000_000_000;
const QUIET_INSTRUCTIONS = 1_000_000;
/** A system call counts as so many instructions when time is divided. */
const INSTRUCTIONS_PER_SYSCALL = 200;

/** Runs a task until it gives up the CPU; kernel/entry/common.ts. */
export interface TaskRunner {
  /** Returns the instructions left of `budget`. */
  run(task: TaskStruct, budget: number): number;
}

export interface SchedulerParts {
  readonly host: Host;
  readonly cpu: Cpu;
  readonly ram: Ram;
  readonly time: TimeKeeping;
}

export class Scheduler implements TaskScheduler {
  readonly queue: RunQueue = new RunQueue();
  #current: TaskStruct | undefined;
  readonly #host: Host;
  readonly #cpu: Cpu;
  readonly #ram: Ram;
  readonly #time: TimeKeeping;
  #runner: TaskRunner | undefined;
  #live: TaskStruct | undefined;
  #liveView: Uint8Array;
  #space: Mm | undefined;
  #slice = SLICE_START;
  #turnStartNs = 0;
  #turnRetired = 0;
  #turnSyscalls = 0;
  #stopRequested = false;
  /** Ends an idle wait early: something became runnable from outside. */
  #endIdle: (() => void) | undefined;
  switches: number = 0;
  idleNs: number = 0;
  /** Called when nothing has run for a while, at most once for each time that something has. */
  onQuiet: (() => void) | undefined;
  /** Instructions retired when it was last called. */
  #quietRetired = 0;
  /** Instructions retired in all when the pause began, and when that was. */
  #pauseRetired = -1;
  #pauseStartNs = 0;

  constructor(parts: SchedulerParts) {
    this.#host = parts.host;
    this.#cpu = parts.cpu;
    this.#ram = parts.ram;
    this.#time = parts.time;
    this.#liveView = this.#ram.u8.subarray(CPU_BASE, CPU_BASE + SAVED_BYTES);
  }

  /** Once, before the first run. */
  setRunner(runner: TaskRunner): void {
    this.#runner = runner;
  }

  get current(): TaskStruct | undefined {
    return this.#current;
  }

  /** The address space that the CPU translates with. */
  get space(): Mm | undefined {
    return this.#space;
  }

  get runnable(): number {
    return this.queue.length + (this.#current === undefined ? 0 : 1);
  }

  wake(task: TaskStruct): void {
    if (task.state !== "sleeping" && task.state !== "uninterruptible") return;
    task.state = "running";
    this.queue.pushWoken(task);
    this.#endIdle?.();
  }

  wakeStopped(task: TaskStruct): void {
    if (task.state === "stopped" || task.state === "traced") {
      task.state = "running";
      this.queue.pushWoken(task);
      this.#endIdle?.();
    } else {
      this.wake(task);
    }
  }

  start(task: TaskStruct): void {
    task.state = "running";
    this.queue.pushExpired(task);
    this.#endIdle?.();
  }

  /** Makes `run` return soon. */
  requestStop(): void {
    this.#stopRequested = true;
    this.#endIdle?.();
  }

  makeLive(task: TaskStruct): void {
    if (this.#live !== task) {
      if (this.#live !== undefined) this.saveRegisters(this.#live);
      this.#ram.u8.set(task.registers, CPU_BASE);
      this.#live = task;
    }
    const { mm } = task;
    if (mm !== undefined && mm !== this.#space) {
      this.#space = mm;
      this.#cpu.setAddressSpace(mm.root, mm.id);
    }
  }

  saveRegisters(task: TaskStruct): void {
    if (this.#live !== task) return;
    if (this.#liveView.buffer !== this.#ram.u8.buffer) {
      this.#liveView = this.#ram.u8.subarray(CPU_BASE, CPU_BASE + SAVED_BYTES);
    }
    task.registers.set(this.#liveView);
  }

  restoreRegisters(task: TaskStruct): void {
    if (this.#live === task) this.#ram.u8.set(task.registers, CPU_BASE);
  }

  leaveSpace(mm: Mm): void {
    if (this.#space === mm) this.#space = undefined;
  }

  account(): void {
    const task = this.#current;
    if (task !== undefined) this.#charge(task, this.#time.monotonicNs());
  }

  /** Runs tasks until `isDone`. While nothing is runnable, sleeps in the host. */
  async run(isDone: () => boolean): Promise<void> {
    this.#stopRequested = false;
    while (!this.#stopRequested && !isDone()) {
      this.#runUntilBreath(isDone);
      if (this.#stopRequested || isDone()) return;
      if (this.queue.length > 0) await this.#host.breathe();
      else await this.#idle();
    }
  }

  /** Runs one turn of one task, for schedule explorers. False when nothing is runnable. */
  step(): boolean {
    const now = this.#time.monotonicNs();
    if (this.#time.nextDeadlineNs <= now) this.#time.expire(now);
    const task = this.queue.next();
    if (task === undefined) return false;
    this.#beginTurn(now);
    this.#turn(task);
    return true;
  }

  #runUntilBreath(isDone: () => boolean): void {
    const startNs = this.#time.monotonicNs();
    let nowNs = startNs;
    this.#beginTurn(nowNs);
    for (let turns = 0; turns < BREATHE_TURNS && !this.#stopRequested; turns++) {
      if (this.#time.nextDeadlineNs <= nowNs) this.#time.expire(nowNs);
      const task = this.queue.next();
      if (task === undefined) return;
      nowNs = this.#turn(task);
      if (nowNs - startNs > BREATHE_NS || isDone()) return;
    }
  }

  #beginTurn(nowNs: number): void {
    this.#turnStartNs = nowNs;
    this.#turnRetired = this.#cpu.retired;
  }

  #turn(task: TaskStruct): number {
    if (this.#runner === undefined) throw new TypeError("the scheduler has no runner");
    const budget = this.#budgetOf(task);
    this.#current = task;
    this.#turnSyscalls = task.syscallCount;
    const startNs = this.#turnStartNs;
    const left = this.#runner.run(task, budget);
    const nowNs = this.#time.monotonicNs();
    this.#charge(task, nowNs);
    if (task.group.cpuWatches.size > 0) { for (const watch of [...task.group.cpuWatches]) watch(); }
    this.#current = undefined;
    this.switches++;
    if (task.state === "running") {
      task.involuntarySwitches++;
      this.queue.pushExpired(task);
    } else if (task.state === "dead" || task.state === "zombie") {
      this.#forget(task);
    } else {
      task.voluntarySwitches++;
    }
    if (left <= 0 && this.#host.advance === undefined) this.#adapt(budget, nowNs - startNs);
    return nowNs;
  }

  #forget(task: TaskStruct): void {
    if (this.#live === task) this.#live = undefined;
    this.#space = undefined;
  }

  /** Slices by nice value: a step of one is a factor of about 1.25, as in sched(7). */
  #budgetOf(task: TaskStruct): number {
    if (task.nice === 0) return this.#slice;
    const factor = Math.min(8, Math.max(1 / 16, 1.25 ** -task.nice));
    return Math.max(SLICE_MIN, Math.round(this.#slice * factor));
  }

  /** The host is faster or slower than thought: slices of SLICE_NS. Never under virtual time. */
  #adapt(budget: number, elapsedNs: number): void {
    const wanted = elapsedNs <= 0 ? budget * 2 : budget * SLICE_NS / elapsedNs;
    const smooth = (this.#slice * 3 + wanted) / 4;
    this.#slice = Math.round(Math.min(SLICE_MAX, Math.max(SLICE_MIN, smooth)));
  }

  #charge(task: TaskStruct, nowNs: number): void {
    const elapsed = nowNs - this.#turnStartNs;
    const instructions = this.#cpu.retired - this.#turnRetired;
    const calls = (task.syscallCount - this.#turnSyscalls) * INSTRUCTIONS_PER_SYSCALL;
    const total = instructions + calls;
    const system = total === 0 ? elapsed : Math.round(elapsed * calls / total);
    task.systemNs += system;
    task.userNs += elapsed - system;
    const { cpuTime } = task.group;
    cpuTime.systemNs += system;
    cpuTime.userNs += elapsed - system;
    this.#turnStartNs = nowNs;
    this.#turnRetired = this.#cpu.retired;
    this.#turnSyscalls = task.syscallCount;
  }

  async #idle(): Promise<void> {
    const deadline = this.#time.nextDeadlineNs;
    const startNs = this.#time.monotonicNs();
    if (deadline <= startNs) return;
    const until = Math.min(deadline, this.#quietAt(startNs));
    this.#endIdle = () => this.#host.wake?.();
    await this.#host.idle(until === Infinity ? undefined : this.#time.hostDeadline(until));
    this.#endIdle = undefined;
    const nowNs = this.#time.monotonicNs();
    this.idleNs += Math.max(0, nowNs - startNs);
    if (until < deadline && nowNs >= until && this.queue.length === 0) this.#beQuiet();
  }

  /**
   * When the pause that goes on at `nowNs` will be long enough for `onQuiet`; Infinity when there is nothing to call it for.
   * The pause is as long as nothing has run, however often the host wakes in it: its timers may end a little early.
   */
  #quietAt(nowNs: number): number {
    const { retired } = this.#cpu;
    if (this.onQuiet === undefined || retired - this.#quietRetired < QUIET_INSTRUCTIONS) return Infinity;
    if (retired !== this.#pauseRetired) {
      this.#pauseRetired = retired;
      this.#pauseStartNs = nowNs;
    }
    return this.#pauseStartNs + QUIET_NS;
  }

  #beQuiet(): void {
    this.#quietRetired = this.#cpu.retired;
    this.onQuiet?.();
  }
}
