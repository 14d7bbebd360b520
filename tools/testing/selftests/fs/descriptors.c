// SPDX-License-Identifier: Apache-2.0
// Descriptors: copies, flags, limits, and what ioctls do with them. Prints what each call gave.
// Sources: dup(2), fcntl(2), close_range(2), ioctl(2), the pages of what is called.
#include "tree.h"
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static char b[8192];

static void descriptors(void) {
  int fd = open("f", O_RDONLY | O_CLOEXEC);
  SHOW(fcntl(fd, F_GETFD));
  int two = dup(fd);
  SHOW(fcntl(two, F_GETFD));
  SHOW(fcntl(two, F_SETFD, FD_CLOEXEC));
  SHOW(fcntl(two, F_GETFD));
  SHOW(fcntl(fd, F_DUPFD, 100));
  SHOW(fcntl(fd, F_DUPFD_CLOEXEC, 100));
  SHOW(fcntl(101, F_GETFD));
  SHOW(fcntl(fd, F_DUPFD, -1));
  SHOW(fcntl(fd, F_DUPFD, 1 << 30));
  SHOW(dup2(fd, 100));
  SHOW(dup2(fd, fd));
  SHOW(dup2(99, 99));
  SHOW(dup3(fd, fd, 0));
  SHOW(dup3(fd, 98, O_CLOEXEC));
  SHOW(dup3(fd, 98, 1));
  SHOW(dup2(fd, -1));
  SHOW(dup2(fd, 1 << 30));
  lseek(fd, 3, SEEK_SET);
  SHOW(lseek(100, 0, SEEK_CUR));
  SHOW(close_range(98, 101, CLOSE_RANGE_CLOEXEC));
  SHOW(fcntl(100, F_GETFD));
  SHOW(close_range(98, ~0u, 0));
  SHOW(fcntl(100, F_GETFD));
  SHOW(close_range(5, 4, 0));
  SHOW(close_range(1000, 1001, 64));
  struct rlimit l = {20, 20};
  setrlimit(RLIMIT_NOFILE, &l);
  int last = -1, n;
  while ((n = dup(fd)) >= 0) last = n;
  printf("last %d %s\n", last, strerrorname_np(errno));
  SHOW(dup2(fd, 20));
  SHOW(fcntl(fd, F_DUPFD, 20));
  SHOW(open("f", O_RDONLY));
  close_range(3, ~0u, 0);
}

static void ioctls(void) {
  int fd = open("f", O_RDONLY), n = 1;
  SHOW(ioctl(fd, FIOCLEX));
  SHOW(fcntl(fd, F_GETFD));
  SHOW(ioctl(fd, FIONCLEX));
  SHOW(fcntl(fd, F_GETFD));
  SHOW(ioctl(fd, FIONBIO, &n));
  SHOW(fcntl(fd, F_GETFL) & O_NONBLOCK);
  SHOW(ioctl(fd, FIONREAD, &n) == 0 && n > 0);
  SHOW(ioctl(fd, 0x5401, b));
  SHOW(ioctl(fd, 0xdeadbeef, b));
  SHOW(ioctl(fd, FIONBIO, (void *)1));
  SHOW(ioctl(-1, FIONBIO, &n));
  struct statfs s;
  SHOW(fstatfs(fd, &s));
  printf("%lx %ld %ld\n", (long)s.f_type, (long)s.f_bsize, (long)s.f_namelen);
  SHOW(posix_fadvise(fd, 0, 0, 4));
  SHOW(posix_fadvise(fd, 0, 0, 99));
  SHOW(readahead(fd, 0, 100));
  SHOW(syscall(SYS_sync_file_range, fd, 0L, 0L, 7));
  SHOW(syncfs(fd));
  close(fd);
}

int main(void) {
  enter_place();
  put("f", "0123456789", 0644);
  fflush(stdout);
  if (fork() == 0) { descriptors(); fflush(stdout); _exit(0); }
  wait(0);
  ioctls();
  leave_place();
  return 0;
}
