// SPDX-License-Identifier: Apache-2.0
// Runs the second stage of an image in Rookery itself, on virtual time: the same packages give the same image.

import type { HostConsole } from "../../include/host/host.ts";
import { BufferConsole } from "../../init/buffer-console.ts";
import { Machine } from "../../init/machine.ts";
import { fileDisk } from "../../virt/host/node/disk.ts";
import { createSimHost } from "../../virt/host/sim/host.ts";
import { setImmediate } from "node:timers/promises";
import type { GuestOptions, GuestResult } from "./runner.ts";

const MEMORY_BYTES = 2 ** 31;
const SEED = 1;

/** A console that hands on what the scripts print. */
function outputTo(onOutput: (bytes: Uint8Array) => void): HostConsole {
  return {
    isTerminal: false,
    columns: 80,
    rows: 24,
    write: onOutput,
    onInput: () => () => {},
    onResize: () => () => {},
  };
}

export async function rookeryRunner(options: GuestOptions): Promise<GuestResult> {
  const disk = fileDisk(options.image);
  const host = createSimHost({
    seed: SEED,
    epochNs: BigInt(options.time) * 1_000_000_000n,
    breathe: () => setImmediate(),
  });
  const machine = await Machine.boot({ host, root: disk, memoryBytes: MEMORY_BYTES });
  const output = outputTo(options.onOutput);
  const script = machine.spawn([options.script], {
    stdio: { stdin: new BufferConsole(), stdout: output, stderr: output },
  });
  const { exitCode } = await Promise.race([script.exited, machine.failed]);
  return {
    exitCode,
    changes: (async function*() {
      try {
        yield* await machine.changes();
      } finally {
        await machine[Symbol.asyncDispose]();
        disk[Symbol.dispose]();
      }
    })(),
  };
}
