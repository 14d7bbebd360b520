// SPDX-License-Identifier: Apache-2.0
// What mapped memory does and what it refuses. Sources: mmap(2), mprotect(2), mremap(2), madvise(2), msync(2),
// mincore(2), mlock(2), brk(2), sigaction(2) on SEGV_* and BUS_*, memfd_create(2), process_vm_readv(2).
#define _GNU_SOURCE
#include "../check.h"
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#define PAGE 4096L
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static sigjmp_buf out;
static volatile int fault_signal, fault_code;
static void *volatile fault_address;

static void on_fault(int signal, siginfo_t *info, void *context) {
  (void)context;
  fault_signal = signal;
  fault_code = info->si_code;
  fault_address = info->si_addr;
  siglongjmp(out, 1);
}

/* "fine", or the signal, its code and whether its address is right. */
static const char *touch(volatile char *at, int writes) {
  static char text[64];
  if (sigsetjmp(out, 1) == 0) {
    if (writes) *at = 1;
    else (void)*at;
    return "fine";
  }
  snprintf(text, sizeof text, "signal %d code %d at %s", fault_signal, fault_code, fault_address == (void *)at ? "it" : "other");
  return text;
}
#define READS(at) printf("%s:%d read %s\n", __func__, __LINE__, touch(at, 0))
#define WRITES(at) printf("%s:%d write %s\n", __func__, __LINE__, touch(at, 1))

static char *map(long pages, int prot) {
  char *at = mmap(0, pages * PAGE, prot, ANON, -1, 0);
  CHECK(at != MAP_FAILED);
  return at;
}

static void rights(void) {
  char *a = map(8, RW);
  READS(a);
  WRITES(a);
  mprotect(a, PAGE, PROT_READ);
  READS(a);
  WRITES(a);
  mprotect(a, PAGE, PROT_NONE);
  READS(a);
  mprotect(a, PAGE, RW);
  CHECK(a[0] == 1);
  munmap(a + PAGE, PAGE);
  READS(a + PAGE);
  WRITES(0);
  READS((char *)0x1000);
  READS((char *)0x8000000000000000UL);
  READS((char *)0xffffffff80000000UL);
  CHECK_ERRNO(munmap(a + 1, PAGE), EINVAL);
  CHECK_ERRNO(munmap(a, 0), EINVAL);
  CHECK_ERRNO(mprotect(a + 1, PAGE, PROT_READ), EINVAL);
  CHECK_ERRNO(mprotect(a, 3 * PAGE, PROT_READ), ENOMEM);
  CHECK_ERRNO(mprotect(a, PAGE, 0x100), EINVAL);
  CHECK_ERRNO(mmap(a, PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0), EEXIST);
  CHECK_ERRNO(mmap((void *)0x10001, PAGE, RW, ANON | MAP_FIXED, -1, 0), EINVAL);
  CHECK_ERRNO(mmap((void *)0x7ffffffff000, PAGE, RW, ANON | MAP_FIXED, -1, 0), ENOMEM);
  CHECK_ERRNO(mmap(0, 0, RW, ANON, -1, 0), EINVAL);
  CHECK_ERRNO(mmap(0, PAGE, RW, MAP_ANONYMOUS, -1, 0), EINVAL);
  CHECK_ERRNO(mmap(0, PAGE, RW, MAP_PRIVATE, -1, 0), EBADF);
  CHECK_ERRNO(mmap(0, 1UL << 60, RW, ANON, -1, 0), ENOMEM);
  CHECK_ERRNO(mmap(0, PAGE, RW, MAP_SHARED_VALIDATE | MAP_ANONYMOUS, -1, 0), EINVAL);
}

