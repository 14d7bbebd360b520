// SPDX-License-Identifier: Apache-2.0
/* Functions of the C library, instructions that are seldom or that emulators leave to functions of theirs, and code that is written to. usage: library [NAME...]
 * Prints "library.NAME SECONDS_PER_OP ops=ALL_OPERATIONS_DONE", as sys.c; MIN_T seconds each (default 0.1). Texts have 200 characters.
 * The floating point ones come after a first sin(), which reads the control word: what was raised is told apart from then on. */
#define _GNU_SOURCE
#include <fnmatch.h>
#include <immintrin.h>
#include <math.h>
#include <pthread.h>
#include <regex.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>

static volatile long sink;
static volatile double fsink, third = 1.0 / 3, unbound = INFINITY;
static char a[4096], b[4096], c[8192];

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec * 1e-9;
}
static void handler(int s) { sink += s; }
static int order(const void *x, const void *y) { return *(const int *)x - *(const int *)y; }

#define ROW(name, ...) static void b_##name(long n) { for (long i = 0; i < n; i++) { __VA_ARGS__; } }
ROW(strlen, sink = strlen(a))
ROW(strcmp, sink = strcmp(a, b))
ROW(strcasecmp, sink = strcasecmp(a, b))
ROW(strchr, sink = (long)strchr(a, 'y'))
ROW(strstr, sink = (long)strstr(a, "xxy"))
ROW(strcspn, sink = strcspn(a, "yz\n"))
ROW(strcpy, strcpy(c, a))
ROW(memcmp, sink = memcmp(a, b, 200))
ROW(memcpy_4k, memcpy(c, b, 4096))
ROW(memset_4k, memset(c, (int)i, 4096))
ROW(wcslen, sink = wcslen((wchar_t *)b))
ROW(malloc, free(malloc(100)))
ROW(strtol, sink = strtol("123456", 0, 10))
ROW(strtod, fsink = strtod("3.14159265358979", 0))
ROW(snprintf, snprintf(c, 99, "%08lx %s", i, "abc"))
ROW(snprintf_f, snprintf(c, 99, "%.17g", third * i))
ROW(fnmatch, sink = fnmatch("*.tx?", "readme.txt", 0))
ROW(time, sink = time(0))
ROW(sin, fsink = sin(third + i))
ROW(pow, fsink = pow(third + i, 1.7))
ROW(floor, fsink = floor(third + i))
ROW(fma, fsink = fma(third, i, 0.7))
ROW(infinite, fsink = unbound + i)
ROW(div128, uint64_t q = i; __asm__ volatile("divq %1" : "+a"(q) : "r"(999999937ull), "d"(7ull) : "cc"))
ROW(rep_cmpsb, void *s = a; void *t = b; long k = 64; __asm__ volatile("repe cmpsb" : "+S"(s), "+D"(t), "+c"(k)::"memory", "cc"))
ROW(rep_movsb, void *s = a; void *t = a + 3; long k = 64; __asm__ volatile("rep movsb" : "+S"(s), "+D"(t), "+c"(k)::"memory"))
ROW(x87_divide, long double x = third; fsink = x / (i + 1))
ROW(x87_integer, long double x = third; sink = (long)(x * i))

__attribute__((target("sse4.2"))) static void b_crc32(long n) {
  uint64_t crc = 1;
  while (n--) crc = _mm_crc32_u64(crc, n);
  sink = crc;
}
static void b_qsort(long n) {
  int q[1000];
  while (n--) {
    for (int k = 0; k < 1000; k++) q[k] = k * 7919 % 1000;
    qsort(q, 1000, sizeof *q, order);
  }
}
static void b_regexec(long n) {
  regex_t pattern;
  regmatch_t found[2];
  regcomp(&pattern, "[a-z]+([0-9]+)", REG_EXTENDED);
  while (n--) sink = regexec(&pattern, "  abc123 def", 2, found, 0);
}
static void b_longjmp(long n) {
  jmp_buf place;
  volatile long left = n;
  setjmp(place);
  if (--left > 0) longjmp(place, 1);
}
static void b_mutex(long n) {
  pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
  for (; n > 0; n--) pthread_mutex_lock(&m), pthread_mutex_unlock(&m);
}
static void b_raise(long n) {
  signal(SIGUSR1, handler);
  while (n--) raise(SIGUSR1);
}

