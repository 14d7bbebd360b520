// SPDX-License-Identifier: Apache-2.0
// What goes wrong in the guest stays there: torn programs, wild pointers, fork bombs, memory hogs. Each time the errno
// or signal that Linux gives, and a machine that works on.

import assert from "node:assert/strict";
import { test } from "node:test";

import { run } from "./image.ts";

/** Runs `script`, then shows that the machine still works. */
async function survives(script: string, options: readonly string[] = []): Promise<string> {
  const { stdout, stderr, status } = await run([
    ...options,
    "--",
    "bash",
    "-c",
    `${script}\necho still here`,
  ]);
  assert.equal(status, 0, stderr);
  assert.ok(stdout.endsWith("still here\n"), stdout + stderr);
  return stdout.slice(0, -"still here\n".length);
}

test("torn and bit-flipped programs", async () => {
  const script = `cd /tmp
for size in 1 10 63 64 100 200 800 4000 20000; do head -c $size /bin/true > t; chmod +x t; ./t 2>/dev/null; echo $?; done | sort | uniq -c | wc -l
python3 - <<'E'
import random, subprocess, os
random.seed(5); good = open("/bin/true", "rb").read(); bad = 0
for i in range(60):
    b = bytearray(good)
    for _ in range(3): b[random.randrange(0, 0x400)] ^= 1 << random.randrange(8)
    open("/tmp/f", "wb").write(b); os.chmod("/tmp/f", 0o755)
    try: bad += subprocess.run(["/tmp/f"], stderr=subprocess.DEVNULL, timeout=5).returncode != 0
    except (OSError, subprocess.TimeoutExpired): bad += 1
print("ran", bad > 0)
E`;
  assert.match(await survives(script), /ran True/);
});

test("a wild pointer is SIGSEGV with its address", async () => {
  const script = `python3 - <<'E'
import ctypes, os, signal
pid = os.fork()
if pid == 0: ctypes.string_at(0xdead000)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGSEGV)
pid = os.fork()
if pid == 0: ctypes.string_at(0x8000000000000000)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGSEGV)
E`;
  assert.equal(await survives(script), "True\nTrue\n");
});

test("an infinite loop leaves room for others and can be killed", async () => {
  assert.equal(await survives("while :; do :; done & p=$!; sleep 0.2; kill $p; wait $p; echo $?"), "143\n");
});

test("a fork bomb under RLIMIT_NPROC ends in EAGAIN", async () => {
  const script =
    `su -s /bin/bash nobody -c 'ulimit -u 30; for ((i = 0; i < 100; i++)); do sleep 5 & done; wait' 2>&1 |
    grep -q 'Resource temporarily unavailable' && echo limited; pkill -u nobody; true`;
  assert.equal(await survives(script), "limited\n");
});

test("a memory hog is killed, and only it", async () => {
  const script = "python3 -c 'x = [bytearray(1 << 20) for _ in range(4000)]' 2>/dev/null; echo $?";
  assert.match(await survives(script, ["--memory", "192m"]), /^(137|1)\n$/);
});

test("a full disk is ENOSPC", async () => {
  const script =
    "mount -t tmpfs -o size=1m tmpfs /mnt && head -c 2000000 /dev/zero 2>/dev/null > /mnt/f; echo $?; umount /mnt";
  assert.equal(await survives(script), "1\n");
});
