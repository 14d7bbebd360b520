// SPDX-License-Identifier: Apache-2.0
/* System-call micro-benchmarks. usage: sys [NAME...]   prints "sys.NAME SECONDS_PER_OP ops=ALL_OPERATIONS_DONE".
 * Each loop doubles its count until one run lasts at least MIN_T seconds, so slow
 * peers do fewer operations. BENCH_TMP (default /tmp) names the scratch directory. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double min_t = 0.1;
static char path[256], self[256];
static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec * 1e-9;
}
static void die(const char *s) { perror(s); exit(1); }

static void b_getppid(long n) { while (n--) syscall(SYS_getppid); }

static void b_clock(long n) { while (n--) now(); }

static void b_pipe(long n) {
  int a[2], b[2]; char c = 0;
  if (pipe(a) || pipe(b)) die("pipe");
  pid_t p = fork();
  if (!p) {
    for (long i = 0; i < n; i++) if (read(a[0], &c, 1) != 1 || write(b[1], &c, 1) != 1) _exit(1);
    _exit(0);
  }
  for (long i = 0; i < n; i++) if (write(a[1], &c, 1) != 1 || read(b[0], &c, 1) != 1) die("pingpong");
  waitpid(p, 0, 0);
  close(a[0]); close(a[1]); close(b[0]); close(b[1]);
}

static void b_fork(long n) {
  while (n--) {
    pid_t p = fork();
    if (p < 0) die("fork");
    if (!p) _exit(0);
    waitpid(p, 0, 0);
  }
}

static void spawn(long n, char *prog, char *arg) {
  char *av[] = {prog, arg, 0}; int st;
  while (n--) {
    pid_t p = fork();
    if (p < 0) die("fork");
    if (!p) { execv(prog, av); _exit(127); }
    waitpid(p, &st, 0);
    if (st) { fprintf(stderr, "exec %s: status %x\n", prog, st); exit(1); }
  }
}
static void b_exec_dyn(long n) { spawn(n, "/bin/true", 0); }
static void b_exec_static(long n) { spawn(n, self, "-noop"); }

static void b_openread(long n) {
  char buf[512];
  while (n--) {
    int f = open(path, O_RDONLY);
    if (f < 0 || read(f, buf, sizeof buf) != 100) die("open");
    close(f);
  }
}
static void b_stat(long n) { struct stat s; while (n--) if (stat(path, &s)) die("stat"); }

static void b_fault(long n) { /* one op = one page: mmap 1 MiB, touch each page, munmap */
  for (; n > 0; n -= 256) {
    char *p = mmap(0, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) die("mmap");
    madvise(p, 1 << 20, MADV_NOHUGEPAGE);
    for (int i = 0; i < 1 << 20; i += 4096) p[i] = 1;
    munmap(p, 1 << 20);
  }
}
static void b_msync(long n) { /* one op = dirty 16 pages of a shared file mapping, msync */
  char name[300]; snprintf(name, sizeof name, "%s.map", path);
  int f = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
  if (f < 0 || ftruncate(f, 65536)) die("map file");
  char *p = mmap(0, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, f, 0);
  if (p == MAP_FAILED) die("mmap shared");
  while (n--) {
    for (int i = 0; i < 65536; i += 4096) p[i] = (char)n;
    if (msync(p, 65536, MS_SYNC)) die("msync");
  }
  munmap(p, 65536); close(f); unlink(name);
}

static volatile int turn; static long rounds;
static void fwait(int me) {
  int v;
  while ((v = __atomic_load_n(&turn, __ATOMIC_SEQ_CST)) != me) syscall(SYS_futex, &turn, FUTEX_WAIT_PRIVATE, v, 0, 0, 0);
}
static void fpass(int other) {
  __atomic_store_n(&turn, other, __ATOMIC_SEQ_CST);
  syscall(SYS_futex, &turn, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0);
}
static void *fpeer(void *x) { for (long i = 0; i < rounds; i++) { fwait(1); fpass(0); } return x; }
static void b_futex(long n) {
  pthread_t t; rounds = n; turn = 0;
  if (pthread_create(&t, 0, fpeer, 0)) die("pthread_create");
  for (long i = 0; i < n; i++) { fpass(1); fwait(0); }
  pthread_join(t, 0);
}

