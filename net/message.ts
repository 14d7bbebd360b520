// SPDX-License-Identifier: Apache-2.0
// Sending and receiving: sendto(2), recvfrom(2), sendmsg(2), recvmsg(2) and their many-message forms.
//
// User memory is made present first, a window at a time for streams and whole for messages; then the socket's attempt
// runs without faults, again after each sleep. Source: send(2), recv(2), sendmmsg(2), recvmmsg(2).

import { type Access, ACCESS_READ, ACCESS_WRITE } from "../include/linux/cpu.ts";
import type { File } from "../include/linux/fs.ts";
import type { Task } from "../include/linux/sched.ts";
import {
  bufferIn,
  bufferOut,
  int,
  openFile,
  pointer,
  size,
  type Support,
  type Syscall,
  syscall,
  type SyscallAnswer,
  uint,
} from "../include/linux/syscalls.ts";
import type { IovIter } from "../include/linux/uio.ts";
import { isSleeping, type Sleeps, type Try, WOULD_BLOCK } from "../include/linux/wait.ts";
import {
  MSG_CMSG_CLOEXEC,
  MSG_DONTWAIT,
  MSG_ERRQUEUE,
  MSG_PEEK,
  MSG_WAITALL,
  MSG_WAITFORONE,
} from "../include/uapi/socket.ts";
import { EAGAIN, EFAULT, EINVAL, EMSGSIZE, ENOBUFS } from "../lib/errno.ts";
import { lengthOf, readSegments, readU64, type Segment, userOf, windowOf } from "../fs/uio.ts";
import { readTimeout } from "../fs/select.ts";
import { type Ancillary, ControlWriter, credentialsOfTask, dropFiles, parseControl } from "./core/scm.ts";
import {
  type InMessage,
  newInMessage,
  type OutMessage,
  READ_EVENTS,
  type Socket,
  WRITE_EVENTS,
} from "./core/sock.ts";
import { readAddress, socketOf, writeAddress } from "./socket.ts";

const MSGHDR_BYTES = 56;
const MMSGHDR_BYTES = 64;
const IOV_MAX = 1024;
const CONTROL_MAX = 20480;
const NOT_PRESENT = -1;

interface MessageHeader {
  readonly name: number;
  readonly nameLength: number;
  readonly segments: Segment[];
  readonly control: number;
  readonly controlLength: number;
}

function* readHeader(task: Task, address: number): Sleeps<MessageHeader> {
  const bytes = yield* userOf(task).copyIn(address, MSGHDR_BYTES);
  const view = new DataView(bytes.buffer, bytes.byteOffset, MSGHDR_BYTES);
  const name = readU64(view, 0);
  const nameLength = view.getInt32(8, true);
  const vector = readU64(view, 16);
  const count = readU64(view, 24);
  const control = readU64(view, 32);
  const controlLength = readU64(view, 40);
  if (count > IOV_MAX) throw EMSGSIZE;
  if (nameLength < 0) throw EINVAL;
  const segments = yield* readSegments(task, vector, count);
  return { name, nameLength: name === 0 ? 0 : Math.min(nameLength, 128), segments, control, controlLength };
}

/** Runs `operation` over present memory, waiting for `events` while it would block. */
function* withMemory(
  task: Task,
  socket: Socket,
  segments: readonly Segment[],
  access: Access,
  flags: number,
  operation: (iter: IovIter) => Try<number>,
): Sleeps<number> {
  const user = userOf(task);
  const [events, timeoutNs] = access === ACCESS_WRITE
    ? [READ_EVENTS, socket.options.receiveTimeoutNs]
    : [WRITE_EVENTS, socket.options.sendTimeoutNs];
  const attempt = (): Try<number> => {
    for (const { address, length } of segments) {
      if (!user.tryPrepare(address, length, access)) return NOT_PRESENT;
    }
    return operation(user.iter(segments));
  };
  for (;;) {
    const answer = yield* socket.wait(task, events, attempt, flags, timeoutNs);
    if (answer !== NOT_PRESENT) return answer;
    for (const { address, length } of segments) yield* user.prepare(address, length, access);
  }
}

interface Outgoing {
  readonly segments: readonly Segment[];
  readonly flags: number;
  readonly name: Uint8Array | undefined;
  readonly ancillary: Ancillary;
}

function* sendOut(task: Task, socket: Socket, out: Outgoing): Sleeps<number> {
  const { segments, flags, name, ancillary } = out;
  const resolved = name === undefined ? undefined : socket.resolveTarget(task, name);
  const target = isSleeping(resolved) ? yield* resolved : resolved;
  const credentials = ancillary.credentials ?? credentialsOfTask(task);
  const total = lengthOf(segments);
  let done = 0;
  try {
    do {
      const window = socket.isStream ? windowOf(segments, done) : segments;
      done += yield* withMemory(task, socket, window, ACCESS_READ, flags, (iter) => {
        const message: OutMessage = {
          iter,
          flags,
          name,
          target,
          files: ancillary.files,
          credentials,
          hasCredentials: ancillary.credentials !== undefined,
        };
        const answer = socket.send(message);
        ancillary.files = message.files;
        return answer;
      });
    } while (socket.isStream && done < total);
  } catch (error) {
    if (done === 0) throw error;
  } finally {
    dropFiles(ancillary.files);
  }
  return done;
}

