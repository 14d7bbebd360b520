// SPDX-License-Identifier: Apache-2.0
// Handlers, masks, queues, alternate stacks, restarts, waiting for signals.
#define _GNU_SOURCE
#include "check.h"
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

static volatile sig_atomic_t count, last, nested;
static siginfo_t last_info;
static stack_t seen_stack;

static void on_signal(int signal) {
  count++;
  last = signal;
}

static void on_info(int signal, siginfo_t *info, void *context) {
  (void)context;
  count++;
  last = signal;
  last_info = *info;
}

static void install(int signal, void (*handler)(int), int flags) {
  struct sigaction action = { .sa_handler = handler, .sa_flags = flags };
  CHECK(sigaction(signal, &action, NULL) == 0);
}

static void install_info(int signal, int flags) {
  struct sigaction action = { .sa_sigaction = on_info, .sa_flags = SA_SIGINFO | flags };
  CHECK(sigaction(signal, &action, NULL) == 0);
}

static void handlers(void) {
  install(SIGUSR1, on_signal, 0);
  raise(SIGUSR1);
  CHECK(count == 1 && last == SIGUSR1);
  install_info(SIGUSR2, 0);
  kill(getpid(), SIGUSR2);
  CHECK(last == SIGUSR2 && last_info.si_code == SI_USER && last_info.si_pid == getpid() && last_info.si_uid == getuid());
  raise(SIGUSR2);
  CHECK(last_info.si_code == SI_TKILL);
  install(SIGUSR1, on_signal, SA_RESETHAND);
  raise(SIGUSR1);
  struct sigaction old;
  sigaction(SIGUSR1, NULL, &old);
  CHECK(old.sa_handler == SIG_DFL);
  CHECK_ERRNO(sigaction(SIGKILL, &old, NULL), EINVAL);
  CHECK_ERRNO(sigaction(65, NULL, &old), EINVAL);
  signal(SIGUSR1, SIG_IGN);
  raise(SIGUSR1);
}

static void masks(void) {
  sigset_t set, old, pending;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR2);
  count = 0;
  CHECK(sigprocmask(SIG_BLOCK, &set, &old) == 0);
  raise(SIGUSR2);
  raise(SIGUSR2);
  CHECK(count == 0);
  sigpending(&pending);
  CHECK(sigismember(&pending, SIGUSR2) && !sigismember(&pending, SIGUSR1));
  sigprocmask(SIG_SETMASK, &old, NULL);
  CHECK(count == 1);
}

static int order[16], ordered;

static void on_queue(int signal, siginfo_t *info, void *context) {
  (void)context;
  order[ordered++] = signal * 1000 + info->si_value.sival_int;
}

static void realtime_queue(void) {
  struct sigaction action = { .sa_sigaction = on_queue, .sa_flags = SA_SIGINFO };
  sigfillset(&action.sa_mask);
  sigset_t set, old;
  sigemptyset(&set);
  for (int i = 0; i < 3; i++) {
    sigaction(SIGRTMIN + i, &action, NULL);
    sigaddset(&set, SIGRTMIN + i);
  }
  sigprocmask(SIG_BLOCK, &set, &old);
  for (int i = 2; i >= 0; i--)
    for (int n = 0; n < 2; n++) sigqueue(getpid(), SIGRTMIN + i, (union sigval){ .sival_int = n });
  CHECK(ordered == 0);
  sigprocmask(SIG_SETMASK, &old, NULL);
  // Frames nest: with everything masked in the handler they run one after the other, lowest signal first.
  CHECK(ordered == 6);
  for (int n = 0; n < 6; n++) CHECK(order[n] == (SIGRTMIN + n / 2) * 1000 + n % 2);
}

static void on_alt(int signal) {
  (void)signal;
  sigaltstack(NULL, &seen_stack);
}

static void alternate_stack(void) {
  stack_t stack = { .ss_sp = malloc(65536), .ss_size = 65536 }, old;
  CHECK(sigaltstack(&stack, NULL) == 0);
  install(SIGUSR1, on_alt, SA_ONSTACK);
  raise(SIGUSR1);
  CHECK((seen_stack.ss_flags & SS_ONSTACK) != 0 && seen_stack.ss_sp == stack.ss_sp);
  CHECK(sigaltstack(NULL, &old) == 0 && old.ss_flags == 0);
  stack.ss_size = 100;
  CHECK_ERRNO(sigaltstack(&stack, NULL), ENOMEM);
  stack.ss_flags = SS_DISABLE;
  CHECK(sigaltstack(&stack, NULL) == 0);
}

static sigjmp_buf jump;
static volatile void *fault_address;
static volatile int fault_code, fault_signal;

static void on_fault(int signal, siginfo_t *info, void *context) {
  (void)context;
  fault_signal = signal;
  fault_code = info->si_code;
  fault_address = info->si_addr;
  siglongjmp(jump, 1);
}

