// SPDX-License-Identifier: Apache-2.0
/* How the cost of an operation grows with what is there already. usage: scale [CURVE.N...]
 * Prints "scale.CURVE.N SECONDS_PER_OP ops=OPERATIONS", N by N things. SCALE_TMP (default /tmp) names the
 * directory for files. Every measurement is repeated and the shortest counts, so that other load shows less. */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { REPEATS = 3 };
static char dir[256];
static void die(const char *s) { perror(s); exit(1); }
static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec * 1e-9;
}
static char **chosen;
/* Whether a measurement was asked for: all are, when none was named. */
static int is_wanted(const char *curve, long n) {
  char name[64];
  snprintf(name, sizeof name, "%s.%ld", curve, n);
  for (char **word = chosen; *word; word++) if (!strcmp(*word, name)) return 1;
  return !*chosen;
}
static uint64_t state = 88172645463325252ull;
static uint64_t rnd(void) { state ^= state << 13; state ^= state >> 7; return state ^= state << 17; }

/* The shortest of some runs of f(ops). */
static void measure(const char *curve, long n, long ops, void (*f)(long n, long ops)) {
  double best = 1e9;
  if (!is_wanted(curve, n)) return;
  for (int i = 0; i < REPEATS; i++) {
    double t = now();
    f(n, ops);
    t = now() - t;
    if (t < best) best = t;
  }
  printf("scale.%s.%ld %.9f ops=%ld\n", curve, n, best / ops, ops);
  fflush(stdout);
}

/* --- processes */
static void fork_wait(long n, long ops) {
  (void)n;
  while (ops--) {
    pid_t p = fork();
    if (p < 0) die("fork");
    if (!p) _exit(0);
    waitpid(p, 0, 0);
  }
}
static void list_proc(long n, long ops) {
  (void)n;
  while (ops > 0) {
    DIR *d = opendir("/proc");
    if (!d) die("/proc");
    while (ops > 0 && readdir(d)) ops--;
    closedir(d);
  }
}
static int ring_in, ring_out;
static void hop(long n, long ops) {
  char c = 0;
  for (long k = ops / n; k > 0; k--) if (write(ring_out, &c, 1) != 1 || read(ring_in, &c, 1) != 1) die("ring");
}
/* n processes, each of which passes a byte on to the next. */
static pid_t *make_ring(long n) {
  pid_t *pids = malloc(n * sizeof *pids);
  int p[2];
  if (pipe(p)) die("pipe");
  ring_out = p[1];
  int in = p[0];
  for (long i = 0; i < n; i++) {
    if (pipe(p)) die("pipe");
    pids[i] = fork();
    if (pids[i] < 0) die("fork");
    if (!pids[i]) {
      char c;
      close(ring_out), close(p[0]);
      while (read(in, &c, 1) == 1) if (write(p[1], &c, 1) != 1) break;
      _exit(0);
    }
    close(in), close(p[1]);
    in = p[0];
  }
  ring_in = in;
  return pids;
}
static void processes(long n) {
  pid_t *pids = make_ring(n);
  measure("fork", n, 300, fork_wait);
  measure("proc", n, 4000, list_proc);
  measure("wake", n, n < 4000 ? 4000 / n * n : n, hop);
  close(ring_out);
  for (long i = 0; i < n; i++) waitpid(pids[i], 0, 0);
  close(ring_in);
  free(pids);
}

/* --- open files */
static char one[300];
static int waiting;
static void open_close(long n, long ops) {
  (void)n;
  while (ops--) {
    int f = open(one, O_RDONLY);
    if (f < 0) die(one);
    close(f);
  }
}
static void wait_ready(long n, long ops) {
  struct epoll_event e;
  (void)n;
  while (ops--) if (epoll_wait(waiting, &e, 1, 0) != 1) die("epoll_wait");
}
static void files(long n) {
  int *held = malloc(n * sizeof *held), p[2];
  if ((waiting = epoll_create1(0)) < 0) die("epoll");
  for (long i = 0; i < n; i++) {
    if (i % 2) { held[i] = open(one, O_RDONLY); if (held[i] < 0) die(one); continue; }
    if (pipe(p)) die("pipe");
    struct epoll_event e = {.events = EPOLLIN};
    if (epoll_ctl(waiting, EPOLL_CTL_ADD, p[0], &e)) die("epoll_ctl");
    held[i] = p[0];
    if (i + 1 < n) held[++i] = p[1]; else close(p[1]);
  }
  if (pipe(p) || write(p[1], "x", 1) != 1) die("pipe");
  struct epoll_event e = {.events = EPOLLIN};
  if (epoll_ctl(waiting, EPOLL_CTL_ADD, p[0], &e)) die("epoll_ctl");
  measure("open", n, 5000, open_close);
  measure("epoll", n, 5000, wait_ready);
  for (long i = 0; i < n; i++) close(held[i]);
  close(p[0]), close(p[1]), close(waiting);
  free(held);
}

