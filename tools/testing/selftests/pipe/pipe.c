// SPDX-License-Identifier: Apache-2.0
// Pipes and FIFOs. Source: pipe(7), pipe(2), fifo(7).
#define _GNU_SOURCE
#include "../check.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

static volatile int pipes_broken;
static void on_pipe(int signal) { (void)signal; pipes_broken++; }

static short events(int fd, short wanted) {
  struct pollfd p = {fd, wanted, 0};
  poll(&p, 1, 0);
  return p.revents;
}

static void basics(void) {
  int fd[2], n;
  char b[16];
  CHECK(pipe(fd) == 0);
  CHECK(fcntl(fd[0], F_GETFL) == O_RDONLY && fcntl(fd[1], F_GETFL) == O_WRONLY);
  struct stat st;
  CHECK(fstat(fd[0], &st) == 0 && S_ISFIFO(st.st_mode) && (st.st_mode & 0777) == 0600 && st.st_nlink == 1);
  CHECK_ERRNO(lseek(fd[0], 0, SEEK_SET), ESPIPE);
  CHECK_ERRNO(pread(fd[0], b, 1, 0), ESPIPE);
  CHECK_ERRNO(write(fd[0], b, 1), EBADF);
  CHECK_ERRNO(read(fd[1], b, 1), EBADF);
  CHECK(write(fd[1], "hello", 5) == 5 && write(fd[1], "world", 5) == 5);
  CHECK(ioctl(fd[0], FIONREAD, &n) == 0 && n == 10);
  CHECK(ioctl(fd[1], FIONREAD, &n) == 0 && n == 10);
  CHECK(read(fd[0], b, 3) == 3 && memcmp(b, "hel", 3) == 0);
  CHECK(read(fd[0], b, 16) == 7 && memcmp(b, "loworld", 7) == 0);
  CHECK(events(fd[0], POLLIN | POLLOUT) == 0 && events(fd[1], POLLIN | POLLOUT) == POLLOUT);
  close(fd[1]);
  CHECK(read(fd[0], b, 1) == 0);
  CHECK(events(fd[0], POLLIN) == POLLHUP);
  close(fd[0]);
  CHECK_ERRNO(pipe2(fd, O_APPEND), EINVAL);
  CHECK_ERRNO(syscall(SYS_pipe2, 8L, 0), EFAULT);
}

static void broken(void) {
  int fd[2];
  struct sigaction act = {.sa_handler = on_pipe};
  sigaction(SIGPIPE, &act, 0);
  CHECK(pipe(fd) == 0);
  close(fd[0]);
  CHECK(events(fd[1], POLLOUT) == (POLLOUT | POLLERR));
  CHECK_ERRNO(write(fd[1], "x", 1), EPIPE);
  CHECK(pipes_broken == 1);
  close(fd[1]);
}

static void capacity(void) {
  int fd[2];
  static char big[200000];
  memset(big, 'b', sizeof big);
  CHECK(pipe2(fd, O_NONBLOCK) == 0);
  CHECK(fcntl(fd[0], F_GETPIPE_SZ) == 65536);
  CHECK_ERRNO(read(fd[0], big, 1), EAGAIN);
  CHECK(write(fd[1], big, sizeof big) == 65536);
  CHECK_ERRNO(write(fd[1], big, 1), EAGAIN);
  CHECK(events(fd[1], POLLOUT) == 0);
  CHECK(read(fd[0], big, 4095) == 4095);
  CHECK(events(fd[1], POLLOUT) == 0);
  CHECK_ERRNO(write(fd[1], big, 1), EAGAIN);
  CHECK(read(fd[0], big, 1) == 1);
  CHECK(events(fd[1], POLLOUT) == POLLOUT);
  CHECK(write(fd[1], big, 4096) == 4096);
  CHECK_ERRNO(fcntl(fd[1], F_SETPIPE_SZ, 4096), EBUSY);
  CHECK(fcntl(fd[1], F_SETPIPE_SZ, 100000) == 131072);
  CHECK(write(fd[1], big, sizeof big) == 65536);
  CHECK(read(fd[0], big, sizeof big) == 131072);
  CHECK(fcntl(fd[1], F_SETPIPE_SZ, 1) == 4096);
  // Small writes share a page; a write that does not fit the page takes a new one.
  for (int i = 0; i < 4096; i++) CHECK(write(fd[1], "s", 1) == 1);
  CHECK_ERRNO(write(fd[1], "s", 1), EAGAIN);
  CHECK(read(fd[0], big, 5000) == 4096);
  CHECK(write(fd[1], big, 3000) == 3000);
  CHECK_ERRNO(write(fd[1], big, 2000), EAGAIN);
  CHECK(write(fd[1], big, 1096) == 1096);
  close(fd[0]);
  close(fd[1]);
}

