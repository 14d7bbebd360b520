// SPDX-License-Identifier: Apache-2.0
// Locks of files: of open files, of processes, and a deadlock. Prints what each call gave.
// Sources: flock(2), fcntl(2).
#include "tree.h"
#include <sys/file.h>
#include <sys/wait.h>

static void locks(void) {
  int a = open("l", O_RDWR | O_CREAT, 0644), c = open("l", O_RDWR), ro = open("l", O_RDONLY);
  SHOW(flock(a, LOCK_EX));
  SHOW(flock(c, LOCK_SH | LOCK_NB));
  SHOW(flock(a, LOCK_SH));
  SHOW(flock(c, LOCK_SH | LOCK_NB));
  SHOW(flock(c, LOCK_EX | LOCK_NB));
  SHOW(flock(c, LOCK_SH | LOCK_NB));
  SHOW(flock(a, LOCK_UN));
  SHOW(flock(a, 0));
  SHOW(flock(a, LOCK_SH | LOCK_EX));
  int d = dup(a);
  SHOW(flock(d, LOCK_SH));
  close(a);
  SHOW(flock(c, LOCK_EX | LOCK_NB));
  close(d);
  SHOW(flock(c, LOCK_EX | LOCK_NB));
  flock(c, LOCK_UN);
  struct flock w = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 10, .l_len = 20};
  struct flock r = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 15, .l_len = 5};
  SHOW(fcntl(c, F_SETLK, &w));
  SHOW(fcntl(ro, F_SETLK, &w));
  SHOW(fcntl(c, F_SETLK, &r));
  fflush(stdout);
  if (fork() == 0) {
    for (int i = 0; i < 40; i += 5) {
      struct flock q = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = i, .l_len = 5};
      SHOW(fcntl(c, F_GETLK, &q));
      printf(" at %d: type %d start %ld len %ld %s\n", i, q.l_type, (long)q.l_start, (long)q.l_len,
             q.l_type == F_UNLCK ? "" : q.l_pid == getppid() ? "parent" : "other");
      q = (struct flock){.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = i, .l_len = 5};
      SHOW(fcntl(c, F_SETLK, &q));
    }
    struct flock big = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 100, .l_len = 0};
    SHOW(fcntl(c, F_SETLK, &big));
    struct flock neg = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 100, .l_len = -50};
    SHOW(fcntl(c, F_SETLK, &neg));
    neg.l_len = -150;
    SHOW(fcntl(c, F_SETLK, &neg));
    neg.l_type = 77;
    SHOW(fcntl(c, F_SETLK, &neg));
    fflush(stdout);
    _exit(0);
  }
  wait(0);
  struct flock o = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 0};
  SHOW(fcntl(c, F_OFD_SETLK, &o));
  SHOW(fcntl(ro, F_OFD_GETLK, &o));
  printf(" type %d pid %d\n", o.l_type, o.l_pid == -1 ? -1 : 1);
  close(ro); /* ends the process's locks */
  o = (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET};
  SHOW(fcntl(c, F_OFD_SETLK, &o));
  int e = open("l", O_RDWR);
  o = (struct flock){.l_type = F_RDLCK, .l_whence = SEEK_SET};
  SHOW(fcntl(e, F_OFD_SETLK, &o));
  o = (struct flock){.l_type = F_RDLCK, .l_whence = SEEK_SET};
  SHOW(fcntl(e, F_SETLK, &o));
  close(c);
  SHOW(fcntl(e, F_OFD_SETLK, &o));
  SHOW(fcntl(e, F_GETLEASE));
  close(e);
}

static void deadlock(void) {
  int fd = open("l", O_RDWR), p[2];
  struct flock one = {.l_type = F_WRLCK, .l_start = 0, .l_len = 1}, two = {.l_type = F_WRLCK, .l_start = 1, .l_len = 1};
  pipe(p);
  SHOW(fcntl(fd, F_SETLK, &one));
  fflush(stdout);
  int pid = fork();
  if (pid == 0) {
    fcntl(fd, F_SETLK, &two);
    write(p[1], "x", 1);
    int r = fcntl(fd, F_SETLKW, &one);
    _exit(r == 0 ? 7 : 8);
  }
  char b;
  read(p[0], &b, 1);
  usleep(50000);
  SHOW(fcntl(fd, F_SETLKW, &two));
  struct flock none = {.l_type = F_UNLCK};
  SHOW(fcntl(fd, F_SETLK, &none));
  int status;
  waitpid(pid, &status, 0);
  SHOW(WEXITSTATUS(status));
  close(fd);
}

int main(void) {
  enter_place();
  locks();
  deadlock();
  leave_place();
  return 0;
}
