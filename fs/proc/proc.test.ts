// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { type KernelCore, SigHand, TaskStruct, ThreadGroupStruct } from "../../kernel/task.ts";
import { run } from "../../mm/testing.ts";
import { credentialsOf } from "../../security/commoncap.ts";
import { type Machine, machine } from "../fixture.test.ts";
import { openFifo } from "../pipe.ts";
import { sysFileSystem } from "../sysfs/sysfs.ts";
import { procFileSystem } from "./root.ts";

const PID = 2;

/** A machine with /proc and /sys mounted and one real process, number 2. */
function start(): Machine & { real: TaskStruct } {
  const m = machine();
  const rlimits = Array.from({ length: 16 }, () => ({ soft: Infinity, hard: Infinity }));
  const group = new ThreadGroupStruct(PID, rlimits);
  const real = new TaskStruct(m.kernel as unknown as KernelCore, PID, group, {
    comm: "init (1)",
    fs: m.task.fs,
    files: m.task.files,
    cred: credentialsOf(0, 0),
    sighand: new SigHand(),
  });
  group.leader = real;
  group.threads.add(real);
  group.exitSignal = 17;
  real.mm = m.task.mm;
  Object.assign(m.kernel.tasks, {
    current: real,
    all: () => [real],
    find: (pid: number) => (pid === PID ? real : undefined),
  });
  Object.assign(m.kernel, {
    uts: { sysname: "Linux", nodename: "box", release: "6.12.0", version: "#1", domainname: "(none)" },
  });
  Object.assign(m.task, { cred: credentialsOf(0, 0) });
  for (const type of [procFileSystem, sysFileSystem]) {
    m.vfs.registerFileSystem(type);
    const name = type.name === "proc" ? "/proc" : "/sys";
    m.call("mkdir", name, 0o755);
    const at = run(m.vfs.resolve(real, name, { followLast: true }));
    m.vfs.mount(real, run(type.mount(real, type.name, 0, "")), at, 0, type.name);
  }
  m.vfs.openFifo = openFifo;
  return { ...m, real };
}

function readlink(m: Machine, path: string): string {
  const buffer = m.buffer(256);
  const length = m.call("readlink", path, buffer, 256);
  return length < 0 ? `error ${length}` : m.text(buffer, length);
}

test("the root lists its files, then processes; self leads to the reader", () => {
  const m = start();
  const names = m.names("/proc");
  for (const name of ["cpuinfo", "meminfo", "mounts", "self", "stat", "sys", "uptime", String(PID)]) {
    assert.ok(names.includes(name), name);
  }
  assert.equal(readlink(m, "/proc/self"), String(PID));
  assert.equal(readlink(m, "/proc/thread-self"), `${PID}/task/${PID}`);
  assert.equal(m.fails("stat", "/proc/99", m.buffer(144)), "ENOENT");
  assert.equal(m.fails("stat", "/proc/02", m.buffer(144)), "ENOENT");
  assert.equal(m.stat("/proc/self/status").size, 0);
  assert.equal(m.stat("/proc").dev !== m.stat("/").dev, true);
});

test("stat has 52 fields and keeps a strange name in brackets", () => {
  const m = start();
  const line = m.readFile("/proc/self/stat");
  assert.match(line, /^2 \(init \(1\)\) R 0 /);
  assert.equal(line.slice(line.lastIndexOf(")") + 2).trim().split(" ").length, 50);
  const statm = m.readFile("/proc/2/statm").trim().split(" ").map(Number);
  assert.equal(statm.length, 7);
  assert.equal(statm[0], 0x20_0000 / 4096);
});

test("status shows ids, masks and memory", () => {
  const m = start();
  m.real.blocked.add(2);
  m.real.sighand.set(15, { handler: 0x1000, flags: 0, restorer: 0, mask: m.real.blocked });
  const status = m.readFile("/proc/2/status");
  assert.match(status, /^Name:\tinit \(1\)$/m);
  assert.match(status, /^VmSize:\t +2048 kB$/m);
  assert.match(status, /^SigBlk:\t0000000000000002$/m);
  assert.match(status, /^SigCgt:\t0000000000004000$/m);
  assert.match(status, /^CapEff:\t000001ffffffffff$/m);
});

test("maps has the columns of Linux", () => {
  const m = start();
  m.writeFile("/bin", "x".repeat(5000));
  const fd = m.call("open", "/bin", 0, 0);
  const file = m.task.files.get(fd);
  run(m.real.mm!.mmap(m.real, 0x40_0000, 8192, 5, 0x12, file, 0));
  const lines = m.readFile("/proc/self/maps").split("\n");
  assert.equal(lines[0], "00100000-00300000 rw-p 00000000 00:00 0 ");
  assert.match(lines[1]!, /^00400000-00402000 r-xp 00000000 [0-9a-f]{2}:[0-9a-f]{2} [0-9]+ +\/bin$/);
  assert.equal(lines[1]!.indexOf("/bin"), 73);
});

