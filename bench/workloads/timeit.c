// SPDX-License-Identifier: Apache-2.0
/* usage: timeit NAME CMD ARG...   runs CMD with stdout thrown away, prints "NAME SECONDS cpu=SECONDS maxrss=KB" (of the
 * largest process). With TIMEIT_SHOW in the environment stdout is kept. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv) {
  struct timespec a, b; struct rusage u; int st;
  if (argc < 3) return 2;
  clock_gettime(CLOCK_MONOTONIC, &a);
  pid_t p = fork();
  if (!p) {
    int n = getenv("TIMEIT_SHOW") ? -1 : open("/dev/null", O_WRONLY);
    if (n >= 0) dup2(n, 1);
    execvp(argv[2], argv + 2);
    perror(argv[2]);
    _exit(127);
  }
  wait4(p, &st, 0, &u);
  clock_gettime(CLOCK_MONOTONIC, &b);
  if (st) printf("%s FAIL status=%x\n", argv[1], st);
  else printf("%s %.6f cpu=%.6f maxrss=%ld\n", argv[1], b.tv_sec - a.tv_sec + (b.tv_nsec - a.tv_nsec) * 1e-9,
    u.ru_utime.tv_sec + u.ru_stime.tv_sec + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-6, u.ru_maxrss);
  return 0;
}
