// SPDX-License-Identifier: Apache-2.0
// The system calls of memory management. Sources: the manual pages of section 2 that they are named after.

import type { Task } from "../include/linux/sched.ts";
import {
  bufferIn,
  cstring,
  fd,
  flagsOf,
  int,
  long,
  pid,
  pointer,
  size,
  type Syscall,
  syscall,
  uint,
} from "../include/linux/syscalls.ts";
import type { Sleeps } from "../include/linux/wait.ts";
import {
  MAP_32BIT,
  MAP_ANONYMOUS,
  MAP_DENYWRITE,
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  MAP_GROWSDOWN,
  MAP_HUGETLB,
  MAP_LOCKED,
  MAP_NONBLOCK,
  MAP_NORESERVE,
  MAP_POPULATE,
  MAP_PRIVATE,
  MAP_SHARED,
  MAP_STACK,
  MAP_TYPE,
  MCL_CURRENT,
  MCL_FUTURE,
  MCL_ONFAULT,
  MFD_ALLOW_SEALING,
  MFD_CLOEXEC,
  MFD_EXEC,
  MFD_HUGETLB,
  MFD_NOEXEC_SEAL,
  MLOCK_ONFAULT,
  MREMAP_DONTUNMAP,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  MS_ASYNC,
  MS_INVALIDATE,
  MS_SYNC,
  PROT_EXEC,
  PROT_GROWSDOWN,
  PROT_GROWSUP,
  PROT_READ,
  PROT_WRITE,
} from "../include/uapi/mman.ts";
import { EBADF, EINVAL, ENOMEM, ENOSPC, ENOSYS } from "../lib/errno.ts";
import { PAGE_SIZE, pageOffset, TASK_SIZE } from "../virt/layout.ts";
import { adviseRegion, lockAll, lockRegion, residency, syncRegion, unlockAll } from "./madvise.ts";
import { mmStruct, type ProcessMm } from "./mm.ts";
import { processVmReadv, processVmWritev } from "./process_vm_access.ts";
import { createMemfd } from "./shmem_file.ts";

const MEMFD_NAME_MAX = 250;

function mmOf(task: Task): ProcessMm {
  if (task.mm === undefined) throw EINVAL;
  return mmStruct(task.mm);
}

const protFlags = flagsOf({ PROT_READ, PROT_WRITE, PROT_EXEC, PROT_GROWSDOWN, PROT_GROWSUP });
const mapFlags = flagsOf({
  MAP_SHARED,
  MAP_PRIVATE,
  MAP_FIXED,
  MAP_ANONYMOUS,
  MAP_32BIT,
  MAP_GROWSDOWN,
  MAP_DENYWRITE,
  MAP_LOCKED,
  MAP_NORESERVE,
  MAP_POPULATE,
  MAP_NONBLOCK,
  MAP_STACK,
  MAP_HUGETLB,
  MAP_FIXED_NOREPLACE,
});

const mmap = syscall(
  "mmap",
  [pointer, size, protFlags, mapFlags, fd, long],
  function*(task, address, length, prot, flags, descriptor, offset): Sleeps<number> {
    if (pageOffset(offset) !== 0 || offset < 0) throw EINVAL;
    if ((flags & MAP_ANONYMOUS) !== 0) {
      return yield* mmOf(task).mmap(task, address, length, prot, flags, undefined, 0);
    }
    const file = task.files.find(descriptor);
    if (file === undefined) throw EBADF;
    if ((flags & MAP_TYPE) === 0) throw EINVAL;
    return yield* mmOf(task).mmap(task, address, length, prot, flags, file, offset);
  },
  { level: "partial", missing: "MAP_HUGETLB (there is no pool of huge pages: ENOMEM), MAP_SYNC" },
);

const munmap = syscall("munmap", [pointer, size], (task, address, length) => {
  mmOf(task).munmap(address, length);
  return 0;
});

const mprotect = syscall("mprotect", [pointer, size, protFlags], (task, address, length, prot) => {
  const grows = prot & (PROT_GROWSDOWN | PROT_GROWSUP);
  if ((prot & ~(PROT_READ | PROT_WRITE | PROT_EXEC | PROT_GROWSDOWN | PROT_GROWSUP)) !== 0) throw EINVAL;
  if (grows === (PROT_GROWSDOWN | PROT_GROWSUP)) throw EINVAL;
  const mm = mmOf(task);
  if (grows === 0 || pageOffset(address) !== 0) {
    mm.mprotect(address, length, prot);
    return 0;
  }
  const area = mm.findVma(address);
  if (area === undefined) throw ENOMEM;
  if (grows === PROT_GROWSUP || (area.flags & MAP_GROWSDOWN) === 0) throw EINVAL;
  mm.mprotect(area.start, address + length - area.start, prot);
  return 0;
});

const mremap = syscall(
  "mremap",
  [pointer, size, size, flagsOf({ MREMAP_MAYMOVE, MREMAP_FIXED, MREMAP_DONTUNMAP }), pointer],
  (task, address, oldLength, newLength, flags, newAddress) =>
    mmOf(task).mremap(task, address, oldLength, newLength, flags, newAddress),
);

