// SPDX-License-Identifier: Apache-2.0
// The host of a machine in a page or a Worker: the browser's clock, chance and event loop.
//
// Timers of a browser are coarse: one set from a timer's own callback waits 4 ms at least, once that has gone on for
// a while. So a turn of the event loop is a message to oneself, and a timer that fires passes on through one.
// Source: HTML Living Standard, "Timers" and "Message channels"; High Resolution Time, W3C.

import type { Host, HostClock, HostEntropy } from "../../../include/host/host.ts";
import type { HostEvents } from "../events.ts";

/** Shorter sleeps spin through messages, so that other work of the page goes on. */
const TIMER_GRANULARITY_NS = 1_000_000;
/** Longest timeout that setTimeout accepts, in ms. */
const TIMEOUT_MAX_MS = 2_147_483_647;
/** Most bytes of one call of getRandomValues. */
const ENTROPY_BYTES_MAX = 65536;

class BrowserClock implements HostClock {
  readonly #zeroMs = performance.now();
  readonly wallAtZeroNs: bigint = BigInt(Date.now()) * 1_000_000n;

  monotonicNs(): number {
    return Math.round((performance.now() - this.#zeroMs) * 1e6);
  }
}

class BrowserEntropy implements HostEntropy {
  fill(bytes: Uint8Array): void {
    // Filled apart: getRandomValues does not take shared memory.
    const piece = new Uint8Array(Math.min(bytes.length, ENTROPY_BYTES_MAX));
    for (let at = 0; at < bytes.length; at += piece.length) {
      crypto.getRandomValues(piece);
      bytes.set(piece.subarray(0, bytes.length - at), at);
    }
  }
}

/** Lets the event loop turn once; all callers of one turn share its message. It listens only while someone waits, so
 *  that engines which end when nothing is left to do can end. */
export class Turns {
  readonly #channel = new MessageChannel();
  #waiting: (() => void)[] = [];
  readonly #end = (): void => {
    this.#channel.port1.onmessage = null;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  };

  next(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#waiting.push(resolve) > 1) return;
      this.#channel.port1.onmessage = this.#end;
      this.#channel.port2.postMessage(0);
    });
  }
}

class BrowserHost implements Host, HostEvents {
  readonly clock: HostClock = new BrowserClock();
  readonly entropy: HostEntropy = new BrowserEntropy();
  readonly #turns = new Turns();
  #wakeIdle: (() => void) | undefined;
  #isPending = false;

  wake(): void {
    this.#isPending = true;
    this.#wakeIdle?.();
  }

  async idle(deadlineNs: number | undefined): Promise<void> {
    const leftNs = deadlineNs === undefined ? Infinity : deadlineNs - this.clock.monotonicNs();
    if (!this.#isPending && leftNs >= TIMER_GRANULARITY_NS) await this.#sleep(leftNs);
    this.#isPending = false;
    await this.breathe();
  }

  /** Until `wake` or for `ns`, of which Infinity needs no timer. */
  #sleep(ns: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#wakeIdle = undefined;
        resolve();
      };
      const timer = ns === Infinity
        ? undefined
        : setTimeout(done, Math.min(Math.floor(ns / 1e6), TIMEOUT_MAX_MS));
      this.#wakeIdle = done;
    });
  }

  breathe(): Promise<void> {
    return this.#turns.next();
  }
}

/** The host of a machine that runs in this page or Worker. */
export function createBrowserHost(): Host & HostEvents {
  return new BrowserHost();
}
