// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";

import type { HostDisk } from "../../../include/host/host.ts";
import { Requests } from "./requests.ts";

/** Answers read `n`, counted from 0, after delays[n] ms; refuses those at offset 13. */
function lateDisk(delays: readonly number[]): HostDisk {
  let count = 0;
  return {
    sizeBytes: 100,
    isReadOnly: true,
    read(offset) {
      const delay = delays[count++]!;
      if (delay === 0) return undefined;
      return new Promise((resolve, reject) => {
        setTimeout(() => offset === 13 ? reject(new Error("refused")) : resolve(), delay);
      });
    },
    write: () => undefined,
    flush: () => undefined,
  };
}

/** The order in which three reads are answered. */
async function orderOf(delays: readonly number[]): Promise<string[]> {
  const requests = new Requests();
  const disk = requests.hold(lateDisk(delays));
  const order: string[] = [];
  for (const offset of [1, 13, 2]) {
    disk.read(offset, new Uint8Array(1))?.then(
      () => order.push(`read ${offset}`),
      () => order.push(`failed ${offset}`),
    );
  }
  assert.equal(await requests.settle(), true);
  assert.equal(await requests.settle(), false);
  return order;
}

test("answers come in the order of the requests, whatever comes first, and before the simulation goes on", async () => {
  const order = ["read 1", "failed 13", "read 2"];
  assert.deepEqual(await orderOf([1, 5, 10]), order);
  assert.deepEqual(await orderOf([10, 1, 5]), order);
});

test("what is answered at once stays so", async () => {
  assert.deepEqual(await orderOf([0, 1, 0]), ["failed 13"]);
});
