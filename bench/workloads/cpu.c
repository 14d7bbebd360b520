// SPDX-License-Identifier: Apache-2.0
/* Compute workloads. usage: cpu NAME...   prints "cpu.NAME SECONDS cpu=SECONDS sum=CHECKSUM". */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(int clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return t.tv_sec + t.tv_nsec * 1e-9;
}
static uint64_t rng = 88172645463325252ull;
static uint32_t rnd(void) {
  rng ^= rng << 13; rng ^= rng >> 7; rng ^= rng << 17;
  return (uint32_t)(rng >> 16);
}

/* (a) integer loop with branches: sieve of 8M + collatz lengths below 3M */
static uint64_t w_int(void) {
  enum { N = 8000000 };
  unsigned char *s = calloc(N + 1, 1);
  uint64_t sum = 0;
  for (unsigned i = 2; i <= N; i++) {
    if (s[i]) continue;
    sum += i;
    if (i < 2829) for (unsigned j = i * i; j <= N; j += i) s[j] = 1;
  }
  free(s);
  unsigned best = 0;
  for (unsigned i = 1; i < 3000000; i++) {
    uint64_t x = i; unsigned n = 0;
    while (x != 1) { if (x & 1) x = 3 * x + 1; else x >>= 1; n++; }
    if (n > best) best = n, sum += i;
  }
  return sum;
}

/* (b) matrix multiply, double, 512^3 (ikj order) */
static uint64_t w_matmul(void) {
  enum { N = 512 };
  static double a[N][N], b[N][N], c[N][N];
  for (int i = 0; i < N; i++) for (int j = 0; j < N; j++) {
    a[i][j] = (rnd() & 1023) / 64.0; b[i][j] = (rnd() & 1023) / 64.0; c[i][j] = 0;
  }
  for (int r = 0; r < 4; r++)
    for (int i = 0; i < N; i++) for (int k = 0; k < N; k++) {
      double x = a[i][k];
      for (int j = 0; j < N; j++) c[i][j] += x * b[k][j];
    }
  double t = 0;
  for (int i = 0; i < N; i++) t += c[i][i];
  return (uint64_t)t;
}

/* (c1) random linked-list chase over 64 MiB */
static uint64_t w_chase(void) {
  enum { N = 1 << 20 };
  struct node { uint32_t next; uint32_t pad[15]; };
  struct node *n = malloc(sizeof *n * N);
  uint32_t *p = malloc(4 * N);
  for (uint32_t i = 0; i < N; i++) p[i] = i;
  for (uint32_t i = N - 1; i > 0; i--) { uint32_t j = rnd() % (i + 1), t = p[i]; p[i] = p[j]; p[j] = t; }
  for (uint32_t i = 0; i < N; i++) n[p[i]].next = p[(i + 1) % N];
  uint32_t x = 0; uint64_t sum = 0;
  for (unsigned i = 0; i < 4u * N; i++) { x = n[x].next; sum += x; }
  free(n); free(p);
  return sum;
}

/* (c2) memcpy + memset over 64 MiB, 16 rounds (libc's own routines) */
static uint64_t w_memcpy(void) {
  enum { N = 64 << 20 };
  char *a = malloc(N), *b = malloc(N);
  uint64_t s = 0;
  for (int r = 0; r < 16; r++) {
    memset(a, r, N);
    memcpy(b, a, N);
    s += (unsigned char)b[r * 4099];
  }
  free(a); free(b);
  return s;
}

/* (d) sha256 of 96 MiB in 64 KiB pieces, plain C */
#define R(x, n) (((x) >> (n)) | ((x) << (32 - (n))))
static const uint32_t K[64] = {
  0x428a2f98,0x71374491,0xb5c0fbcf,0xe9b5dba5,0x3956c25b,0x59f111f1,0x923f82a4,0xab1c5ed5,
  0xd807aa98,0x12835b01,0x243185be,0x550c7dc3,0x72be5d74,0x80deb1fe,0x9bdc06a7,0xc19bf174,
  0xe49b69c1,0xefbe4786,0x0fc19dc6,0x240ca1cc,0x2de92c6f,0x4a7484aa,0x5cb0a9dc,0x76f988da,
  0x983e5152,0xa831c66d,0xb00327c8,0xbf597fc7,0xc6e00bf3,0xd5a79147,0x06ca6351,0x14292967,
  0x27b70a85,0x2e1b2138,0x4d2c6dfc,0x53380d13,0x650a7354,0x766a0abb,0x81c2c92e,0x92722c85,
  0xa2bfe8a1,0xa81a664b,0xc24b8b70,0xc76c51a3,0xd192e819,0xd6990624,0xf40e3585,0x106aa070,
  0x19a4c116,0x1e376c08,0x2748774c,0x34b0bcb5,0x391c0cb3,0x4ed8aa4a,0x5b9cca4f,0x682e6ff3,
  0x748f82ee,0x78a5636f,0x84c87814,0x8cc70208,0x90befffa,0xa4506ceb,0xbef9a3f7,0xc67178f2};