static void files(void) {
  int fd = open("mappings.tmp", O_RDWR | O_CREAT | O_TRUNC, 0600);
  unlink("mappings.tmp");
  char b[8] = {0};
  CHECK(ftruncate(fd, PAGE + 100) == 0 && pwrite(fd, "hello", 5, 0) == 5);
  char *shared = mmap(0, 4 * PAGE, RW, MAP_SHARED, fd, 0), *own = mmap(0, 4 * PAGE, RW, MAP_PRIVATE, fd, 0);
  shared[0] = 'J';
  CHECK(own[0] == 'J');
  own[1] = 'u';
  CHECK(shared[1] == 'e' && pread(fd, b, 5, 0) == 5 && memcmp(b, "Jello", 5) == 0);
  CHECK(pwrite(fd, "XY", 2, 0) == 2 && shared[1] == 'Y' && own[1] == 'u');
  READS(shared + 2 * PAGE);
  WRITES(own + 2 * PAGE);
  ftruncate(fd, 10);
  READS(shared + PAGE);
  READS(own + PAGE);
  ftruncate(fd, 3 * PAGE);
  CHECK(shared[20] == 0);
  WRITES(shared + 2 * PAGE);
  CHECK(msync(shared, 3 * PAGE, MS_SYNC) == 0);
  CHECK_ERRNO(msync(shared, PAGE, MS_SYNC | MS_ASYNC), EINVAL);
  CHECK_ERRNO(msync(shared + 1, PAGE, MS_SYNC), EINVAL);
  CHECK_ERRNO(mmap(0, PAGE, PROT_READ, MAP_PRIVATE, fd, 1), EINVAL);
  int pair[2];
  CHECK(pipe(pair) == 0);
  CHECK_ERRNO(mmap(0, PAGE, PROT_READ, MAP_PRIVATE, pair[0], 0), ENODEV);
  pid_t child = fork();
  if (child == 0) {
    shared[PAGE] = 'Z';
    _exit(0);
  }
  waitpid(child, 0, 0);
  CHECK(pread(fd, b, 1, PAGE) == 1 && b[0] == 'Z');
  munmap(shared + PAGE, PAGE);
  CHECK_ERRNO(msync(shared, 3 * PAGE, MS_SYNC), ENOMEM);
  CHECK(msync(shared + 2 * PAGE, PAGE, MS_SYNC) == 0 && msync(shared, PAGE, MS_ASYNC) == 0);
}

