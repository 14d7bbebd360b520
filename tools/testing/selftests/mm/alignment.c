// SPDX-License-Identifier: Apache-2.0
// Operands of 16 bytes that must be aligned, in code that has run often: those that are not, and those that are not mapped.
// Source: Intel SDM volume 2, MOVAPS and ADDPD; sigaction(2) on si_code and si_addr.
#include "../check.h"
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>

#define BYTES (1 << 20)
#define HALF (BYTES / 2)
#define OFTEN 3000

static sigjmp_buf back;
static volatile int code;
static char *volatile address;

static void note(int signal, siginfo_t *info, void *context) {
  (void)signal;
  (void)context;
  code = info->si_code;
  address = info->si_addr;
  siglongjmp(back, 1);
}

__attribute__((noinline)) static void copy(char *to, const char *from, long bytes) {
  for (long at = 0; at < bytes; at += 16)
    asm volatile("movaps (%1), %%xmm0\n\tmovaps %%xmm0, (%0)" ::"r"(to + at), "r"(from + at) : "xmm0", "memory");
}

__attribute__((noinline)) static void add(double *values, long bytes, long distance) {
  for (long at = 0; at < bytes / 8; at += 2)
    asm volatile("movaps (%0), %%xmm0\n\taddpd 16(%0,%1), %%xmm0\n\tmovaps %%xmm0, (%0)" ::"r"(values + at), "r"(distance)
                 : "xmm0", "memory");
}

/* What the kernel says of the fault in an expression: si_code, or 0 for none. */
#define FAULT_OF(expression) \
  ({ \
    code = 0; \
    address = NULL; \
    if (sigsetjmp(back, 1) == 0) expression; \
    code; \
  })

int main(void) {
  struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO};
  sigaction(SIGSEGV, &action, NULL);
  char *memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  char *other = memory + HALF;
  for (int n = 0; n < HALF; n++) memory[n] = n * 7;
  for (int n = 0; n < OFTEN; n++) copy(other, memory, 4096);
  CHECK(memcmp(memory, other, 4096) == 0);
  for (int n = 0; n <= 16; n++) {
    int expected = n % 16 == 0 ? 0 : SI_KERNEL;
    CHECK(FAULT_OF(copy(other, memory + n, 4096)) == expected && address == NULL);
    CHECK(FAULT_OF(copy(other + n, memory, 4096)) == expected && address == NULL);
  }
  double *values = (double *)other;
  for (int n = 0; n < 1024; n++) values[n] = n;
  for (int n = 0; n < OFTEN; n++) add(values, 4096, 0);
  for (int n = 0; n <= 16; n += 4) CHECK(FAULT_OF(add(values, 4096, n)) == (n % 16 == 0 ? 0 : SI_KERNEL));
  char *hole = memory + HALF / 2;
  munmap(hole, 4096);
  CHECK(FAULT_OF(copy(other, hole - 64, 256)) == SEGV_MAPERR && address == hole);
  CHECK(FAULT_OF(copy(hole - 64, memory, 256)) == SEGV_MAPERR && address == hole);
  CHECK(memcmp(hole - 64, memory, 64) == 0);
  return check_done();
}