static void sha_block(uint32_t *h, const uint8_t *p) {
  uint32_t w[64];
  for (int i = 0; i < 16; i++)
    w[i] = (uint32_t)p[4*i] << 24 | p[4*i+1] << 16 | p[4*i+2] << 8 | p[4*i+3];
  for (int i = 16; i < 64; i++) {
    uint32_t s0 = R(w[i-15], 7) ^ R(w[i-15], 18) ^ (w[i-15] >> 3);
    uint32_t s1 = R(w[i-2], 17) ^ R(w[i-2], 19) ^ (w[i-2] >> 10);
    w[i] = w[i-16] + s0 + w[i-7] + s1;
  }
  uint32_t a = h[0], b = h[1], c = h[2], d = h[3], e = h[4], f = h[5], g = h[6], v = h[7];
  for (int i = 0; i < 64; i++) {
    uint32_t t1 = v + (R(e, 6) ^ R(e, 11) ^ R(e, 25)) + ((e & f) ^ (~e & g)) + K[i] + w[i];
    uint32_t t2 = (R(a, 2) ^ R(a, 13) ^ R(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
    v = g; g = f; f = e; e = d + t1; d = c; c = b; b = a; a = t1 + t2;
  }
  h[0] += a; h[1] += b; h[2] += c; h[3] += d; h[4] += e; h[5] += f; h[6] += g; h[7] += v;
}
static uint64_t w_sha256(void) {
  static uint8_t buf[65536];
  for (unsigned i = 0; i < sizeof buf; i++) buf[i] = rnd();
  uint32_t h[8] = {0x6a09e667,0xbb67ae85,0x3c6ef372,0xa54ff53a,0x510e527f,0x9b05688c,0x1f83d9ab,0x5be0cd19};
  for (int r = 0; r < 96 * 16; r++)
    for (unsigned i = 0; i < sizeof buf; i += 64) sha_block(h, buf + i);
  return (uint64_t)h[0] << 32 | h[1];
}

/* (e) recursive fib(38), three times: calls and returns. The attributes keep gcc -O2 from
 * inlining the recursion away, so that calls really happen. */
__attribute__((noinline, noclone, optimize("no-optimize-sibling-calls", "no-inline"))) static unsigned fib(unsigned n) {
  return n < 2 ? n : fib(n - 1) + fib(n - 2);
}
static uint64_t w_fib(void) { volatile unsigned n = 38; return fib(n) + fib(n) + fib(n); }

/* (f) libc qsort of 5M ints: an indirect call a comparison */
static int cmp(const void *a, const void *b) {
  int x = *(const int *)a, y = *(const int *)b;
  return (x > y) - (x < y);
}
static uint64_t w_qsort(void) {
  enum { N = 5000000 };
  int *a = malloc(sizeof *a * N);
  for (int i = 0; i < N; i++) a[i] = (int)rnd();
  qsort(a, N, sizeof *a, cmp);
  uint64_t s = 0;
  for (int i = 0; i < N; i += 1000) s = s * 31 + (uint32_t)a[i];
  free(a);
  return s;
}

static const struct { const char *name; uint64_t (*f)(void); } W[] = {
  {"int", w_int}, {"matmul", w_matmul}, {"chase", w_chase}, {"memcpy", w_memcpy},
  {"sha256", w_sha256}, {"fib", w_fib}, {"qsort", w_qsort}};

int main(int argc, char **argv) {
  puts("start"); fflush(stdout);
  for (unsigned i = 0; i < sizeof W / sizeof *W; i++) {
    int want = argc < 2;
    for (int k = 1; k < argc; k++) want |= !strcmp(argv[k], W[i].name);
    if (!want) continue;
    rng = 88172645463325252ull;
    double t = now(CLOCK_MONOTONIC), c = now(CLOCK_PROCESS_CPUTIME_ID);
    uint64_t sum = W[i].f();
    c = now(CLOCK_PROCESS_CPUTIME_ID) - c;
    t = now(CLOCK_MONOTONIC) - t;
    printf("cpu.%s %.6f cpu=%.6f sum=%016llx\n", W[i].name, t, c, (unsigned long long)sum);
    fflush(stdout);
  }
}