static void pump(int w, int r, long mb) { /* one op = 1 MiB in 64 KiB writes */
  static char buf[65536];
  pid_t p = fork();
  if (!p) {
    close(r);
    for (long i = 0; i < mb * 16; i++)
      for (size_t o = 0; o < sizeof buf;) { ssize_t k = write(w, buf, sizeof buf - o); if (k <= 0) _exit(1); o += k; }
    _exit(0);
  }
  close(w);
  for (long left = mb << 20; left > 0;) { ssize_t k = read(r, buf, sizeof buf); if (k <= 0) die("read"); left -= k; }
  waitpid(p, 0, 0);
  close(r);
}
static void b_unix(long n) { int s[2]; if (socketpair(AF_UNIX, SOCK_STREAM, 0, s)) die("socketpair"); pump(s[0], s[1], n); }
static void b_pipebw(long n) { int s[2]; if (pipe(s)) die("pipe"); pump(s[1], s[0], n); }
static void b_tcp(long n) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t l = sizeof a;
  int s = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0);
  if (s < 0 || bind(s, (void *)&a, sizeof a) || listen(s, 1) || getsockname(s, (void *)&a, &l)) die("listen");
  if (connect(c, (void *)&a, sizeof a)) die("connect");
  int d = accept(s, 0, 0);
  if (d < 0) die("accept");
  close(s);
  pump(c, d, n);
}

static const struct { const char *name; void (*f)(long); long start; } W[] = {
  {"getppid", b_getppid, 1000}, {"clock", b_clock, 1000}, {"pipe", b_pipe, 64}, {"fork", b_fork, 4}, {"exec_static", b_exec_static, 2},
  {"exec_dyn", b_exec_dyn, 2}, {"openread", b_openread, 64}, {"stat", b_stat, 64}, {"fault", b_fault, 256},
  {"msync", b_msync, 8}, {"futex", b_futex, 64}, {"pipe_mb", b_pipebw, 1}, {"unix_mb", b_unix, 1}, {"tcp_mb", b_tcp, 1}};

int main(int argc, char **argv) {
  if (argc > 1 && !strcmp(argv[1], "-noop")) return 0;
  const char *tmp = getenv("BENCH_TMP");
  if (getenv("MIN_T")) min_t = atof(getenv("MIN_T"));
  snprintf(path, sizeof path, "%s/sys.%d", tmp ? tmp : "/tmp", (int)getpid());
  snprintf(self, sizeof self, "%s", argv[0]);
  int f = open(path, O_WRONLY | O_CREAT, 0600);
  if (f < 0 || write(f, path, 100) != 100) die(path);
  close(f);
  puts("start"); fflush(stdout);
  for (unsigned i = 0; i < sizeof W / sizeof *W; i++) {
    int want = argc < 2;
    for (int k = 1; k < argc; k++) want |= !strcmp(argv[k], W[i].name);
    if (!want) continue;
    pid_t p = fork(); /* a failing benchmark must not end the rest */
    if (!p) {
      alarm(60);
      for (long n = W[i].start, all = n;; n *= 2, all += n) {
        double t = now();
        W[i].f(n);
        t = now() - t;
        if (t < min_t) continue;
        printf("sys.%s %.9f ops=%ld\n", W[i].name, t / n, all);
        fflush(stdout);
        _exit(0);
      }
    }
    int st;
    waitpid(p, &st, 0);
    if (st) printf("sys.%s FAIL status=%x\n", W[i].name, st), fflush(stdout);
  }
  unlink(path);
}
