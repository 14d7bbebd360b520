// SPDX-License-Identifier: Apache-2.0
// The Node host: real clock, real entropy, an event loop that the kernel lets turn now and then.

import { openSync, readSync } from "node:fs";

import type { Host, HostClock, HostEntropy } from "../../../include/host/host.ts";
import type { HostEvents } from "../events.ts";
import { tuneEngine } from "./engine.ts";

/** setTimeout fires early or late by about a millisecond; shorter sleeps spin through setImmediate. */
const TIMER_GRANULARITY_NS = 1_000_000;
/** Longest timeout that setTimeout accepts, in ms. */
const TIMEOUT_MAX_MS = 2_147_483_647;

/** Kept, because `process` is a getter. */
const { hrtime } = process;

/** A program may ask millions of times a second, for each rdtsc: no bigint and no iterator is made. */
class NodeClock implements HostClock {
  readonly #zero = hrtime();
  readonly wallAtZeroNs: bigint = BigInt(Date.now()) * 1_000_000n;

  monotonicNs(): number {
    const now = hrtime();
    const zero = this.#zero;
    return (now[0] - zero[0]) * 1e9 + (now[1] - zero[1]);
  }
}

/** Bytes drawn at once: an execve alone asks five times, and each call to the host costs more than its bytes. */
const POOL_BYTES = 4096;

class NodeEntropy implements HostEntropy {
  readonly #pool = new Uint8Array(POOL_BYTES);
  #used = POOL_BYTES;
  /** /dev/urandom, -1 where there is none; undefined until the first draw. */
  #descriptor: number | undefined;

  fill(bytes: Uint8Array): void {
    const { length } = bytes;
    if (length > POOL_BYTES / 4) {
      this.#draw(bytes);
      return;
    }
    if (this.#used + length > POOL_BYTES) {
      this.#draw(this.#pool);
      this.#used = 0;
    }
    bytes.set(this.#pool.subarray(this.#used, this.#used + length));
    // What was given out is known to a guest and is not kept.
    this.#pool.fill(0, this.#used, this.#used + length);
    this.#used += length;
  }

  /** The device, because loading node:crypto takes longer than booting. */
  #draw(bytes: Uint8Array): void {
    this.#descriptor ??= openDevice();
    if (this.#descriptor < 0) {
      process.getBuiltinModule("node:crypto").randomFillSync(bytes);
      return;
    }
    for (let at = 0; at < bytes.length;) at += readSync(this.#descriptor, bytes, at, bytes.length - at, null);
  }
}

function openDevice(): number {
  try {
    return openSync("/dev/urandom", "r");
  } catch {
    return -1;
  }
}

/** Wakes the kernel when it idles: consoles, disks and signals of the host call `wake`. */
class NodeHost implements Host, HostEvents {
  readonly clock: HostClock = new NodeClock();
  readonly entropy: HostEntropy = new NodeEntropy();
  #wakeIdle: (() => void) | undefined;
  #pending = false;

  wake(): void {
    this.#pending = true;
    this.#wakeIdle?.();
  }

  idle(deadlineNs: number | undefined): Promise<void> {
    if (this.#pending) {
      this.#pending = false;
      return this.breathe();
    }
    const leftNs = deadlineNs === undefined ? Infinity : deadlineNs - this.clock.monotonicNs();
    if (leftNs < TIMER_GRANULARITY_NS) return this.breathe();
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#wakeIdle = undefined;
        this.#pending = false;
        resolve();
      };
      // Without a deadline the timer only keeps the process alive while a guest waits for input.
      const timer = setTimeout(done, Math.min(Math.floor(leftNs / 1e6), TIMEOUT_MAX_MS));
      this.#wakeIdle = done;
    });
  }

  breathe(): Promise<void> {
    return new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}

/** The host of a machine that runs in Node. */
export function createNodeHost(): Host & HostEvents {
  tuneEngine();
  return new NodeHost();
}
