// SPDX-License-Identifier: Apache-2.0
// Robust futexes: locks that a dying thread still held are marked FUTEX_OWNER_DIED and one waiter is woken.
// Source: get_robust_list(2); robust_list_head is { next, futex_offset, list_op_pending }, bit 0 of a link marks PI.

import type { Sleeps } from "../../include/linux/wait.ts";
import {
  FUTEX_OWNER_DIED,
  FUTEX_TID_MASK,
  FUTEX_WAITERS,
  ROBUST_LIST_LIMIT,
} from "../../include/uapi/futex.ts";
import { mmOf, type TaskStruct } from "../task.ts";
import { finish, readS64, readU64, viewOf } from "../uaccess.ts";
import { storeWord, withWord } from "./core.ts";
import { handOver } from "./pi.ts";
import { wakeFutex } from "./waitwake.ts";

export function* exitRobustList(task: TaskStruct): Sleeps<void> {
  const head = task.robustList;
  if (head === 0) return;
  task.robustList = 0;
  const { user } = mmOf(task);
  const view = viewOf(yield* user.copyIn(head, 24));
  let link = readU64(view, 0);
  const offset = readS64(view, 8);
  const pending = readU64(view, 16);
  for (let count = 0; count < ROBUST_LIST_LIMIT; count++) {
    const entry = link - (link % 2);
    if (entry === head || entry === 0) break;
    const isPi = link % 2 === 1;
    link = yield* user.readU64(entry);
    if (entry !== pending - (pending % 2)) yield* release(task, entry + offset, isPi, false);
  }
  const last = pending - (pending % 2);
  if (last !== 0) yield* release(task, last + offset, pending % 2 === 1, true);
}

function* release(task: TaskStruct, address: number, isPi: boolean, isPending: boolean): Sleeps<void> {
  yield* finish<void>(withWord<void>(task, address, true, (value) => {
    const owner = value & FUTEX_TID_MASK;
    // Died between taking itself off the list and waking the next.
    if (isPending && !isPi && owner === 0) {
      wakeFutex(task, address, 1);
      return;
    }
    if (owner !== task.pid) return;
    if (isPi) {
      handOver(task, address, false, FUTEX_OWNER_DIED);
      return;
    }
    storeWord(task, address, (value & FUTEX_WAITERS) | FUTEX_OWNER_DIED);
    if ((value & FUTEX_WAITERS) !== 0) wakeFutex(task, address, 1);
  }));
}