function* sendTo(
  task: Task,
  file: File,
  address: number,
  length: number,
  flags: number,
  name: number,
  nameLength: number,
): Sleeps<number> {
  const socket = socketOf(file);
  const to = name === 0 ? undefined : yield* readAddress(task, name, nameLength);
  const segments = length === 0 ? [] : [{ address, length: Math.min(length, 0x7fff_f000) }];
  return yield* sendOut(task, socket, {
    segments,
    flags,
    name: to,
    ancillary: { files: [], credentials: undefined },
  });
}

/** send(2) without address where all is present and there is room: no generator. */
function sendQuickly(
  task: Task,
  file: File,
  address: number,
  length: number,
  flags: number,
  name: number,
  nameLength: number,
): SyscallAnswer {
  const socket = socketOf(file);
  const user = userOf(task);
  if (name === 0 && length > 0 && length <= 131072 && user.tryPrepare(address, length, ACCESS_READ)) {
    const iter = user.iter([{ address, length }]);
    const credentials = credentialsOfTask(task);
    const answer = socket.send(
      { iter, flags, name: undefined, target: undefined, files: [], credentials, hasCredentials: false },
    );
    if (answer === length) return length;
    if (answer === WOULD_BLOCK && (socket.isNonBlocking || (flags & MSG_DONTWAIT) !== 0)) throw EAGAIN;
    if (answer !== WOULD_BLOCK) return sendRest(task, socket, address, length, answer, flags);
  }
  return sendTo(task, file, address, length, flags, name, nameLength);
}

function* sendRest(
  task: Task,
  socket: Socket,
  address: number,
  length: number,
  done: number,
  flags: number,
): Sleeps<number> {
  const segments = [{ address: address + done, length: length - done }];
  try {
    const ancillary = { files: [], credentials: undefined };
    return done + (yield* sendOut(task, socket, { segments, flags, name: undefined, ancillary }));
  } catch {
    return done;
  }
}

function* sendMessage(task: Task, socket: Socket, address: number, flags: number): Sleeps<number> {
  const header = yield* readHeader(task, address);
  const name = header.nameLength === 0 ? undefined : yield* readAddress(task, header.name, header.nameLength);
  let ancillary: Ancillary = { files: [], credentials: undefined };
  if (header.control !== 0 && header.controlLength > 0) {
    if (header.controlLength > CONTROL_MAX) throw ENOBUFS;
    const control = Uint8Array.from(yield* userOf(task).copyIn(header.control, header.controlLength));
    ancillary = parseControl(task, control);
  }
  return yield* sendOut(task, socket, { segments: header.segments, flags, name, ancillary });
}

/** Receives into `segments`. A stream with MSG_WAITALL goes on until all is there. */
function* receiveInto(
  task: Task,
  socket: Socket,
  segments: readonly Segment[],
  flags: number,
): Sleeps<{ count: number; message: InMessage | undefined }> {
  const total = lengthOf(segments);
  const waitsForAll = socket.isStream && (flags & (MSG_WAITALL | MSG_PEEK)) === MSG_WAITALL;
  let done = 0;
  let message: InMessage | undefined;
  try {
    do {
      const window = socket.isStream ? windowOf(segments, done) : segments;
      const count = yield* withMemory(task, socket, window, ACCESS_WRITE, flags, (iter) => {
        const next = newInMessage(iter, flags);
        const answer = socket.receive(next);
        if (answer !== WOULD_BLOCK) message = next;
        return answer;
      });
      done += count;
      if (count === 0 || (message?.files.length ?? 0) > 0) break;
    } while (waitsForAll && done < total);
  } catch (error) {
    if (done === 0) throw error;
  }
  return { count: done, message };
}

function* receiveFrom(
  task: Task,
  file: File,
  address: number,
  length: number,
  flags: number,
  name: number,
  nameLengthAddress: number,
): Sleeps<number> {
  const socket = socketOf(file);
  if ((flags & MSG_ERRQUEUE) !== 0) throw EAGAIN;
  const segments = length === 0 ? [] : [{ address, length: Math.min(length, 0x7fff_f000) }];
  const { count, message } = yield* receiveInto(task, socket, segments, flags);
  if (message !== undefined) dropFiles(message.files);
  if (name !== 0) {
    yield* writeAddress(task, message?.name ?? new Uint8Array(0), name, nameLengthAddress);
  }
  return count;
}

