// SPDX-License-Identifier: Apache-2.0
// Sorts a file as GNU sort does, with its own functions, again and again: sort --parallel=1 -S 256M FILE -o sorted. usage: sort FILE TIMES
// A line for each time: a sum of what is in "sorted", and ms of CPU. With -DWORDS its memcmp is the one below and not the C library's.

#include <config.h>

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

// WASI's C library compares byte by byte, others a vector at a time: by words is what plain C can do, and can be compiled with checks.
__attribute__((unused)) static int compare_words(const void *left, const void *right, size_t n) {
  const unsigned char *a = left, *b = right;
  for (; n >= 8; n -= 8, a += 8, b += 8) {
    uint64_t x, y;
    __builtin_memcpy(&x, a, 8);
    __builtin_memcpy(&y, b, 8);
    if (x != y) return __builtin_bswap64(x) < __builtin_bswap64(y) ? -1 : 1;
  }
  for (; n; n--, a++, b++) if (*a != *b) return *a - *b;
  return 0;
}

static FILE *sorted;
#ifdef WORDS
#define memcmp compare_words
#endif
#define main sort_main
#undef stdout
#define stdout sorted
#include "src/sort.c"
#undef main
#undef stdout

#ifdef __wasm__
// One thread has nobody to wait for.
int pthread_mutex_init(pthread_mutex_t *lock, const pthread_mutexattr_t *how) { return 0; }
int pthread_mutex_destroy(pthread_mutex_t *lock) { return 0; }
int pthread_mutex_lock(pthread_mutex_t *lock) { return 0; }
int pthread_mutex_unlock(pthread_mutex_t *lock) { return 0; }
int pthread_cond_init(pthread_cond_t *wait, const pthread_condattr_t *how) { return 0; }
int pthread_cond_destroy(pthread_cond_t *wait) { return 0; }
int pthread_cond_signal(pthread_cond_t *wait) { return 0; }
#endif

static unsigned sum_of(const char *name) {
  unsigned sum = 0;
  FILE *file = fopen(name, "rb");
  for (int c; (c = getc_unlocked(file)) != EOF;) sum = sum * 31 + c;
  fclose(file);
  return sum;
}

int main(int argc, char **argv) {
  inittables();
  sort_size = 256 << 20;
  for (int times = atoi(argv[2]); times > 0; times--) {
    clock_t start = clock();
    sorted = fopen("sorted", "wb");
    sort(&argv[1], 1, NULL, 1);
    clock_t end = clock();
    printf("%x %.1f\n", sum_of("sorted"), (end - start) * 1e3 / CLOCKS_PER_SEC);
  }
  return 0;
}
