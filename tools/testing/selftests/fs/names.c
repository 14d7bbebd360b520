// SPDX-License-Identifier: Apache-2.0
// Names of open files: names that go or never were, listings while names come and go, times. Prints what each call gave.
// Sources: open(2), linkat(2), getdents(2), utimensat(2), the pages of what is called.
#pragma GCC diagnostic ignored "-Wnonnull"
#include "tree.h"
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

static char b[8192];

static void names_that_go(void) {
  struct stat st;
  int fd = open("gone", O_RDWR | O_CREAT, 0644);
  write(fd, "still here", 10);
  SHOW(unlink("gone"));
  SHOW(fstat(fd, &st));
  SHOW(st.st_nlink);
  SHOW(pread(fd, b, 100, 0));
  snprintf(b, 100, "/proc/self/fd/%d", fd);
  SHOW(linkat(AT_FDCWD, b, AT_FDCWD, "again", AT_SYMLINK_FOLLOW));
  SHOW(linkat(fd, "", AT_FDCWD, "again", AT_EMPTY_PATH));
  close(fd);
  fd = open(".", O_TMPFILE | O_RDWR, 0640);
  write(fd, "unnamed", 7);
  SHOW(fstat(fd, &st));
  SHOW(st.st_nlink);
  SHOW(st.st_mode);
  SHOW(linkat(fd, "", AT_FDCWD, "named", AT_EMPTY_PATH));
  SHOW(fstat(fd, &st));
  SHOW(st.st_nlink);
  SHOW(access("named", F_OK));
  close(fd);
  fd = open(".", O_TMPFILE | O_RDWR | O_EXCL, 0640);
  SHOW(linkat(fd, "", AT_FDCWD, "named2", AT_EMPTY_PATH));
  close(fd);
  SHOW(mkdir("wd", 0755));
  SHOW(chdir("wd"));
  SHOW(rmdir("../wd"));
  SHOW((long)getcwd(b, 100));
  SHOW(open("x", O_CREAT | O_WRONLY, 0644));
  SHOW(mkdir("y", 0755));
  SHOW(open(".", O_RDONLY) >= 0);
  SHOW(stat("..", &st));
  SHOW(chdir(".."));
  SHOW(access("named", F_OK));
  put("over", "new", 0644);
  fd = open("named", O_RDONLY);
  SHOW(rename("over", "named"));
  SHOW(read(fd, b, 100));
  close(fd);
  fd = open("named", O_PATH);
  SHOW(read(fd, b, 1));
  SHOW(fstat(fd, &st));
  SHOW(st.st_size);
  SHOW(fchmod(fd, 0600));
  SHOW(fcntl(fd, F_GETFL) & O_PATH);
  SHOW(ioctl(fd, FIONREAD, b));
  SHOW(fchdir(fd));
  SHOW(ftruncate(fd, 0));
  SHOW(flock(fd, LOCK_SH));
  SHOW(lseek(fd, 0, SEEK_SET));
  SHOW(fsync(fd));
  SHOW(faccessat(fd, "", R_OK, AT_EMPTY_PATH));
  SHOW(fchownat(fd, "", 5, 5, AT_EMPTY_PATH));
  SHOW(openat(fd, "x", O_RDONLY));
  close(fd);
  symlink("named", "sl");
  fd = open("sl", O_PATH | O_NOFOLLOW);
  SHOW(readlinkat(fd, "", b, 100));
  SHOW(fstat(fd, &st) == 0 && S_ISLNK(st.st_mode));
  close(fd);
  SHOW(open("named", O_DIRECTORY | O_CREAT, 0644));
  SHOW(openat(AT_FDCWD, "", O_RDONLY));
  SHOW(openat(9999, "x", O_RDONLY));
  SHOW(openat(9999, "/", O_RDONLY) >= 0);
  SHOW(close_range(3, ~0u, 0));
}

