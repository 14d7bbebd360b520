// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { POLLHUP, POLLIN, POLLOUT, POLLPRI, POLLRDNORM } from "../../include/linux/fs.ts";
import { type Sleeps, WOULD_BLOCK } from "../../include/linux/wait.ts";
import { O_NOCTTY, O_RDWR } from "../../include/uapi/fcntl.ts";
import { TIOCPKT, TIOCPKT_FLUSHREAD, TIOCPKT_STOP, TIOCSPTLCK } from "../../include/uapi/ioctls.ts";
import { ECHO, ICANON } from "../../include/uapi/termios.ts";
import { EIO, ENXIO } from "../../lib/errno.ts";
import { KernelIter } from "../../lib/uio.ts";
import { run } from "../../mm/testing.ts";
import { type Machine, machine } from "../../fs/fixture.test.ts";
import { makeDevice } from "../../include/uapi/stat.ts";
import type { File } from "../../include/linux/fs.ts";
import { PtyMaster, registerPtyDevices } from "./pty.ts";
import { TtyFile } from "./tty_file.ts";

interface Pair {
  readonly m: Machine;
  readonly master: PtyMaster;
  readonly slave: TtyFile;
}

function openDevice(m: Machine, major: number, minor: number): File {
  const path = m.task.fs.root;
  const file = m.vfs.openDevice(m.task, path, O_RDWR | O_NOCTTY, "char", makeDevice(major, minor));
  assert.ok("put" in file);
  return file;
}

function setInt(m: Machine, file: File, command: number, value: number): void {
  const address = m.buffer(8);
  run(m.task.mm!.user.writeU32(address, value));
  const answer = file.ioctl(m.task, command, address);
  if (typeof answer !== "number") run(answer);
}

function pair(): Pair {
  const m = machine();
  registerPtyDevices(m.kernel);
  Object.assign(m.kernel.tasks, { current: undefined, processGroup: () => [] });
  const master = openDevice(m, 5, 2);
  assert.ok(master instanceof PtyMaster);
  assert.throws(() => openDevice(m, 136, 0), (error) => error === EIO, "locked");
  setInt(m, master, TIOCSPTLCK, 0);
  const slave = openDevice(m, 136, 0);
  assert.ok(slave instanceof TtyFile);
  return { m, master, slave };
}

function write({ m }: Pair, file: File, text: string): number | typeof WOULD_BLOCK | Sleeps<number> {
  return file.write(new KernelIter(m.kernel.ram, Buffer.from(text, "latin1")), undefined);
}

function read({ m }: Pair, file: File, room: number = 256): string | typeof WOULD_BLOCK {
  const bytes = new Uint8Array(room);
  const answer = file.read(new KernelIter(m.kernel.ram, bytes), undefined);
  if (answer === WOULD_BLOCK) return WOULD_BLOCK;
  assert.equal(typeof answer, "number");
  return Buffer.from(bytes.subarray(0, Number(answer))).toString("latin1");
}

test("what is typed is echoed and read as a line; what is written gets carriage returns", () => {
  const p = pair();
  write(p, p.master, "ls\r");
  assert.equal(read(p, p.master), "ls\r\n");
  assert.equal(read(p, p.slave), "ls\n");
  assert.equal(read(p, p.slave), WOULD_BLOCK);
  write(p, p.slave, "a\nb");
  assert.equal(read(p, p.master), "a\r\nb");
});

test("a full input buffer holds the master back and loses nothing", () => {
  const p = pair();
  const { tty } = p.slave;
  const old = tty.termios.clone();
  tty.termios.lflag &= ~(ICANON | ECHO);
  tty.settingsChanged(old);
  let sent = 0;
  for (;;) {
    const count = write(p, p.master, "0123456789".repeat(1000));
    if (typeof count !== "number") break;
    sent += count;
  }
  assert.ok(sent > 65536);
  assert.equal(p.master.poll() & POLLOUT, 0);
  let got = "";
  for (;;) {
    const part = read(p, p.slave, 4096);
    if (part === WOULD_BLOCK) break;
    got += part;
  }
  assert.equal(got.length, sent);
  assert.equal(got, "0123456789".repeat(got.length / 10 + 1).slice(0, got.length));
  assert.equal(p.master.poll() & POLLOUT, POLLOUT);
});

test("packet mode tells of stops and flushes before data", () => {
  const p = pair();
  setInt(p.m, p.master, TIOCPKT, 1);
  write(p, p.slave, "out");
  assert.equal(read(p, p.master), "\0out");
  write(p, p.master, "\x13");
  assert.equal(p.master.poll() & (POLLPRI | POLLIN | POLLRDNORM), POLLPRI | POLLIN | POLLRDNORM);
  assert.equal((read(p, p.master) as string).charCodeAt(0), TIOCPKT_STOP);
  write(p, p.master, "\x11\x03");
  assert.ok(((read(p, p.master) as string).charCodeAt(0) & TIOCPKT_FLUSHREAD) !== 0);
});

test("each side sees the other go", () => {
  const p = pair();
  write(p, p.slave, "last");
  p.slave.put();
  assert.equal(p.master.poll() & POLLHUP, POLLHUP);
  assert.equal(read(p, p.master), "last");
  assert.throws(() => read(p, p.master), (error) => error === EIO);
  const again = openDevice(p.m, 136, 0);
  assert.equal(p.master.poll() & POLLHUP, 0);
  p.master.put();
  assert.equal(read(p, again), "");
  assert.throws(() => write(p, again, "x"), (error) => error === EIO);
  assert.throws(() => openDevice(p.m, 136, 0), (error) => error === ENXIO);
});