static void faults(void) {
  struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
  sigaction(SIGSEGV, &action, NULL);
  sigaction(SIGFPE, &action, NULL);
  sigaction(SIGILL, &action, NULL);
  sigaction(SIGTRAP, &action, NULL);
  char *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (sigsetjmp(jump, 1) == 0) page[5] = 1;
  CHECK(fault_signal == SIGSEGV && fault_code == SEGV_ACCERR && fault_address == page + 5);
  munmap(page, 4096);
  if (sigsetjmp(jump, 1) == 0) page[7] = 1;
  CHECK(fault_signal == SIGSEGV && fault_code == SEGV_MAPERR && fault_address == page + 7);
  volatile int zero = 0;
  if (sigsetjmp(jump, 1) == 0) zero = 5 / zero;
  CHECK(fault_signal == SIGFPE && fault_code == FPE_INTDIV);
  if (sigsetjmp(jump, 1) == 0) __asm__ volatile("ud2");
  CHECK(fault_signal == SIGILL && fault_code == ILL_ILLOPN);
  if (sigsetjmp(jump, 1) == 0) __asm__ volatile("int3");
  CHECK(fault_signal == SIGTRAP && fault_code == SI_KERNEL);
  if (sigsetjmp(jump, 1) == 0) __asm__ volatile("hlt");
  CHECK(fault_signal == SIGSEGV && fault_code == SI_KERNEL);
  signal(SIGSEGV, SIG_DFL);
}

static pid_t signal_later(int signal, int milliseconds) {
  pid_t target = getpid();
  pid_t pid = fork();
  if (pid != 0) return pid;
  usleep(milliseconds * 1000);
  kill(target, signal);
  usleep(milliseconds * 1000);
  _exit(0);
}

static void restarts(void) {
  int gate[2];
  char c;
  pipe(gate);
  install(SIGUSR1, on_signal, 0);
  pid_t pid = signal_later(SIGUSR1, 20);
  CHECK_ERRNO(read(gate[0], &c, 1), EINTR);
  waitpid(pid, NULL, 0);
  install(SIGUSR1, on_signal, SA_RESTART);
  count = 0;
  pid = fork();
  if (pid == 0) {
    usleep(20000);
    kill(getppid(), SIGUSR1);
    usleep(20000);
    write(gate[1], "x", 1);
    _exit(0);
  }
  CHECK(read(gate[0], &c, 1) == 1 && c == 'x' && count == 1);
  while (waitpid(pid, NULL, 0) < 0) {}
  // nanosleep never restarts after a handler, whatever SA_RESTART says.
  pid = signal_later(SIGUSR1, 20);
  struct timespec span = { 5, 0 }, left = { 0, 0 };
  CHECK_ERRNO(nanosleep(&span, &left), EINTR);
  CHECK(left.tv_sec == 4);
  waitpid(pid, NULL, 0);
  // A stop and a continue do not interrupt it.
  pid = fork();
  if (pid == 0) {
    struct timespec small = { 0, 100000000 };
    _exit(nanosleep(&small, NULL) == 0 ? 0 : 1);
  }
  usleep(20000);
  kill(pid, SIGSTOP);
  usleep(20000);
  kill(pid, SIGCONT);
  int status;
  CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

static void waiting(void) {
  sigset_t set, old;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigaddset(&set, SIGCHLD);
  sigprocmask(SIG_BLOCK, &set, &old);
  struct timespec none = { 0, 0 }, some = { 0, 10000000 };
  siginfo_t info;
  CHECK_ERRNO(sigtimedwait(&set, &info, &none), EAGAIN);
  CHECK_ERRNO(sigtimedwait(&set, &info, &some), EAGAIN);
  raise(SIGUSR1);
  CHECK(sigwaitinfo(&set, &info) == SIGUSR1);
  pid_t pid = fork();
  if (pid == 0) _exit(9);
  CHECK(sigwaitinfo(&set, &info) == SIGCHLD && info.si_pid == pid && info.si_code == CLD_EXITED && info.si_status == 9);
  waitpid(pid, NULL, 0);
  pid = signal_later(SIGUSR1, 20);
  count = 0;
  sigset_t empty;
  sigemptyset(&empty);
  CHECK_ERRNO(sigsuspend(&empty), EINTR);
  CHECK(count == 1);
  sigset_t now;
  sigprocmask(SIG_SETMASK, NULL, &now);
  CHECK(sigismember(&now, SIGUSR1));
  waitpid(pid, NULL, 0);
  sigtimedwait(&set, NULL, &none);
  sigprocmask(SIG_SETMASK, &old, NULL);
}

static void on_nested(int signal) {
  nested++;
  if (signal == SIGUSR1) {
    raise(SIGUSR2);
    CHECK(nested == 2);
    raise(SIGUSR1);
    CHECK(nested == 2);
  }
}

static void nesting(void) {
  install(SIGUSR1, on_nested, 0);
  install(SIGUSR2, on_nested, 0);
  nested = 0;
  raise(SIGUSR1);
  CHECK(nested == 3 || nested == 4);
  struct sigaction action = { .sa_handler = SIG_DFL };
  sigaction(SIGUSR1, &action, NULL);
}

static void children(void) {
  signal(SIGCHLD, SIG_IGN);
  pid_t pid = fork();
  if (pid == 0) _exit(0);
  CHECK_ERRNO(waitpid(pid, NULL, 0), ECHILD);
  signal(SIGCHLD, SIG_DFL);
  struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_NOCLDSTOP | SA_RESTART };
  sigaction(SIGCHLD, &action, NULL);
  count = 0;
  pid = fork();
  if (pid == 0) for (;;) pause();
  kill(pid, SIGSTOP);
  int status;
  CHECK(waitpid(pid, &status, WUNTRACED) == pid && count == 0);
  kill(pid, SIGKILL);
  CHECK(waitpid(pid, &status, 0) == pid && count == 1);
}

int main(void) {
  handlers();
  masks();
  realtime_queue();
  alternate_stack();
  faults();
  restarts();
  waiting();
  children();
  (void)nesting;
  return check_done();
}