static void forks(void) {
  int *shared = mmap(0, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  char *own = map(1, RW), *wiped = map(1, RW), *gone = map(1, RW);
  *own = *wiped = 5;
  CHECK(madvise(wiped, PAGE, MADV_WIPEONFORK) == 0 && madvise(gone, PAGE, MADV_DONTFORK) == 0);
  pid_t child = fork();
  if (child == 0) {
    *shared = 2;
    *own = 2;
    CHECK(*wiped == 0);
    READS(gone);
    _exit(check_failures);
  }
  int status;
  waitpid(child, &status, 0);
  CHECK(status == 0 && *shared == 2 && *own == 5 && *wiped == 5);
}

static void moves(void) {
  char *a = map(4, RW), *b;
  a[0] = 7;
  CHECK((b = mremap(a, 2 * PAGE, 64 * PAGE, MREMAP_MAYMOVE)) != MAP_FAILED && b[0] == 7 && b[63 * PAGE] == 0);
  CHECK(mremap(b, 64 * PAGE, PAGE, 0) == b);
  READS(b + PAGE);
  CHECK_ERRNO(mremap(b + 1, PAGE, PAGE, 0), EINVAL);
  CHECK_ERRNO(mremap(b, PAGE, 0, 0), EINVAL);
  CHECK_ERRNO(mremap(b, PAGE, 2 * PAGE, 8), EINVAL);
  CHECK_ERRNO(mremap(b, PAGE, 2 * PAGE, MREMAP_FIXED, b), EINVAL);
  CHECK_ERRNO(mremap((void *)0x1000, PAGE, PAGE, 0), EFAULT);
  char *target = map(4, PROT_NONE);
  CHECK(mremap(b, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, target) == target && target[0] == 7);
  char *left = map(1, RW);
  left[0] = 3;
  char *moved = mremap(left, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0);
  CHECK(moved[0] == 3 && left[0] == 0);
}

static void advice(void) {
  char *a = map(4, RW);
  unsigned char vector[4];
  memset(a, 1, 4 * PAGE);
  CHECK(madvise(a + PAGE, PAGE, MADV_DONTNEED) == 0 && a[PAGE] == 0 && a[2 * PAGE] == 1);
  CHECK_ERRNO(madvise(a, PAGE, 9999), EINVAL);
  CHECK_ERRNO(madvise(a + 1, PAGE, MADV_DONTNEED), EINVAL);
  CHECK_ERRNO(madvise((void *)0x1000, PAGE, MADV_DONTNEED), ENOMEM);
  CHECK_ERRNO(madvise(a, PAGE, MADV_REMOVE), EINVAL);
  CHECK(madvise(a, 4 * PAGE, MADV_DONTNEED) == 0);
  a[PAGE] = 1;
  CHECK(mincore(a, 4 * PAGE, vector) == 0 && (vector[0] & 1) == 0 && (vector[1] & 1) == 1);
  CHECK_ERRNO(mincore(a + 1, PAGE, vector), EINVAL);
  CHECK_ERRNO(mincore((void *)0x1000, PAGE, vector), ENOMEM);
  CHECK_ERRNO(mincore(a, PAGE, (void *)1), EFAULT);
  CHECK(mlock(a, PAGE) == 0 && munlock(a, PAGE) == 0);
  CHECK_ERRNO(mlock((void *)0x1000, PAGE), ENOMEM);
  CHECK_ERRNO(mlockall(0), EINVAL);
  CHECK_ERRNO(syscall(SYS_mlock2, a, PAGE, 2), EINVAL);
}

static void heap(void) {
  char *start = sbrk(0);
  CHECK(sbrk(3 * PAGE) == start);
  start[3 * PAGE - 1] = 1;
  CHECK((char *)sbrk(0) == start + 3 * PAGE && brk(start) == 0);
  CHECK_ERRNO(brk((void *)0x7fffffffffff), ENOMEM);
}

static void code(void) {
  static const unsigned char returns42[] = {0xb8, 42, 0, 0, 0, 0xc3};
  char *a = map(1, RW);
  memcpy(a, returns42, sizeof returns42);
  int (*call)(void) = (int (*)(void))a;
  if (sigsetjmp(out, 1) == 0) call();
  else printf("no execute: signal %d code %d\n", fault_signal, fault_code);
  mprotect(a, PAGE, PROT_READ | PROT_EXEC);
  CHECK(call() == 42);
  mprotect(a, PAGE, RW | PROT_EXEC);
  for (int i = 0; i < 100; i++) {
    a[1] = i;
    CHECK(call() == i);
  }
}

static void memory_files(void) {
  int fd = memfd_create("name", MFD_ALLOW_SEALING);
  CHECK(ftruncate(fd, 2 * PAGE) == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) == 0);
  CHECK_ERRNO(ftruncate(fd, PAGE), EPERM);
  char *a = mmap(0, PAGE, RW, MAP_SHARED, fd, 0);
  a[0] = 9;
  CHECK_ERRNO(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EBUSY);
  munmap(a, PAGE);
  CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) == 0 && fcntl(fd, F_GET_SEALS) == (F_SEAL_SHRINK | F_SEAL_WRITE));
  CHECK_ERRNO(pwrite(fd, "x", 1, 0), EPERM);
  CHECK_ERRNO(mmap(0, PAGE, RW, MAP_SHARED, fd, 0), EPERM);
  CHECK_ERRNO(memfd_create("name", 0x8000), EINVAL);
}

static void others(void) {
  char from[16] = "remote", to[16] = {0};
  struct iovec local = {to, 16}, remote = {from, 16};
  CHECK(process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == 16 && strcmp(to, "remote") == 0);
  CHECK_ERRNO(process_vm_readv(getpid(), &local, 1, &remote, 1, 1), EINVAL);
  remote.iov_base = (void *)8;
  CHECK_ERRNO(process_vm_readv(getpid(), &local, 1, &remote, 1, 0), EFAULT);
  CHECK_ERRNO(syscall(SYS_write, 1L, 8L, 5L), EFAULT);
  struct rlimit limit = {1UL << 30, 1UL << 30};
  setrlimit(RLIMIT_AS, &limit);
  CHECK_ERRNO(mmap(0, 2UL << 30, PROT_READ, ANON, -1, 0), ENOMEM);
}

int main(void) {
  setvbuf(stdout, 0, _IONBF, 0);
  stack_t stack = {.ss_sp = malloc(65536), .ss_size = 65536};
  struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
  sigaltstack(&stack, 0);
  sigaction(SIGSEGV, &action, 0);
  sigaction(SIGBUS, &action, 0);
  rights();
  files();
  forks();
  moves();
  advice();
  heap();
  code();
  memory_files();
  others();
  return check_done();
}