/* A product and a sum, as programs compute that have set the control word: plain numbers all the time. */
static void compute(long n, unsigned control) {
  unsigned usual = _mm_getcsr();
  __asm__ volatile("ldmxcsr %0" ::"m"(control) : "memory");
  double x = third;
  while (n--) {
    x = x * 0.999 + 0.1;
    __asm__ volatile("" : "+x"(x));
  }
  __asm__ volatile("ldmxcsr %0" ::"m"(usual) : "memory");
  fsink = x;
}
static void b_float_flush(long n) { compute(n, 0x9fc0); } /* denormals are zeros and flushed to them: -ffast-math */
static void b_float_traps(long n) { compute(n, 0x1900); } /* feenableexcept(FE_INVALID | FE_DIVBYZERO | FE_OVERFLOW) */
static void b_float_upward(long n) { compute(n, 0x5f80); } /* fesetround(FE_UPWARD) */

static void b_rcpps(long n) {
  __m128 v = _mm_set1_ps(third);
  while (n--) v = _mm_rcp_ps(v);
  fsink = _mm_cvtss_f32(v);
}

__attribute__((target("sse4.1"))) static void b_dpps(long n) {
  __m128 v = _mm_set1_ps(1.5f), w = _mm_set1_ps(1 / 3.0f);
  while (n--) v = _mm_dp_ps(v, w, 0x7f);
  fsink = _mm_cvtss_f32(v);
}

/* A function in memory that is written to, as compilers at run time have them: mov eax, NUMBER; ret. */
static void call_written(long n, int at) {
  unsigned char *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memcpy(code, "\xb8\1\0\0\0\xc3", 6);
  while (n--) {
    code[at] = n;
    sink = ((int (*)(void))code)();
  }
  munmap(code, 4096);
}
static void b_code_patched(long n) { call_written(n, 1); }
static void b_code_beside(long n) { call_written(n, 2048); }

static atomic_int turn;
static void *spin(void *count) {
  for (long i = 0; i < (long)count; i++) {
    while (turn != 1) _mm_pause();
    turn = 0;
  }
  return NULL;
}
static void b_spin(long n) {
  pthread_t other;
  pthread_create(&other, NULL, spin, (void *)n);
  for (long i = 0; i < n; i++) {
    while (turn != 0) _mm_pause();
    turn = 1;
  }
  pthread_join(other, NULL);
}

static const struct { const char *name; void (*f)(long); } W[] = {
#define W_(name) { #name, b_##name }
  W_(strlen), W_(strcmp), W_(strcasecmp), W_(strchr), W_(strstr), W_(strcspn), W_(strcpy), W_(memcmp), W_(memcpy_4k), W_(memset_4k),
  W_(wcslen), W_(malloc), W_(strtol), W_(strtod), W_(snprintf), W_(snprintf_f), W_(fnmatch), W_(regexec), W_(qsort), W_(longjmp),
  W_(mutex), W_(raise), W_(time), W_(sin), W_(pow), W_(floor), W_(fma), W_(infinite), W_(div128), W_(crc32), W_(rep_cmpsb),
  W_(x87_divide), W_(x87_integer), W_(float_flush), W_(float_traps), W_(float_upward), W_(rcpps),
  W_(rep_movsb), W_(dpps), W_(code_patched), W_(code_beside), W_(spin),
};

int main(int argc, char **argv) {
  double min_t = getenv("MIN_T") ? atof(getenv("MIN_T")) : 0.1;
  memset(a, 'x', 200);
  memset(b, 'x', 200);
  puts("start"); fflush(stdout);
  for (unsigned i = 0; i < sizeof W / sizeof *W; i++) {
    int want = argc < 2;
    for (int k = 1; k < argc; k++) want |= !strcmp(argv[k], W[i].name);
    if (!want) continue;
    pid_t p = fork(); /* a failing one must not end the rest */
    if (!p) {
      alarm(60);
      fsink = sin(third);
      for (long n = 64, all = n;; n *= 2, all += n) {
        double t = now();
        W[i].f(n);
        t = now() - t;
        if (t < min_t) continue;
        printf("library.%s %.12f ops=%ld\n", W[i].name, t / n, all);
        fflush(stdout);
        _exit(0);
      }
    }
    int st;
    waitpid(p, &st, 0);
    if (st) printf("library.%s FAIL status=%x\n", W[i].name, st), fflush(stdout);
  }
}
