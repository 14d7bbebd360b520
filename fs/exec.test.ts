// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import type { GuestArch } from "../include/linux/cpu.ts";
import { type File, Inode, type Path, type SuperBlock } from "../include/linux/fs.ts";
import type { Mm } from "../include/linux/mm_types.ts";
import type { Task } from "../include/linux/sched.ts";
import { E2BIG, EACCES, EIO, ELIBBAD, ELOOP, ENOENT, ENOEXEC, ETXTBSY } from "../lib/errno.ts";
import { CachedFile } from "../mm/generic_file.ts";
import { mmStruct, type ProcessMm } from "../mm/mm.ts";
import { ShmemMapping } from "../mm/shmem.ts";
import { run, testKernel } from "../mm/testing.ts";
import { PAGE_SIZE } from "../virt/layout.ts";
import { parseScript } from "./binfmt_script.ts";
import { parseFileCapabilities } from "./exec-cred.ts";
import { execInit } from "./exec.ts";

const superBlock = { isReadOnly: true } as SuperBlock;

class TestInode extends Inode {
  readonly superBlock = superBlock;
  readonly ino = 1;
  override mapping: ShmemMapping;
  constructor(task: Task, bytes: Uint8Array, mode: number) {
    super();
    this.mode = mode;
    this.size = bytes.length;
    this.mapping = new ShmemMapping(task.kernel, this);
    for (let at = 0; at < bytes.length; at += PAGE_SIZE) {
      const frame = this.mapping.makeWritable(at / PAGE_SIZE);
      task.kernel.ram.u8.set(bytes.subarray(at, at + PAGE_SIZE), frame);
    }
  }
  override open(_task: Task, path: Path, flags: number): File {
    return new CachedFile(path, flags, this.mapping);
  }
}

interface Segment {
  type: number;
  flags: number;
  offset: number;
  address: number;
  fileBytes: number;
  memoryBytes: number;
  align?: number;
}
const LOAD: Segment = {
  type: 1,
  flags: 5,
  offset: 0,
  address: 0x40_0000,
  fileBytes: 0x1000,
  memoryBytes: 0x1000,
};

function elf(type: number, segments: Segment[], entry = 0x40_0100, body = ""): Uint8Array {
  const bytes = new Uint8Array(3 * PAGE_SIZE);
  const view = new DataView(bytes.buffer);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(16, type, true);
  view.setUint16(18, 62, true);
  view.setBigUint64(24, BigInt(entry), true);
  view.setBigUint64(32, 64n, true);
  view.setUint16(54, 56, true);
  view.setUint16(56, segments.length, true);
  segments.forEach((s, i) => {
    const at = 64 + i * 56;
    view.setUint32(at, s.type, true);
    view.setUint32(at + 4, s.flags, true);
    [s.offset, s.address, s.address, s.fileBytes, s.memoryBytes, s.align ?? PAGE_SIZE].forEach((word, k) =>
      view.setBigUint64(at + 8 + k * 8, BigInt(word), true)
    );
  });
  bytes.set(new TextEncoder().encode(body), 0x800);
  return bytes;
}

function setup(files: Record<string, Uint8Array | { bytes: Uint8Array; mode: number }>) {
  const { kernel, task, ...rest } = testKernel(1024);
  const inodes = new Map(
    Object.entries(files).map(([name, file]) => [
      name,
      file instanceof Uint8Array
        ? new TestInode(task, file, 0o100755)
        : new TestInode(task, file.bytes, file.mode),
    ]),
  );
  const started: { pc: number; sp: number }[] = [];
  const killed: number[] = [];
  Object.assign(kernel, {
    arch: {
      elfMachine: 62,
      platform: "x86_64",
      hwcap: 7,
      hwcap2: 0,
      sigreturnFrameBytes: 1000,
      signalFrameBytes: () => 1200,
      vdso: () => ({ image: new Uint8Array(100).fill(3) }),
    } as unknown as GuestArch,
    vfs: {
      resolve: (_task: Task, path: string): Path => {
        const inode = inodes.get(path);
        if (inode === undefined) throw ENOENT;
        return { mount: { flags: 0 }, dentry: { inode, name: path } } as unknown as Path;
      },
    },
  });
  Object.assign(kernel.control, {
    *deThread() {},
    replaceMm: (t: Task, mm: Mm) => {
      t.mm?.put();
      t.mm = mm;
    },
    startThread: (_t: Task, pc: number, sp: number) => started.push({ pc, sp }),
    forceFatalSignal: (_t: Task, signal: number) => killed.push(signal),
  });
  const closed: number[] = [];
  Object.assign(task, {
    files: {
      users: 1,
      descriptors: () => [0, 1, 3],
      closeOnExec: (n: number) => n === 3,
      close: (_t: Task, n: number) => closed.push(n),
    },
    cred: {
      uid: 1000,
      euid: 1000,
      suid: 1000,
      fsuid: 1000,
      gid: 100,
      egid: 100,
      sgid: 100,
      fsgid: 100,
      groups: [],
      capEffective: 0n,
      capPermitted: 0n,
      capInheritable: 0n,
      capBounding: (1n << 41n) - 1n,
      capAmbient: 0n,
      securebits: 0,
      noNewPrivs: false,
    },
  });
  const exec = (path: string, argv = [path], envp: string[] = []) => run(execInit(task, path, argv, envp));
  return {
    kernel,
    task,
    inodes,
    started,
    killed,
    closed,
    exec,
    ...rest,
    mm: (): ProcessMm => mmStruct(task.mm!),
  };
}

