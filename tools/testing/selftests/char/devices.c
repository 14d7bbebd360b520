// SPDX-License-Identifier: Apache-2.0
// The memory devices. Source: null(4), full(4), random(4).
#define _GNU_SOURCE
#include "../check.h"
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

static int device(const char *path, int minor) {
  mkdir("/dev", 0755);
  if (access(path, F_OK) != 0) mknod(path, S_IFCHR | 0666, makedev(1, minor));
  return open(path, O_RDWR);
}

int main(void) {
  char b[64];
  int null = device("/dev/null", 3), zero = device("/dev/zero", 5), full = device("/dev/full", 7), r = device("/dev/urandom", 9);
  CHECK(null >= 0 && zero >= 0 && full >= 0 && r >= 0);
  CHECK(read(null, b, 64) == 0 && write(null, b, 64) == 64 && lseek(null, 5, SEEK_SET) == 0);
  memset(b, 1, 64);
  CHECK(read(zero, b, 64) == 64 && b[0] == 0 && b[63] == 0 && write(zero, b, 64) == 64);
  memset(b, 1, 64);
  CHECK(read(full, b, 64) == 64 && b[63] == 0);
  CHECK_ERRNO(write(full, b, 1), ENOSPC);
  CHECK(read(r, b, 64) == 64);
  int different = 0;
  for (int i = 1; i < 64; i++) different |= b[i] != b[0];
  CHECK(different);
  char *private = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE, zero, 0);
  CHECK(private != MAP_FAILED && private[5000] == 0);
  private[5000] = 7;
  char *shared = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, zero, 0);
  CHECK(shared != MAP_FAILED);
  if (shared != MAP_FAILED) {
    pid_t child = fork();
    if (child == 0) {
      shared[4097] = 42;
      private[5000] = 9;
      _exit(0);
    }
    waitpid(child, 0, 0);
    CHECK(shared[4097] == 42 && private[5000] == 7);
  }
  CHECK_ERRNO((long)mmap(0, 4096, PROT_READ, MAP_PRIVATE, null, 0), ENODEV);
  struct stat st;
  CHECK(fstat(null, &st) == 0 && st.st_rdev == makedev(1, 3));
  return check_done();
}