static void packets(void) {
  int fd[2];
  char b[100];
  CHECK(pipe2(fd, O_DIRECT | O_NONBLOCK) == 0);
  CHECK(write(fd[1], "one", 3) == 3 && write(fd[1], "second", 6) == 6);
  CHECK(read(fd[0], b, 2) == 2);
  CHECK(read(fd[0], b, 100) == 6 && memcmp(b, "second", 6) == 0);
  CHECK_ERRNO(read(fd[0], b, 100), EAGAIN);
  for (int i = 0; i < 16; i++) CHECK(write(fd[1], "p", 1) == 1);
  CHECK_ERRNO(write(fd[1], "p", 1), EAGAIN);
  close(fd[0]);
  close(fd[1]);
}

static void blocking(void) {
  int fd[2], back[2];
  static char big[300000];
  CHECK(pipe(fd) == 0 && pipe(back) == 0);
  pid_t child = fork();
  if (child == 0) {
    long total = 0, n;
    char b[7001];
    close(fd[1]);
    while ((n = read(fd[0], b, sizeof b)) > 0) {
      for (long i = 0; i < n; i++)
        if (b[i] != (char)((total + i) * 7)) _exit(2);
      total += n;
    }
    _exit(write(back[1], &total, sizeof total) == sizeof total ? 0 : 3);
  }
  close(fd[0]);
  for (long i = 0; i < (long)sizeof big; i++) big[i] = (char)(i * 7);
  CHECK(write(fd[1], big, sizeof big) == sizeof big);
  close(fd[1]);
  long total = 0;
  int status;
  CHECK(read(back[0], &total, sizeof total) == sizeof total && total == sizeof big);
  CHECK(waitpid(child, &status, 0) == child && status == 0);
  close(back[0]);
  close(back[1]);
}

static void interrupted(void) {
  int fd[2];
  char b;
  CHECK(pipe(fd) == 0);
  struct sigaction act = {.sa_handler = on_pipe};
  sigaction(SIGUSR1, &act, 0);
  pid_t parent = getpid(), child = fork();
  if (child == 0) {
    usleep(20000);
    _exit(kill(parent, SIGUSR1));
  }
  CHECK_ERRNO(read(fd[0], &b, 1), EINTR);
  waitpid(child, 0, 0);
  close(fd[0]);
  close(fd[1]);
}

static void vectors(void) {
  int fd[2];
  char a[3], b[4];
  CHECK(pipe(fd) == 0);
  struct iovec out[3] = {{"ab", 2}, {"", 0}, {"cdefg", 5}};
  struct iovec in[2] = {{a, 3}, {b, 4}};
  CHECK(writev(fd[1], out, 3) == 7);
  CHECK(readv(fd[0], in, 2) == 7 && memcmp(a, "abc", 3) == 0 && memcmp(b, "defg", 4) == 0);
  close(fd[0]);
  close(fd[1]);
}

