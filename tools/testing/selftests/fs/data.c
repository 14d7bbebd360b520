// SPDX-License-Identifier: Apache-2.0
// What is in open files: positions, vectors, holes, copies, limits. Prints what each call gave.
// Sources: read(2), lseek(2), readv(2), fallocate(2), sendfile(2), copy_file_range(2).
#pragma GCC diagnostic ignored "-Wnonnull"
#pragma GCC diagnostic ignored "-Wstringop-overflow"
#pragma GCC diagnostic ignored "-Wstringop-overread"
#include "tree.h"
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

static char b[8192];

static void positions(void) {
  int fd = open("f", O_RDWR | O_CREAT | O_TRUNC, 0644);
  SHOW(write(fd, "0123456789", 10));
  SHOW(lseek(fd, 0, SEEK_CUR));
  SHOW(lseek(fd, -3, SEEK_END));
  SHOW(read(fd, b, 100));
  SHOW(read(fd, b, 100));
  SHOW(lseek(fd, -1, SEEK_SET));
  SHOW(lseek(fd, 5, 9));
  SHOW(lseek(fd, 100, SEEK_SET));
  SHOW(read(fd, b, 1));
  SHOW(write(fd, "x", 1));
  SHOW(lseek(fd, 0, SEEK_END));
  SHOW(pread(fd, b, 5, 8));
  SHOW(memcmp(b, "89\0\0\0", 5));
  SHOW(pread(fd, b, 5, -1));
  SHOW(pwrite(fd, "ab", 2, 3));
  SHOW(lseek(fd, 0, SEEK_CUR));
  SHOW(lseek(fd, 0, SEEK_DATA));
  SHOW(lseek(fd, 0, SEEK_HOLE));
  SHOW(lseek(fd, 101, SEEK_DATA));
  SHOW(write(fd, 0, 0));
  SHOW(pwrite(fd, (void *)1, 10, 0));
  SHOW(pread(fd, (void *)1, 10, 0));
  SHOW(pread(fd, (void *)1, 0, 0));
  SHOW(read(fd, b, (size_t)-1));
  SHOW(close(fd));
  SHOW(close(fd));
  SHOW(read(fd, b, 1));
  SHOW(read(-1, b, 1));
  fd = open("f", O_WRONLY | O_APPEND);
  SHOW(lseek(fd, 0, SEEK_CUR));
  SHOW(write(fd, "end", 3));
  SHOW(lseek(fd, 0, SEEK_CUR));
  SHOW(pwrite(fd, "END", 3, 0));
  SHOW(lseek(fd, 0, SEEK_END));
  SHOW(read(fd, b, 1));
  SHOW(fcntl(fd, F_GETFL));
  SHOW(fcntl(fd, F_SETFL, O_NONBLOCK));
  SHOW(fcntl(fd, F_GETFL));
  SHOW(write(fd, "start", 5));
  close(fd);
  fd = open("f", O_RDONLY);
  SHOW(write(fd, "x", 1));
  SHOW(ftruncate(fd, 1));
  SHOW(fallocate(fd, 0, 0, 10));
  SHOW(fsync(fd));
  SHOW(fdatasync(fd));
  SHOW(syscall(SYS_fcntl, fd, 9999, 0));
  close(fd);
  fd = open(".", O_RDONLY);
  SHOW(read(fd, b, 1));
  SHOW(read(fd, b, 0));
  SHOW(write(fd, "x", 1));
  SHOW(lseek(fd, 5, SEEK_END) >= 0);
  SHOW(ftruncate(fd, 0));
  SHOW(fsync(fd));
  SHOW(mmap(0, 4096, PROT_READ, MAP_PRIVATE, fd, 0));
  close(fd);
}

