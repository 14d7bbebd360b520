// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Machine, machine } from "./fixture.test.ts";

function pipe(m: Machine): [number, number] {
  const address = m.buffer(8);
  assert.equal(m.call("pipe2", address, 0), 0);
  const view = new DataView(m.bytes(address, 8).slice().buffer);
  return [view.getInt32(0, true), view.getInt32(4, true)];
}

function offset(m: Machine, value: number): number {
  const address = m.buffer(8);
  m.task.mm!.user.tryCopyOut(address, new Uint8Array(new BigUint64Array([BigInt(value)]).buffer));
  return address;
}

function readOffset(m: Machine, address: number): number {
  return Number(new DataView(m.bytes(address, 8).slice().buffer).getBigInt64(0, true));
}

test("sendfile copies from a position and tells how far it came", () => {
  const m = machine();
  m.writeFile("/in", "0123456789".repeat(20_000));
  const input = m.call("open", "/in", 0, 0);
  const output = m.call("open", "/out", 0o102, 0o600);
  const at = offset(m, 5);
  assert.equal(m.call("sendfile", output, input, at, 150_000), 150_000);
  assert.equal(readOffset(m, at), 150_005);
  assert.equal(m.readFile("/out"), "0123456789".repeat(20_000).slice(5, 150_005));
  assert.equal(m.call("sendfile", output, input, 0, 10), 10);
  assert.equal(m.call("lseek", input, 0, 1), 10);
  assert.equal(m.fails("sendfile", input, output, 0, 10), "EBADF");
});

test("copy_file_range copies within bounds and refuses overlap", () => {
  const m = machine();
  m.writeFile("/in", "abcdefgh");
  const input = m.call("open", "/in", 2, 0);
  const output = m.call("open", "/out", 0o102, 0o600);
  assert.equal(m.call("copy_file_range", input, offset(m, 2), output, 0, 100, 0), 6);
  assert.equal(m.readFile("/out"), "cdefgh");
  assert.equal(m.fails("copy_file_range", input, offset(m, 0), input, offset(m, 1), 4, 0), "EINVAL");
  assert.equal(m.call("copy_file_range", input, offset(m, 0), input, offset(m, 4), 4, 0), 4);
  assert.equal(m.readFile("/in"), "abcdabcd");
});

test("splice and tee move bytes through pipes without losing any", () => {
  const m = machine();
  m.writeFile("/in", "x".repeat(5000) + "y".repeat(5000));
  const input = m.call("open", "/in", 0, 0);
  const [reader, writer] = pipe(m);
  const [reader2, writer2] = pipe(m);
  assert.equal(m.call("splice", input, 0, writer, 0, 10_000, 0), 10_000);
  assert.equal(m.call("tee", reader, writer2, 10_000, 0), 10_000);
  const output = m.call("open", "/out", 0o102, 0o600);
  assert.equal(m.call("splice", reader, 0, output, 0, 10_000, 0), 10_000);
  assert.equal(m.readFile("/out"), m.readFile("/in"));
  assert.equal(m.call("splice", reader2, 0, output, offset(m, 3), 4, 0), 4);
  assert.equal(m.fails("splice", reader, 0, output, 0, 10, 2), "EAGAIN");
  assert.equal(m.fails("splice", input, 0, output, 0, 10, 0), "EINVAL");
  m.call("close", writer);
  assert.equal(m.call("splice", reader, 0, output, 0, 10, 0), 0);
});