/* --- entries of a directory */
static void name_of(char *name, const char *what, long i) { snprintf(name, 300, "%s/%s%ld", dir, what, i); }
static void make(const char *what, long from, long to) {
  char name[300];
  for (long i = from; i < to; i++) {
    name_of(name, what, i);
    int f = open(name, O_CREAT | O_EXCL | O_WRONLY, 0600);
    if (f < 0) die(name);
    close(f);
  }
}
static void drop(const char *what, long from, long to) {
  char name[300];
  for (long i = from; i < to; i++) { name_of(name, what, i); if (unlink(name)) die(name); }
}
static void stat_some(long n, long ops) {
  char name[300];
  struct stat s;
  while (ops--) { name_of(name, "e", rnd() % n); if (stat(name, &s)) die(name); }
}
static void create_unlink(long n, long ops) { (void)n; make("more", 0, ops); drop("more", 0, ops); }
static void list(long n, long ops) {
  (void)ops;
  DIR *d = opendir(dir);
  long seen = 0;
  while (readdir(d)) seen++;
  if (seen != n + 2) die("readdir");
  closedir(d);
}
static void entries(long n) {
  make("e", 0, n);
  measure("create", n, 1000, create_unlink);
  measure("stat", n, 5000, stat_some);
  measure("readdir", n, n, list);
  drop("e", 0, n);
}

/* --- mappings */
static void map_unmap(long n, long ops) {
  (void)n;
  while (ops--) {
    void *p = mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED || munmap(p, 4096)) die("mmap");
  }
}
/* Neighbours differ, so that they stay mappings of their own. */
static void mappings(long n) {
  char *all = mmap(0, n * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (all == MAP_FAILED) die("mmap");
  for (long i = 0; i < n; i += 2) if (mprotect(all + i * 4096, 4096, PROT_READ)) die("mprotect");
  measure("mmap", n, 5000, map_unmap);
  munmap(all, n * 4096);
}
static void map_large(long n, long ops) {
  while (ops--) {
    void *p = mmap(0, n << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED || munmap(p, n << 20)) die("mmap");
  }
}
/* Pages all over a mapping of n MiB, each for the first time. */
static void touch(long n, long ops) {
  char *p = mmap(0, n << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) die("mmap");
  long stride = ((n << 20) / ops) & -4096;
  for (long i = 0; i < ops; i++) p[i * stride] = 1;
  munmap(p, n << 20);
}
static void sizes(long n) {
  measure("large", n, 2000, map_large);
  measure("touch", n, 2000, touch);
}

/* What is measured among N things, and with how many. */
static const struct { const char *curves[4]; void (*f)(long); long n[3]; } SETTINGS[] = {
  {{"fork", "proc", "wake"}, processes, {10, 100, 1000}},
  {{"open", "epoll"}, files, {100, 1000, 10000}},
  {{"create", "stat", "readdir"}, entries, {1000, 10000, 100000}},
  {{"mmap"}, mappings, {100, 1000, 10000}},
  {{"large", "touch"}, sizes, {16, 256, 2048}}};

int main(int argc, char **argv) {
  const char *tmp = getenv("SCALE_TMP");
  (void)argc;
  chosen = argv + 1;
  struct rlimit many = {20000, 20000};
  if (setrlimit(RLIMIT_NOFILE, &many)) die("RLIMIT_NOFILE");
  snprintf(dir, sizeof dir, "%s/scale.%d", tmp ? tmp : "/tmp", (int)getpid());
  snprintf(one, sizeof one, "%s.one", dir);
  if (mkdir(dir, 0700)) die(dir);
  int f = open(one, O_CREAT | O_WRONLY, 0600);
  if (f < 0) die(one);
  close(f);
  puts("start"); fflush(stdout);
  for (unsigned i = 0; i < sizeof SETTINGS / sizeof *SETTINGS; i++) {
    for (unsigned k = 0; k < 3; k++) {
      int want = 0;
      for (const char *const *curve = SETTINGS[i].curves; *curve; curve++) want |= is_wanted(*curve, SETTINGS[i].n[k]);
      if (want) SETTINGS[i].f(SETTINGS[i].n[k]);
    }
  }
  unlink(one);
  rmdir(dir);
}
