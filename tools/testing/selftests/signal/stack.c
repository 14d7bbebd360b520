// SPDX-License-Identifier: Apache-2.0
// Stack overflow on an alternate stack, faults that cannot be delivered, signals in floating-point code.
#define _GNU_SOURCE
#include "check.h"
#include <fenv.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <ucontext.h>

static sigjmp_buf jump;
static volatile int depth;
static volatile double number = 1.5;

#pragma GCC diagnostic ignored "-Winfinite-recursion"
static void overflow(int n) {
  volatile char buffer[4096];
  buffer[0] = n;
  depth++;
  overflow(n + buffer[0]);
  buffer[1] = 0;
}

static void on_fault(int signal, siginfo_t *info, void *context) {
  (void)signal;
  (void)info;
  (void)context;
  siglongjmp(jump, 1);
}

#pragma GCC diagnostic ignored "-Winfinite-recursion"
static void overflows(void) {
  stack_t stack = { .ss_sp = malloc(65536), .ss_size = 65536 };
  sigaltstack(&stack, NULL);
  struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK };
  sigaction(SIGSEGV, &action, NULL);
  struct rlimit limit = { 1 << 20, 1 << 20 };
  setrlimit(RLIMIT_STACK, &limit);
  if (sigsetjmp(jump, 1) == 0) overflow(1);
  CHECK(depth > 100 && depth < 300);
  depth = 0;
  if (sigsetjmp(jump, 1) == 0) overflow(1);
  CHECK(depth > 100 && depth < 300);
}

static int child_status(void (*body)(void)) {
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    body();
    _exit(77);
  }
  int status;
  waitpid(pid, &status, 0);
  return status;
}

static void without_alternate_stack(void) {
  struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
  sigaction(SIGSEGV, &action, NULL);
  struct rlimit limit = { 1 << 20, 1 << 20 };
  setrlimit(RLIMIT_STACK, &limit);
  overflow(1);
}

static void blocked_fault(void) {
  signal(SIGSEGV, SIG_DFL);
  sigset_t set;
  sigfillset(&set);
  sigprocmask(SIG_BLOCK, &set, NULL);
  *(volatile int *)8 = 1;
}

static void ignored_fault(void) {
  signal(SIGSEGV, SIG_IGN);
  *(volatile int *)8 = 1;
}

static void wild_jump(void) {
  signal(SIGSEGV, SIG_DFL);
  ((void (*)(void))0x1234567890)();
}

static void fixes_up(int signal, siginfo_t *info, void *context) {
  (void)signal;
  (void)info;
  ucontext_t *uc = context;
  uc->uc_mcontext.gregs[REG_RIP] += 2;
  number = 100;
  fesetround(FE_UPWARD);
}

static void context_is_live(void) {
  struct sigaction action = { .sa_sigaction = fixes_up, .sa_flags = SA_SIGINFO };
  sigaction(SIGILL, &action, NULL);
  register double before __asm__("xmm7") = number * 3;
  __asm__ volatile("ud2" : "+x"(before));
  CHECK(before == 4.5 && number == 100);
  CHECK(fegetround() == FE_TONEAREST);
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  overflows();
  int status = child_status(without_alternate_stack);
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
  status = child_status(blocked_fault);
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
  status = child_status(ignored_fault);
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
  status = child_status(wild_jump);
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
  context_is_live();
  return check_done();
}