/** What the new program finds on its stack. */
function stackOf(mm: ProcessMm, sp: number) {
  const word = (at: number): number => run(mm.user.readU64(at));
  const text = (at: number): string => run(mm.user.readString(at, 4096, E2BIG));
  const argc = word(sp);
  let at = sp + 8;
  const argv: string[] = [];
  for (; word(at) !== 0; at += 8) argv.push(text(word(at)));
  at += 8;
  const envp: string[] = [];
  for (; word(at) !== 0; at += 8) envp.push(text(word(at)));
  at += 8;
  const auxv = new Map<number, number>();
  for (; word(at) !== 0; at += 16) auxv.set(word(at), word(at + 8));
  return { argc, argv, envp, auxv, text };
}

test("a static program: segments, bss, stack, auxiliary vector", () => {
  const t = setup({
    "/bin/a": elf(2, [LOAD, {
      type: 1,
      flags: 6,
      offset: 0x1000,
      address: 0x40_1000,
      fileBytes: 0x10,
      memoryBytes: 0x3000,
    }]),
  });
  t.exec("/bin/a", ["a", "", "\u00e9"], ["X=1"]);
  assert.deepEqual(t.killed, []);
  const [{ pc, sp }] = t.started as [{ pc: number; sp: number }];
  assert.equal(pc, 0x40_0100);
  assert.equal(sp % 16, 0);
  const { argc, argv, envp, auxv, text } = stackOf(t.mm(), sp);
  assert.equal(argc, 3);
  assert.deepEqual(argv, ["a", "", "\u00e9"]);
  assert.deepEqual(envp, ["X=1"]);
  assert.equal(auxv.get(3), 0x40_0040, "AT_PHDR");
  assert.equal(auxv.get(5), 2);
  assert.equal(auxv.get(9), pc);
  assert.equal(auxv.get(11), 1000);
  assert.equal(auxv.get(23), 0);
  assert.equal(text(auxv.get(31)!), "/bin/a");
  assert.equal(text(auxv.get(15)!), "x86_64");
  assert.equal(run(t.mm().user.copyIn(auxv.get(33)!, 1))[0], 3, "the vDSO is there");
  assert.equal(run(t.mm().user.readU32(0x40_3ffc)), 0, "bss");
  assert.equal(t.task.comm, "a");
  assert.deepEqual(t.closed, [3]);
  assert.equal(t.inodes.get("/bin/a")!.writeCount, -1);
  const names = [...t.mm().vmas()].map((a) => a.name).filter((n) => n !== undefined);
  assert.deepEqual(names.sort(), ["[stack]", "[vdso]"]);
  t.task.mm!.put();
  assert.equal(t.inodes.get("/bin/a")!.writeCount, 0);
});

test("a dynamic program starts in its interpreter", () => {
  const interp: Segment = { type: 3, flags: 4, offset: 0x800, address: 0x800, fileBytes: 7, memoryBytes: 7 };
  const load = { ...LOAD, address: 0 };
  const t = setup({
    "/bin/d": elf(3, [load, interp], 0x100, "/ld.so"),
    "/ld.so": elf(3, [load], 0x200),
  });
  t.exec("/bin/d");
  assert.deepEqual(t.killed, []);
  const { auxv } = stackOf(t.mm(), t.started[0]!.sp);
  assert.equal(auxv.get(7)! + 0x200, t.started[0]!.pc);
  assert.ok(auxv.get(9)! >= 0x5555_5555_4000);
  assert.equal(auxv.get(9)! % PAGE_SIZE, 0x100);
});

test("scripts nest, pass one argument, and end in ELOOP", () => {
  const t = setup({
    "/s": new TextEncoder().encode("#! /t  -x y \nrest"),
    "/t": new TextEncoder().encode("#!/bin/a"),
    "/loop": new TextEncoder().encode("#!/loop\n"),
    "/bin/a": elf(2, [LOAD]),
  });
  assert.throws(() => t.exec("/loop"), (e) => e === ELOOP);
  t.exec("/s", ["s", "arg"]);
  assert.deepEqual(stackOf(t.mm(), t.started[0]!.sp).argv, ["/bin/a", "/t", "-x y", "/s", "arg"]);
  assert.equal(t.task.comm, "s");
});

