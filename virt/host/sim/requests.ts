// SPDX-License-Identifier: Apache-2.0
// Requests to disks of the real world from a machine on virtual time. When one is answered depends on the world; when
// the machine learns of it must not. So answers are held back until the simulation next lets the event loop turn, which
// then waits for all of them and passes them on in the order in which they were asked for.

import type { HostDisk } from "../../../include/host/host.ts";

interface Request {
  readonly answer: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (reason: unknown) => void;
}

export class Requests {
  #pending: Request[] = [];

  #hold(answer: Promise<void> | undefined): Promise<void> | undefined {
    if (answer === undefined) return undefined;
    answer.catch(() => {}); // Its error reaches the machine when it is passed on.
    return new Promise((resolve, reject) => {
      this.#pending.push({ answer, resolve, reject });
    });
  }

  /** `disk`, whose answers come when `settle` is called. */
  hold(disk: HostDisk): HostDisk {
    return {
      sizeBytes: disk.sizeBytes,
      isReadOnly: disk.isReadOnly,
      read: (offset, into) => this.#hold(disk.read(offset, into)),
      write: (offset, from) => this.#hold(disk.write(offset, from)),
      flush: () => this.#hold(disk.flush()),
    };
  }

  /** Waits for what has been asked for. False when that was nothing. */
  async settle(): Promise<boolean> {
    const requests = this.#pending;
    if (requests.length === 0) return false;
    this.#pending = [];
    const outcomes = await Promise.allSettled(requests.map(({ answer }) => answer));
    for (const [index, outcome] of outcomes.entries()) {
      // Not by adoption, which takes turns of its own: who waits must know before the simulation goes on.
      if (outcome.status === "fulfilled") requests[index]!.resolve();
      else requests[index]!.reject(outcome.reason);
    }
    return true;
  }
}
