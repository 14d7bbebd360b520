// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";

import { SIGCHLD, SIGUSR1 } from "../include/uapi/signal.ts";
import { ScriptedKernel } from "../tools/testing/sim/scripted.ts";
import { formatFlags, quote, signalName } from "./strace-format.ts";
import { startStrace } from "./strace.ts";

const OPEN = { O_WRONLY: 1, O_RDWR: 2, O_CREAT: 0o100, O_CLOEXEC: 0o2000000 };

test("flags are said by name, the access mode always", () => {
  assert.equal(formatFlags(0, OPEN), "O_RDONLY");
  assert.equal(formatFlags(0o2000000, OPEN), "O_RDONLY|O_CLOEXEC");
  assert.equal(formatFlags(0o102, OPEN), "O_RDWR|O_CREAT");
  assert.equal(formatFlags(0, { PROT_NONE: 0, PROT_READ: 1 }), "PROT_NONE");
  assert.equal(formatFlags(0x11, { PROT_NONE: 0, PROT_READ: 1 }), "PROT_READ|0x10");
  assert.equal(formatFlags(-0x8000_0000, { TOP: 0x8000_0000 }), "TOP");
});

test("bytes are quoted as C does", () => {
  assert.equal(quote("a\"b\\\n\0"), "\"a\\\"b\\\\\\n\\0\"");
  assert.equal(quote("\x019"), "\"\\0019\"");
  assert.equal(quote("\xff"), "\"\\377\"");
});

test("signals have their names", () => {
  assert.deepEqual([SIGUSR1, 32, 35, 64].map(signalName), ["SIGUSR1", "SIGRTMIN", "SIGRT_3", "SIGRT_32"]);
});

test("lines of several tasks are cut and taken up again", () => {
  const lines: string[] = [];
  const kernel = new ScriptedKernel();
  startStrace(kernel.kernel, { write: (line) => lines.push(line.replace(/ +/g, " ").trimEnd()) });
  kernel.spawn(function*(task) {
    yield* task.clone(SIGCHLD, function*(child) {
      yield* child.call("getpid");
      yield* child.call("exit_group", 3);
    });
    yield* task.call("wait4", -1, 0x1000, 0, 0);
    yield* task.call("kill", 99, 0);
  });
  kernel.run();
  assert.deepEqual(lines.slice(1), [
    "[pid 2] wait4(-1, <unfinished ...>",
    "[pid 3] getpid() = 3",
    "[pid 3] exit_group(3) = ?",
    "[pid 3] +++ exited with 3 +++",
    "<... wait4 resumed>[{WIFEXITED(s) && WEXITSTATUS(s) == 3}], 0, NULL) = 3",
    "kill(99, 0) = -1 ESRCH (No such process)",
    "exit_group(0) = ?",
    "+++ exited with 0 +++",
  ]);
});