test("what is not a program says so and leaves the old one alone", () => {
  const good = elf(2, [LOAD]);
  const patch = (at: number, value: number): Uint8Array => {
    const b = good.slice();
    b[at] = value;
    return b;
  };
  const interp: Segment = { type: 3, flags: 4, offset: 0x800, address: 0x800, fileBytes: 4, memoryBytes: 4 };
  const t = setup({
    "/text": new TextEncoder().encode("hello"),
    "/empty": new Uint8Array(0),
    "/torn": good.slice(0, 70),
    "/arm": patch(18, 183),
    "/object": patch(16, 1),
    "/phentsize": patch(54, 55),
    "/none": patch(56, 0),
    "/plain": { bytes: good, mode: 0o100644 },
    "/busy": good,
    "/dir": { bytes: new Uint8Array(0), mode: 0o040755 },
    "/nointerp": elf(2, [LOAD, interp], 0, "/xx\0"),
    "/badinterp": elf(2, [LOAD, { ...interp, fileBytes: 6 }], 0, "/text\0"),
    "/badend": elf(2, [LOAD, interp], 0, "/xxy"),
  });
  t.inodes.get("/busy")!.writeCount = 1;
  const before = t.kernel.frames.freePages;
  const cases: [string, Error][] = [
    ["/text", ENOEXEC],
    ["/empty", ENOEXEC],
    ["/torn", ENOEXEC],
    ["/arm", ENOEXEC],
    ["/object", ENOEXEC],
    ["/phentsize", ENOEXEC],
    ["/none", ENOEXEC],
    ["/plain", EACCES],
    ["/dir", EACCES],
    ["/busy", ETXTBSY],
    ["/nointerp", ENOENT],
    ["/badinterp", EIO],
    ["/badend", ENOEXEC],
    ["/missing", ENOENT],
  ];
  for (const [path, error] of cases) assert.throws(() => t.exec(path), (e) => e === error, path);
  t.inodes.set("/text", new TestInode(t.task, new TextEncoder().encode("x".repeat(64)), 0o100755));
  assert.throws(() => t.exec("/badinterp"), (e) => e === ELIBBAD);
  assert.deepEqual(t.killed, []);
  assert.ok(t.kernel.frames.freePages >= before - 2, "nothing is leaked");
  for (const inode of t.inodes.values()) assert.ok(inode.writeCount === 0 || inode.writeCount === 1);
});

test("hostile segments kill after the point of no return", () => {
  const cases: Segment[][] = [
    [{ ...LOAD, address: 0x7fff_ffff_f000 }],
    [{ ...LOAD, address: 2 ** 63 }],
    [{ ...LOAD, offset: 0x10 }],
    [{ ...LOAD, memoryBytes: 0x10 }],
    [{ ...LOAD, memoryBytes: 2 ** 62 }],
    [{ ...LOAD, fileBytes: 2 ** 60, memoryBytes: 2 ** 60 }],
    [{ ...LOAD, offset: 2 ** 63 }],
    [{ ...LOAD, memoryBytes: 2 ** 39 }],
  ];
  for (const [i, segments] of cases.entries()) {
    const t = setup({ "/x": elf(2, segments) });
    t.exec("/x");
    assert.deepEqual(t.killed, [11], `case ${i}`);
    assert.equal(t.started.length, 0);
  }
});

test("argument limits", () => {
  const t = setup({ "/bin/a": elf(2, [LOAD]) });
  assert.throws(() => t.exec("/bin/a", ["x".repeat(32 * PAGE_SIZE)]), (e) => e === E2BIG);
  t.task.group.rlimits[3]!.soft = 8 << 20;
  assert.throws(
    () => t.exec("/bin/a", Array.from({ length: 200 }, () => "x".repeat(20000))),
    (e) => e === E2BIG,
  );
  t.exec("/bin/a", ["x".repeat(32 * PAGE_SIZE - 1)]);
  t.exec("/bin/a", []);
  assert.equal(stackOf(t.mm(), t.started[1]!.sp).argc, 1);
});

test("set-user-ID changes the credentials and says so", () => {
  const t = setup({ "/su": { bytes: elf(2, [LOAD]), mode: 0o104755 } });
  t.exec("/su");
  assert.equal(t.task.cred.euid, 0);
  assert.equal(t.task.cred.uid, 1000);
  assert.equal(t.task.cred.suid, 0);
  assert.notEqual(t.task.cred.capEffective, 0n);
  assert.equal(stackOf(t.mm(), t.started[0]!.sp).auxv.get(23), 1);
  assert.equal(t.mm().dumpable, 0);
});

test("#! lines and capability attributes parse", () => {
  const line = (text: string) => {
    const head = new Uint8Array(256);
    head.set(new TextEncoder().encode(text).subarray(0, 256));
    return parseScript(head);
  };
  assert.deepEqual(line("#!/bin/sh\n"), { interpreter: "/bin/sh", argument: undefined });
  assert.deepEqual(line("#!  /bin/awk   -f  \nx"), { interpreter: "/bin/awk", argument: "-f" });
  assert.throws(() => line("#!\n/bin/sh"), (e) => e === ENOEXEC);
  assert.throws(() => line(`#!/${"x".repeat(300)}\n`), (e) => e === ENOEXEC);
  assert.equal(line(`#!/i ${"x".repeat(300)}\n`).argument?.length, 256 - 5);
  const v2 = new Uint8Array(20);
  v2.set([1, 0, 0, 2, 0, 0x20, 0, 0]);
  assert.deepEqual(parseFileCapabilities(v2), { permitted: 0x2000n, inheritable: 0n, isEffective: true });
});