const brk = syscall("brk", [pointer], (task, address) => mmOf(task).setBrk(task, address));

const madvise = syscall(
  "madvise",
  [pointer, size, int],
  (task, address, length, advice) => adviseRegion(mmOf(task), task, address, length, advice),
);

const msync = syscall(
  "msync",
  [pointer, size, flagsOf({ MS_ASYNC, MS_INVALIDATE, MS_SYNC })],
  (task, address, length, flags) => syncRegion(mmOf(task), address, length, flags),
);

const mincore = syscall(
  "mincore",
  [pointer, size, pointer],
  function*(task, address, length, vector): Sleeps<number> {
    if (pageOffset(address) !== 0) throw EINVAL;
    if (!(address + length <= TASK_SIZE)) throw ENOMEM;
    const mm = mmOf(task);
    const pages = Math.ceil(length / PAGE_SIZE);
    for (let done = 0; done < pages; done += PAGE_SIZE) {
      const bytes = residency(mm, address + done * PAGE_SIZE, Math.min(PAGE_SIZE, pages - done));
      yield* mm.user.copyOut(vector + done, bytes);
    }
    return 0;
  },
);

const mlock = syscall(
  "mlock",
  [pointer, size],
  (task, address, length) => lockRegion(mmOf(task), task, address, length, "lock"),
);
const mlock2 = syscall(
  "mlock2",
  [pointer, size, flagsOf({ MLOCK_ONFAULT })],
  (task, address, length, flags) => {
    if ((flags & ~MLOCK_ONFAULT) !== 0) throw EINVAL;
    return lockRegion(mmOf(task), task, address, length, flags === 0 ? "lock" : "onfault");
  },
);
const munlock = syscall(
  "munlock",
  [pointer, size],
  (task, address, length) => lockRegion(mmOf(task), task, address, length, "unlock"),
);
const mlockall = syscall(
  "mlockall",
  [flagsOf({ MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT })],
  (task, flags) => lockAll(mmOf(task), task, flags),
);
const munlockall = syscall("munlockall", [], (task) => unlockAll(mmOf(task)));

// Without protection keys in the processor there is key 0 for everything, and no other to be had: pkeys(7).
const pkeyMprotect = syscall(
  "pkey_mprotect",
  [pointer, size, protFlags, int],
  (task, address, length, prot, key) => {
    if (key !== -1) throw EINVAL;
    mmOf(task).mprotect(address, length, prot);
    return 0;
  },
);
const pkeyAlloc = syscall("pkey_alloc", [uint, uint], (_task, flags, rights) => {
  if (flags !== 0 || (rights & ~3) !== 0) throw EINVAL;
  throw ENOSPC;
});
const pkeyFree = syscall("pkey_free", [int], () => {
  throw EINVAL;
});

const remapFilePages = syscall("remap_file_pages", [pointer, size, int, size, int], () => {
  throw ENOSYS;
}, { level: "partial", missing: "all of it: nonlinear mappings are not made (ENOSYS)" });

const memfdCreate = syscall(
  "memfd_create",
  [cstring, flagsOf({ MFD_CLOEXEC, MFD_ALLOW_SEALING, MFD_HUGETLB, MFD_NOEXEC_SEAL, MFD_EXEC })],
  function*(task, address, flags): Sleeps<number> {
    const known = MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB | MFD_NOEXEC_SEAL | MFD_EXEC;
    if ((flags & ~known) !== 0) throw EINVAL;
    if ((flags & MFD_EXEC) !== 0 && (flags & MFD_NOEXEC_SEAL) !== 0) throw EINVAL;
    if ((flags & MFD_HUGETLB) !== 0) throw ENOSYS;
    const name = yield* mmOf(task).user.readString(address, MEMFD_NAME_MAX, EINVAL);
    const file = createMemfd(
      task.kernel,
      name,
      (flags & MFD_ALLOW_SEALING) !== 0,
      (flags & MFD_NOEXEC_SEAL) !== 0,
    );
    file.inode.uid = task.cred.fsuid;
    file.inode.gid = task.cred.fsgid;
    try {
      return task.files.install(task, file, (flags & MFD_CLOEXEC) !== 0);
    } catch (error) {
      file.put();
      throw error;
    }
  },
  { level: "partial", missing: "MFD_HUGETLB" },
);

const processVmReadvCall = syscall(
  "process_vm_readv",
  [pid, bufferIn, size, bufferIn, size, uint],
  processVmReadv,
);
const processVmWritevCall = syscall(
  "process_vm_writev",
  [pid, bufferIn, size, bufferIn, size, uint],
  processVmWritev,
);

export const mmSyscalls: readonly Syscall[] = [
  mmap,
  munmap,
  mprotect,
  mremap,
  brk,
  madvise,
  msync,
  mincore,
  mlock,
  mlock2,
  munlock,
  mlockall,
  munlockall,
  pkeyMprotect,
  pkeyAlloc,
  pkeyFree,
  remapFilePages,
  memfdCreate,
  processVmReadvCall,
  processVmWritevCall,
];