function receiveQuickly(
  task: Task,
  file: File,
  address: number,
  length: number,
  flags: number,
  name: number,
  nameLengthAddress: number,
): SyscallAnswer {
  const socket = socketOf(file);
  const user = userOf(task);
  const isPlain = name === 0 && (flags & (MSG_WAITALL | MSG_ERRQUEUE)) === 0;
  if (isPlain && length > 0 && length <= 131072 && user.tryPrepare(address, length, ACCESS_WRITE)) {
    const message = newInMessage(user.iter([{ address, length }]), flags);
    const answer = socket.receive(message);
    if (answer !== WOULD_BLOCK) {
      dropFiles(message.files);
      return answer;
    }
    if (socket.isNonBlocking || (flags & MSG_DONTWAIT) !== 0) throw EAGAIN;
  }
  return receiveFrom(task, file, address, length, flags, name, nameLengthAddress);
}

function* receiveMessage(task: Task, socket: Socket, address: number, flags: number): Sleeps<number> {
  if ((flags & MSG_ERRQUEUE) !== 0) throw EAGAIN;
  const header = yield* readHeader(task, address);
  const { count, message } = yield* receiveInto(task, socket, header.segments, flags);
  const control = new ControlWriter(header.control === 0 ? 0 : header.controlLength);
  if (message !== undefined) {
    if (message.credentials !== undefined) control.putCredentials(message.credentials);
    if (message.files.length > 0) control.putFiles(task, message.files, (flags & MSG_CMSG_CLOEXEC) !== 0);
    for (const [level, type, data] of message.controls) control.put(level, type, data);
  }
  yield* writeHeader(task, address, header, message, control, flags);
  return count;
}

function* writeHeader(
  task: Task,
  address: number,
  header: MessageHeader,
  message: InMessage | undefined,
  control: ControlWriter,
  flags: number,
): Sleeps<void> {
  const user = userOf(task);
  if (header.name !== 0) {
    const name = message?.name ?? new Uint8Array(0);
    const length = Math.min(name.length, header.nameLength);
    if (length > 0) yield* user.copyOut(header.name, name.subarray(0, length));
    yield* user.writeU32(address + 8, name.length);
  }
  if (control.length > 0) yield* user.copyOut(header.control, control.bytes);
  yield* user.writeU64(address + 40, control.length);
  yield* user.writeU32(address + 48, (message?.outFlags ?? 0) | control.flags | (flags & MSG_CMSG_CLOEXEC));
}

function* sendMany(task: Task, file: File, address: number, count: number, flags: number): Sleeps<number> {
  const socket = socketOf(file);
  let sent = 0;
  try {
    for (; sent < Math.min(count, IOV_MAX); sent++) {
      const at = address + sent * MMSGHDR_BYTES;
      const length = yield* sendMessage(task, socket, at, flags);
      yield* userOf(task).writeU32(at + MSGHDR_BYTES, length);
    }
  } catch (error) {
    if (sent === 0) throw error;
  }
  return sent;
}

function* receiveMany(
  task: Task,
  file: File,
  address: number,
  count: number,
  flags: number,
  timeout: number,
): Sleeps<number> {
  const socket = socketOf(file);
  const timeoutNs = yield* readTimeout(task, timeout, 1);
  const { time } = task.kernel;
  const deadline = timeoutNs === undefined ? Infinity : time.monotonicNs() + timeoutNs;
  let received = 0;
  let nextFlags = flags & ~MSG_WAITFORONE;
  try {
    for (; received < Math.min(count, IOV_MAX);) {
      const at = address + received * MMSGHDR_BYTES;
      const length = yield* receiveMessage(task, socket, at, nextFlags);
      yield* userOf(task).writeU32(at + MSGHDR_BYTES, length);
      received++;
      if ((flags & MSG_WAITFORONE) !== 0) nextFlags |= MSG_DONTWAIT;
      if (time.monotonicNs() >= deadline) break;
    }
  } catch (error) {
    if (received === 0 || error === EFAULT) throw error;
  }
  return received;
}

const NO_URGENT: Support = {
  level: "partial",
  missing: "MSG_OOB, MSG_ZEROCOPY; MSG_MORE holds nothing back",
};
const NO_ERROR_QUEUE: Support = { level: "partial", missing: "MSG_OOB, MSG_ERRQUEUE, SO_PEEK_OFF" };

export const messageSyscalls: readonly Syscall[] = [
  syscall("sendto", [openFile, bufferIn, size, uint, pointer, int], sendQuickly, NO_URGENT),
  syscall("recvfrom", [openFile, bufferOut, size, uint, pointer, pointer], receiveQuickly, NO_ERROR_QUEUE),
  syscall(
    "sendmsg",
    [openFile, pointer, uint],
    (task, file, address, flags) => sendMessage(task, socketOf(file), address, flags),
    NO_URGENT,
  ),
  syscall(
    "recvmsg",
    [openFile, pointer, uint],
    (task, file, address, flags) => receiveMessage(task, socketOf(file), address, flags),
    NO_ERROR_QUEUE,
  ),
  syscall("sendmmsg", [openFile, pointer, uint, uint], sendMany, NO_URGENT),
  syscall("recvmmsg", [openFile, pointer, uint, uint, pointer], receiveMany, NO_ERROR_QUEUE),
];