static void directories(void) {
  mkdir("many", 0755);
  for (int i = 0; i < 50; i++) { snprintf(b, 100, "many/f%d", i); put(b, "", 0644); }
  DIR *d = opendir("many");
  struct dirent *e;
  int n = 0, removed = 0;
  while ((e = readdir(d))) {
    n++;
    if (e->d_name[0] == 'f') { snprintf(b, 300, "many/%s", e->d_name); if (unlink(b) == 0) removed++; }
  }
  printf("%d entries, %d removed\n", n, removed);
  rewinddir(d);
  n = 0;
  while ((e = readdir(d))) n++;
  printf("%d left\n", n);
  put("many/new", "", 0644);
  rewinddir(d);
  while ((e = readdir(d))) printf("%s %d\n", e->d_name[0] == '.' ? "dot" : e->d_name, e->d_type);
  closedir(d);
  int fd = open("many", O_RDONLY | O_DIRECTORY);
  SHOW(syscall(SYS_getdents64, fd, b, 10));
  SHOW(syscall(SYS_getdents64, fd, b, 24));
  SHOW(lseek(fd, 0, SEEK_CUR) > 0);
  SHOW(syscall(SYS_getdents64, fd, b, 8000) > 0);
  SHOW(syscall(SYS_getdents64, fd, b, 8000));
  SHOW(lseek(fd, 0, SEEK_SET));
  SHOW(syscall(SYS_getdents64, fd, b, 8000) > 60);
  unlink("many/new");
  rmdir("many");
  SHOW(syscall(SYS_getdents64, fd, b, 8000));
  lseek(fd, 0, SEEK_SET);
  SHOW(syscall(SYS_getdents64, fd, b, 8000));
  close(fd);
  fd = open("f", O_RDONLY);
  SHOW(syscall(SYS_getdents64, fd, b, 8000));
  close(fd);
}

static void times(void) {
  struct stat st;
  put("tm", "x", 0644);
  struct timespec t[2] = {{100, 200}, {300, 400}};
  SHOW(utimensat(AT_FDCWD, "tm", t, 0));
  stat("tm", &st);
  printf("%ld.%ld %ld.%ld\n", st.st_atim.tv_sec, st.st_atim.tv_nsec, st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
  t[0].tv_nsec = UTIME_OMIT;
  t[1].tv_nsec = UTIME_NOW;
  SHOW(utimensat(AT_FDCWD, "tm", t, 0));
  stat("tm", &st);
  printf("%ld.%ld %d\n", st.st_atim.tv_sec, st.st_atim.tv_nsec, st.st_mtim.tv_sec > 1000);
  t[1].tv_nsec = 1000000000;
  SHOW(utimensat(AT_FDCWD, "tm", t, 0));
  t[1].tv_nsec = UTIME_OMIT;
  SHOW(utimensat(AT_FDCWD, "none", t, 0));
  int fd = open("tm", O_RDONLY);
  SHOW(futimens(fd, 0));
  SHOW(utimensat(fd, 0, 0, 0));
  t[0].tv_nsec = t[1].tv_nsec = 1;
  t[0].tv_sec = t[1].tv_sec = -5;
  SHOW(futimens(fd, t));
  fstat(fd, &st);
  printf("%ld.%ld\n", st.st_atim.tv_sec, st.st_atim.tv_nsec);
  SHOW(read(fd, b, 1));
  fstat(fd, &st);
  printf("read moves atime: %d\n", st.st_atim.tv_sec > 0);
  close(fd);
  struct timespec old[2] = {{100, 0}, {100, 0}};
  utimensat(AT_FDCWD, ".", old, 0);
  stat(".", &st);
  printf("%ld\n", st.st_mtim.tv_sec);
  put("tm2", "", 0644);
  stat(".", &st);
  printf("a new name moves mtime: %d\n", st.st_mtim.tv_sec > 100);
  utimensat(AT_FDCWD, "tm", old, 0);
  link("tm", "tm3");
  stat("tm", &st);
  printf("a link moves ctime only: %d %d\n", st.st_mtim.tv_sec == 100, st.st_ctim.tv_sec > 1000);
  utimensat(AT_FDCWD, "tm", old, 0);
  truncate("tm", 1);
  stat("tm", &st);
  printf("truncate to the same size moves mtime: %d\n", st.st_mtim.tv_sec > 100);
}

int main(void) {
  enter_place();
  put("f", "0123456789", 0644);
  names_that_go();
  directories();
  times();
  leave_place();
  return 0;
}