test("fd leads to files and pipes, and opens them again", () => {
  const m = start();
  m.writeFile("/data", "hello");
  const fd = m.call("open", "/data", 2, 0);
  assert.equal(readlink(m, `/proc/self/fd/${fd}`), "/data");
  assert.equal(m.readFile(`/proc/self/fd/${fd}`), "hello");
  const pair = m.buffer(8);
  assert.equal(m.call("pipe2", pair, 0), 0);
  const reader = m.bytes(pair, 4)[0]!;
  const writer = m.bytes(pair + 4, 4)[0]!;
  assert.match(readlink(m, `/proc/2/fd/${reader}`), /^pipe:\[[0-9]+\]$/);
  const again = m.call("open", `/proc/self/fd/${writer}`, 1, 0);
  assert.ok(again > writer);
  assert.equal(m.call("write", again, new Uint8Array([7]), 1), 1);
  const buffer = m.buffer(8);
  assert.equal(m.call("read", reader, buffer, 8), 1);
  assert.match(m.readFile(`/proc/self/fdinfo/${fd}`), /^pos:\t0\nflags:\t0?100002|^pos:\t0\nflags:\t02/);
  m.call("close", fd);
  assert.equal(m.fails("readlink", `/proc/self/fd/${fd}`, buffer, 8), "ENOENT");
});

test("settings: what can be written changes what it names", () => {
  const m = start();
  m.writeFile("/proc/sys/kernel/hostname", "nest\n");
  assert.equal(m.kernel.uts.nodename, "nest");
  assert.equal(m.readFile("/proc/sys/kernel/hostname"), "nest\n");
  m.writeFile("/proc/sys/vm/overcommit_memory", "1\n");
  assert.equal(m.readFile("/proc/sys/vm/overcommit_memory"), "1\n");
  const fd = m.call("open", "/proc/sys/vm/overcommit_memory", 1, 0);
  assert.equal(m.fails("write", fd, new Uint8Array([0x39]), 1), "EINVAL");
  const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\n$/;
  assert.match(m.readFile("/proc/sys/kernel/random/boot_id"), uuid);
  assert.equal(m.readFile("/proc/sys/kernel/random/boot_id"), m.readFile("/proc/sys/kernel/random/boot_id"));
});

test("comm and oom_score_adj take what is written", () => {
  const m = start();
  m.writeFile("/proc/self/comm", "a-name-that-is-too-long");
  assert.equal(m.real.comm, "a-name-that-is-");
  m.writeFile("/proc/self/oom_score_adj", "-500");
  assert.equal(m.readFile("/proc/self/oom_score_adj"), "-500\n");
});

test("memory is a file", () => {
  const m = start();
  const fd = m.call("open", "/proc/self/mem", 2, 0);
  const target = m.buffer(16);
  assert.equal(m.call("pwrite64", fd, new Uint8Array([1, 2, 3]), 3, target), 3);
  assert.deepEqual([...m.bytes(target, 3)], [1, 2, 3]);
  assert.equal(m.fails("pread64", fd, target, 4, 0x1000), "EIO");
});

test("others may not look into a process", () => {
  const m = start();
  const stranger = new TaskStruct(m.kernel as unknown as KernelCore, 3, new ThreadGroupStruct(3, []), {
    comm: "x",
    fs: m.task.fs,
    files: m.task.files,
    cred: credentialsOf(1000, 1000),
    sighand: new SigHand(),
  });
  const fails = (path: string): string => {
    try {
      run(m.vfs.open(stranger, path, 0, 0));
      return "0";
    } catch (error) {
      return error instanceof Error ? error.message : "?";
    }
  };
  assert.equal(fails("/proc/2/environ"), "EACCES");
  assert.equal(fails("/proc/2/maps"), "EACCES");
  assert.equal(fails("/proc/2/exe"), "EACCES");
  assert.equal(fails("/proc/2/status"), "0");
});

test("mounts escape their names; sysfs knows one processor", () => {
  const m = start();
  m.call("mkdir", "/a b", 0o755);
  const at = run(m.vfs.resolve(m.real, "/a b", { followLast: true }));
  m.vfs.mount(m.real, run(sysFileSystem.mount(m.real, "sysfs", 0, "")), at, 8, "sysfs");
  assert.match(m.readFile("/proc/mounts"), /^sysfs \/a\\040b sysfs rw,noexec 0 0$/m);
  assert.match(
    m.readFile("/proc/self/mountinfo"),
    /^[0-9]+ [0-9]+ [0-9]+:[0-9]+ \/ \/a\\040b rw,noexec - sysfs sysfs rw$/m,
  );
  assert.equal(m.readFile("/sys/devices/system/cpu/online"), "0\n");
});
