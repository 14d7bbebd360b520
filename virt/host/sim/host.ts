// SPDX-License-Identifier: Apache-2.0
// The simulated host: time that moves only with retired instructions and sleeps, entropy from a seed. The same seed
// gives the same run on any machine.

import type { Host, HostClock, HostDisk, HostEntropy } from "../../../include/host/host.ts";
import type { HostEvents } from "../events.ts";
import { Requests } from "./requests.ts";

export interface SimOptions {
  readonly seed: number;
  /** Wall clock at the start, ns since the Epoch. */
  readonly epochNs?: bigint;
  /** Virtual nanoseconds that one retired instruction takes. */
  readonly nsPerInstruction?: number;
  /** Lets the event loop around the simulation turn, so that it can be interrupted; changes nothing inside. */
  readonly breathe?: () => Promise<void>;
}

/** 2020-01-01T00:00:00Z: a fixed date, so that a run does not depend on the day. */
const DEFAULT_EPOCH_NS = 1_577_836_800n * 1_000_000_000n;

/** A small generator with 128 bits of state (xoshiro128**; Blackman and Vigna, 2018), seeded through splitmix32. */
export class SeededRandom {
  readonly #s = new Uint32Array(4);

  constructor(seed: number) {
    let x = seed >>> 0;
    for (let i = 0; i < 4; i++) {
      x = (x + 0x9e3779b9) >>> 0;
      let z = x;
      z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
      z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
      this.#s[i] = z ^ (z >>> 16);
    }
  }

  /** Uniform 32 bits. */
  next(): number {
    const s = this.#s;
    const rotated = rotl(Math.imul(s[1]!, 5), 7);
    const result = Math.imul(rotated, 9) >>> 0;
    const t = s[1]! << 9;
    s[2]! ^= s[0]!;
    s[3]! ^= s[1]!;
    s[1]! ^= s[2]!;
    s[0]! ^= s[3]!;
    s[2]! ^= t;
    s[3] = rotl(s[3]!, 11);
    return result;
  }

  fill(bytes: Uint8Array): void {
    for (let i = 0; i < bytes.length; i++) bytes[i] = this.next() >>> 24;
  }
}

function rotl(x: number, k: number): number {
  return (x << k) | (x >>> (32 - k));
}

class VirtualClock implements HostClock {
  readonly wallAtZeroNs: bigint;
  now = 0;

  constructor(epochNs: bigint) {
    this.wallAtZeroNs = epochNs;
  }

  monotonicNs(): number {
    return this.now;
  }
}

export interface SimHost extends Host, HostEvents {
  wake(): void;
  /** `disk` for a machine on this host: however late it answers, the run is the same. */
  hold(disk: HostDisk): HostDisk;
}

class VirtualHost implements SimHost {
  readonly clock: VirtualClock;
  readonly entropy: HostEntropy;
  readonly #nsPerInstruction: number;
  readonly #breathe: () => Promise<void>;
  readonly #requests = new Requests();
  #wake: (() => void) | undefined;
  #pending = false;

  constructor(options: SimOptions) {
    this.clock = new VirtualClock(options.epochNs ?? DEFAULT_EPOCH_NS);
    this.entropy = new SeededRandom(options.seed);
    this.#nsPerInstruction = options.nsPerInstruction ?? 1;
    this.#breathe = options.breathe ?? (() => Promise.resolve());
  }

  advance(retired: number): void {
    this.clock.now += retired * this.#nsPerInstruction;
  }

  hold(disk: HostDisk): HostDisk {
    return this.#requests.hold(disk);
  }

  /** Disks take no virtual time. Else jumps to the deadline; without one, only something from outside (input) can end
   *  the wait. */
  async idle(deadlineNs: number | undefined): Promise<void> {
    if (await this.#requests.settle()) return;
    if (deadlineNs !== undefined) {
      this.clock.now = Math.max(this.clock.now, deadlineNs);
    } else if (this.#pending) {
      this.#pending = false;
    } else {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  async breathe(): Promise<void> {
    await this.#requests.settle();
    await this.#breathe();
  }

  wake(): void {
    this.#pending = this.#wake === undefined;
    this.#wake?.();
    this.#wake = undefined;
  }
}

/** A host without a world around it. */
export function createSimHost(options: SimOptions): SimHost {
  return new VirtualHost(options);
}