static void fifo(void) {
  char name[] = "/tmp/fifo-XXXXXX", b[8];
  CHECK(mkdtemp(name) != 0);
  char path[64];
  snprintf(path, sizeof path, "%s/f", name);
  CHECK(mkfifo(path, 0600) == 0);
  CHECK_ERRNO(open(path, O_WRONLY | O_NONBLOCK), ENXIO);
  int r = open(path, O_RDONLY | O_NONBLOCK);
  CHECK(r >= 0 && read(r, b, 1) == 0 && events(r, POLLIN) == 0);
  int w = open(path, O_WRONLY | O_NONBLOCK);
  CHECK(w >= 0);
  CHECK_ERRNO(read(r, b, 1), EAGAIN);
  CHECK(write(w, "fifo", 4) == 4);
  close(w);
  CHECK(events(r, POLLIN) == (POLLIN | POLLHUP) && read(r, b, 8) == 4 && read(r, b, 8) == 0);
  close(r);
  pid_t child = fork();
  if (child == 0) {
    int fd = open(path, O_WRONLY);
    _exit(fd >= 0 && write(fd, "child", 5) == 5 ? 0 : 1);
  }
  r = open(path, O_RDONLY);
  int status;
  CHECK(r >= 0 && read(r, b, 8) == 5 && read(r, b, 8) == 0);
  CHECK(waitpid(child, &status, 0) == child && status == 0);
  close(r);
  r = open(path, O_RDWR | O_NONBLOCK);
  CHECK(r >= 0 && write(r, "x", 1) == 1 && read(r, b, 8) == 1);
  CHECK_ERRNO(read(r, b, 1), EAGAIN);
  close(r);
  CHECK(unlink(path) == 0 && rmdir(name) == 0);
}

static void by_proc(void) {
  int fd[2];
  char path[32], b[4], link[32];
  CHECK(pipe(fd) == 0);
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd[1]);
  CHECK(readlink(path, link, sizeof link) > 6 && memcmp(link, "pipe:[", 6) == 0);
  int again = open(path, O_WRONLY);
  CHECK(again >= 0 && write(again, "ab", 2) == 2 && read(fd[0], b, 4) == 2);
  close(fd[1]);
  CHECK(events(fd[0], POLLIN) == 0);
  close(again);
  CHECK(read(fd[0], b, 4) == 0);
  close(fd[0]);
}

static void splices(void) {
  int a[2], b[2];
  char t[64];
  CHECK(pipe(a) == 0 && pipe2(b, O_NONBLOCK) == 0);
  CHECK(write(a[1], "spliced bytes", 13) == 13);
  CHECK(tee(a[0], b[1], 7, 0) == 7 && read(b[0], t, 64) == 7 && memcmp(t, "spliced", 7) == 0);
  CHECK(splice(a[0], 0, b[1], 0, 64, 0) == 13 && read(b[0], t, 64) == 13 && memcmp(t, "spliced bytes", 13) == 0);
  struct iovec v = {"from memory", 11};
  CHECK(vmsplice(b[1], &v, 1, 0) == 11 && read(b[0], t, 64) == 11 && memcmp(t, "from memory", 11) == 0);
  FILE *f = tmpfile();
  int file = fileno(f);
  CHECK(write(file, "0123456789", 10) == 10);
  loff_t at = 4;
  CHECK(splice(file, &at, b[1], 0, 100, 0) == 6 && at == 10 && read(b[0], t, 64) == 6 && memcmp(t, "456789", 6) == 0);
  CHECK(write(a[1], "XY", 2) == 2);
  at = 1;
  CHECK(splice(a[0], 0, file, &at, 2, 0) == 2 && at == 3);
  CHECK(pread(file, t, 10, 0) == 10 && memcmp(t, "0XY3456789", 10) == 0);
  CHECK_ERRNO(splice(file, &at, file, 0, 1, 0), EINVAL);
  CHECK_ERRNO(splice(b[0], 0, a[1], 0, 1, SPLICE_F_NONBLOCK), EAGAIN);
}

int main(void) {
  mkdir("/tmp", 0777);
  if (access("/proc/self", F_OK) != 0 && mkdir("/proc", 0755) == 0) mount("proc", "/proc", "proc", 0, 0);
  basics();
  broken();
  capacity();
  packets();
  blocking();
  interrupted();
  vectors();
  fifo();
  by_proc();
  splices();
  return check_done();
}