static void vectors(void) {
  int fd = open("v", O_RDWR | O_CREAT | O_TRUNC, 0644);
  char x[4], y[4];
  struct iovec v[3] = {{"abc", 3}, {"", 0}, {"defg", 4}};
  SHOW(writev(fd, v, 3));
  struct iovec r[2] = {{x, 2}, {y, 4}};
  lseek(fd, 0, SEEK_SET);
  SHOW(readv(fd, r, 2));
  SHOW(memcmp(x, "ab", 2) == 0 && memcmp(y, "cdef", 4) == 0);
  SHOW(preadv(fd, r, 2, 4));
  SHOW(pwritev(fd, v, 3, 100));
  SHOW(preadv2(fd, r, 2, -1, 0));
  SHOW(preadv2(fd, r, 2, 0, 0x40000000));
  SHOW(pwritev2(fd, v, 3, 0, RWF_APPEND));
  SHOW(lseek(fd, 0, SEEK_END));
  SHOW(readv(fd, r, -1));
  SHOW(readv(fd, r, 1025));
  SHOW(readv(fd, 0, 0));
  SHOW(readv(fd, (void *)1, 1));
  struct iovec bad[2] = {{x, 2}, {(void *)1, 4}};
  SHOW(preadv(fd, bad, 2, 0));
  struct iovec big[2] = {{x, 2}, {y, (size_t)-1}};
  SHOW(preadv(fd, big, 2, 0));
  close(fd);
}

static void sizes(void) {
  struct stat st;
  int fd = open("s", O_RDWR | O_CREAT | O_TRUNC, 0644);
  SHOW(ftruncate(fd, 10000));
  fstat(fd, &st);
  printf("size %ld blocks %ld\n", (long)st.st_size, (long)st.st_blocks);
  pwrite(fd, "x", 1, 5000);
  fstat(fd, &st);
  printf("size %ld blocks %ld blksize %ld\n", (long)st.st_size, (long)st.st_blocks, (long)st.st_blksize);
  SHOW(lseek(fd, 0, SEEK_DATA));
  SHOW(lseek(fd, 4096, SEEK_HOLE));
  SHOW(fallocate(fd, 0, 0, 20000));
  fstat(fd, &st);
  printf("size %ld blocks %ld\n", (long)st.st_size, (long)st.st_blocks);
  SHOW(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 4096));
  fstat(fd, &st);
  printf("size %ld blocks %ld\n", (long)st.st_size, (long)st.st_blocks);
  SHOW(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 4096, 4096));
  SHOW(fallocate(fd, FALLOC_FL_KEEP_SIZE, 30000, 10000));
  fstat(fd, &st);
  printf("size %ld blocks %ld\n", (long)st.st_size, (long)st.st_blocks);
  SHOW(fallocate(fd, 0, -1, 10));
  SHOW(fallocate(fd, 0, 0, 0));
  SHOW(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, 4096));
  SHOW(ftruncate(fd, 1));
  fstat(fd, &st);
  printf("size %ld blocks %ld\n", (long)st.st_size, (long)st.st_blocks);
  SHOW(ftruncate(fd, 0));
  SHOW(truncate("s", -1));
  signal(SIGXFSZ, SIG_IGN);
  struct rlimit l = {100, 100};
  setrlimit(RLIMIT_FSIZE, &l);
  memset(b, 'y', 200);
  SHOW(write(fd, b, 200));
  SHOW(write(fd, b, 1));
  SHOW(pwrite(fd, b, 10, 95));
  SHOW(ftruncate(fd, 101));
  close(fd);
}

static void copies(void) {
  int in = open("in", O_RDWR | O_CREAT | O_TRUNC, 0644), out = open("out", O_RDWR | O_CREAT | O_TRUNC, 0644);
  write(in, "abcdefghij", 10);
  off_t o = 2;
  SHOW(sendfile(out, in, &o, 100));
  SHOW(o);
  SHOW(lseek(in, 0, SEEK_CUR));
  o = -1;
  SHOW(sendfile(out, in, &o, 100));
  SHOW(sendfile(out, in, 0, 5));
  lseek(in, 0, SEEK_SET);
  SHOW(sendfile(out, in, 0, 5));
  SHOW(lseek(in, 0, SEEK_CUR));
  loff_t a = 1, c = 20;
  SHOW(copy_file_range(in, &a, out, &c, 4, 0));
  SHOW(a * 100 + c);
  SHOW(copy_file_range(in, 0, out, 0, 100, 0));
  SHOW(copy_file_range(in, 0, out, 0, 100, 1));
  a = 0, c = 2;
  SHOW(copy_file_range(in, &a, in, &c, 5, 0));
  SHOW(pread(out, b, 100, 0));
  for (int i = 0; i < 24; i++) printf("%c", b[i] ? b[i] : '.');
  printf("\n");
  close(in);
  close(out);
}

int main(void) {
  enter_place();
  positions();
  vectors();
  fflush(stdout);
  if (fork() == 0) { sizes(); fflush(stdout); _exit(0); }
  wait(0);
  copies();
  leave_place();
  return 0;
}
