// SPDX-License-Identifier: Apache-2.0
// A small strace and a small debugger.
#define _GNU_SOURCE
#include "check.h"
#include <signal.h>
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <elf.h>

static volatile long value = 11;

static void system_calls(void) {
  pid_t pid = fork();
  if (pid == 0) {
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    raise(SIGSTOP);
    syscall(SYS_getppid);
    syscall(SYS_close, 999);
    _exit(3);
  }
  int status;
  CHECK(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
  CHECK(ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXIT) == 0);
  for (int stop = 0;; stop++) {
    CHECK(ptrace(PTRACE_SYSCALL, pid, 0, 0) == 0);
    CHECK(waitpid(pid, &status, 0) == pid);
    if (!WIFSTOPPED(status) || status >> 16 != 0) break;
    CHECK(WSTOPSIG(status) == (SIGTRAP | 0x80));
    struct user_regs_struct regs;
    CHECK(ptrace(PTRACE_GETREGS, pid, 0, &regs) == 0);
    struct ptrace_syscall_info { unsigned char op; unsigned arch; unsigned long ip, sp, nr; } info;
    long size = ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info);
    CHECK(size == (info.op == 1 ? 80 : 33));
    if (regs.orig_rax == SYS_rt_sigprocmask) continue;
    printf("%s %ld", info.op == 1 ? "enter" : "leave", (long)regs.orig_rax);
    if (info.op == 1) printf(" rax %ld\n", (long)regs.rax);
    else printf("%s\n", (long)regs.rax < 0 ? " failed" : "");
    if (info.op == 1) CHECK((long)info.nr == (long)regs.orig_rax);
  }
  CHECK(status >> 8 == (SIGTRAP | (PTRACE_EVENT_EXIT << 8)));
  unsigned long message = 0;
  CHECK(ptrace(PTRACE_GETEVENTMSG, pid, 0, &message) == 0 && message == 3 << 8);
  CHECK(ptrace(PTRACE_CONT, pid, 0, 0) == 0);
  CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 3);
}

static void memory_and_signals(void) {
  pid_t pid = fork();
  if (pid == 0) {
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    raise(SIGUSR1);
    _exit(value == 4242 ? 0 : 1);
  }
  int status;
  CHECK(waitpid(pid, &status, 0) == pid && WSTOPSIG(status) == SIGUSR1);
  siginfo_t info;
  CHECK(ptrace(PTRACE_GETSIGINFO, pid, 0, &info) == 0 && info.si_signo == SIGUSR1 && info.si_code == SI_TKILL);
  CHECK(ptrace(PTRACE_PEEKDATA, pid, &value, 0) == 11);
  CHECK(ptrace(PTRACE_POKEDATA, pid, &value, 4242) == 0 && value == 11);
  CHECK_ERRNO(ptrace(PTRACE_PEEKDATA, pid, 8, 0), EIO);
  struct user_regs_struct regs;
  struct iovec iov = { &regs, sizeof regs };
  CHECK(ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &iov) == 0 && iov.iov_len == sizeof regs);
  CHECK((unsigned long)ptrace(PTRACE_PEEKUSER, pid, offsetof(struct user_regs_struct, rip), 0) == regs.rip);
  // The signal is dropped.
  CHECK(ptrace(PTRACE_CONT, pid, 0, 0) == 0);
  CHECK(waitpid(pid, &status, 0) == pid && status == 0);
  CHECK_ERRNO(ptrace(PTRACE_CONT, pid, 0, 0), ESRCH);
}

static void steps(void) {
  pid_t pid = fork();
  if (pid == 0) {
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    __asm__ volatile("int3; nop; nop; nop");
    _exit(5);
  }
  int status;
  CHECK(waitpid(pid, &status, 0) == pid && WSTOPSIG(status) == SIGTRAP);
  struct user_regs_struct before, after;
  ptrace(PTRACE_GETREGS, pid, 0, &before);
  for (int i = 0; i < 3; i++) {
    CHECK(ptrace(PTRACE_SINGLESTEP, pid, 0, 0) == 0);
    CHECK(waitpid(pid, &status, 0) == pid && WSTOPSIG(status) == SIGTRAP);
  }
  ptrace(PTRACE_GETREGS, pid, 0, &after);
  CHECK(after.rip == before.rip + 3);
  siginfo_t info;
  CHECK(ptrace(PTRACE_GETSIGINFO, pid, 0, &info) == 0 && info.si_code == TRAP_TRACE);
  CHECK(ptrace(PTRACE_DETACH, pid, 0, 0) == 0);
  CHECK(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 5);
}

static void attaching(void) {
  pid_t pid = fork();
  if (pid == 0) for (;;) pause();
  usleep(10000);
  CHECK(ptrace(PTRACE_SEIZE, pid, 0, PTRACE_O_TRACEFORK) == 0);
  CHECK_ERRNO(ptrace(PTRACE_ATTACH, pid, 0, 0), EPERM);
  CHECK(ptrace(PTRACE_INTERRUPT, pid, 0, 0) == 0);
  int status;
  CHECK(waitpid(pid, &status, 0) == pid && status >> 8 == (SIGTRAP | (PTRACE_EVENT_STOP << 8)));
  CHECK(ptrace(PTRACE_DETACH, pid, 0, SIGTERM) == 0 || errno == ESRCH);
  kill(pid, SIGTERM);
  CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}

static void follows_forks(void) {
  pid_t pid = fork();
  if (pid == 0) {
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    raise(SIGSTOP);
    pid_t child = fork();
    if (child == 0) _exit(1);
    waitpid(child, NULL, 0);
    _exit(2);
  }
  int status;
  waitpid(pid, &status, 0);
  ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACEFORK);
  ptrace(PTRACE_CONT, pid, 0, 0);
  int events = 0, exits = 0;
  for (;;) {
    pid_t who = waitpid(-1, &status, __WALL);
    if (who < 0) break;
    if (WIFEXITED(status)) {
      exits += WEXITSTATUS(status);
      continue;
    }
    if (status >> 8 == (SIGTRAP | (PTRACE_EVENT_FORK << 8))) events++;
    int signal = WSTOPSIG(status);
    ptrace(PTRACE_CONT, who, 0, signal == SIGTRAP || signal == SIGSTOP ? 0 : signal);
  }
  CHECK(events == 1 && exits == 3);
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  system_calls();
  memory_and_signals();
  steps();
  attaching();
  follows_forks();
  return check_done();
}
