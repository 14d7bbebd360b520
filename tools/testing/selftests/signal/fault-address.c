// SPDX-License-Identifier: Apache-2.0
// What a handler is told of an access to the kernel's half of the address space, to the page below it, and to no address
// at all: si_code, si_addr and the machine's registers, to the last bit. Source: sigaction(2); what Linux gives.
#define _GNU_SOURCE
#include "../check.h"
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <ucontext.h>

#define TRAP_PAGE_FAULT 14

static sigjmp_buf back;

static void show(int signal, siginfo_t *info, void *context) {
  greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
  printf(": signal %d code %d addr %#lx trap %lld error %#llx", signal, info->si_code, (long)info->si_addr,
         registers[REG_TRAPNO], registers[REG_ERR]);
  if (registers[REG_TRAPNO] == TRAP_PAGE_FAULT) printf(" cr2 %#llx", registers[REG_CR2]);
  printf("\n");
  siglongjmp(back, 1);
}

#define TRY(name, ...) \
  do { \
    printf("%#lx %s", at, name); \
    if (sigsetjmp(back, 1) == 0) { __VA_ARGS__; printf(" is there\n"); } \
  } while (0)

static void try(uint64_t at) {
  char here[8] = {0};
  TRY("read", *(volatile char *)at);
  TRY("read 8", *(volatile uint64_t *)at);
  TRY("write", *(volatile uint64_t *)at = 1);
  TRY("add", __asm__ volatile("lock addl $1, (%0)" ::"r"(at & -4) : "memory"));
  TRY("read 16", __asm__ volatile("movdqu (%0), %%xmm0" ::"r"(at) : "memory", "xmm0"));
  TRY("read 10", __asm__ volatile("fldt (%0)\n\tfstp %%st" ::"r"(at) : "memory"));
  TRY("copy", {
    void *to = (void *)at, *from = here;
    long n = 8;
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n)::"memory");
  });
  TRY("call", ((void (*)(void))at)());
}

int main(void) {
  struct sigaction action = {.sa_sigaction = show, .sa_flags = SA_SIGINFO | SA_NODEFER};
  sigaction(SIGSEGV, &action, 0);
  sigaction(SIGBUS, &action, 0);
  static const uint64_t addresses[] = {
    0x1234, 0x7ffffffff123, 0x800000000000, 0x8000000000001234, 0xdeadbeefcafe1235, 0xffff800000000001,
    0xffff888012345678, 0xffffffff81000003, 0xfffffffffffff001, 0xfffffffffffffff9,
  };
  for (unsigned i = 0; i < sizeof addresses / sizeof *addresses; i++) try(addresses[i]);
  return 0;
}
