// SPDX-License-Identifier: Apache-2.0
// Strict mode and filters.
#define _GNU_SOURCE
#include "check.h"
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static int filter(unsigned long number, unsigned action) {
  struct sock_filter code[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
    BPF_STMT(BPF_RET | BPF_K, action),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = { sizeof code / sizeof *code, code };
  return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static volatile int trapped;

static void on_sys(int signal, siginfo_t *info, void *context) {
  (void)signal;
  (void)context;
  trapped = info->si_code == 1 && info->si_syscall == SYS_getppid && info->si_errno == 9;
}

static int in_child(int (*body)(void)) {
  pid_t pid = fork();
  if (pid == 0) _exit(body());
  int status;
  CHECK(waitpid(pid, &status, 0) == pid);
  return status;
}

static int strict(void) {
  prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
  getppid();
  return 0;
}

static int strict_exit(void) {
  prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
  syscall(SYS_exit, 5);
  return 0;
}

static int errors(void) {
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  if (filter(SYS_getppid, SECCOMP_RET_ERRNO | EXDEV) != 0) return 1;
  errno = 0;
  if (syscall(SYS_getppid) != -1 || errno != EXDEV) return 2;
  if (prctl(PR_GET_SECCOMP) != 2) return 3;
  // A second filter, and the strictest answer holds; children have both.
  if (filter(SYS_getuid, SECCOMP_RET_ERRNO | EMLINK) != 0) return 4;
  pid_t pid = fork();
  if (pid == 0) _exit(syscall(SYS_getuid) == -1 && errno == EMLINK && syscall(SYS_getppid) == -1 && errno == EXDEV ? 0 : 1);
  int status;
  waitpid(pid, &status, 0);
  return status == 0 ? 0 : 5;
}

static int kills(void) {
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  filter(SYS_getppid, SECCOMP_RET_KILL_PROCESS);
  syscall(SYS_getppid);
  return 0;
}

static int traps(void) {
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  struct sigaction action = { .sa_sigaction = on_sys, .sa_flags = SA_SIGINFO };
  sigaction(SIGSYS, &action, NULL);
  filter(SYS_getppid, SECCOMP_RET_TRAP | 9);
  syscall(SYS_getppid);
  return trapped ? 0 : 1;
}

static int refused(void) {
  struct sock_filter code[] = { BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 2), BPF_STMT(BPF_RET | BPF_K, 0) };
  struct sock_fprog program = { 2, code };
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != -1 || errno != EINVAL) return 1;
  program.len = 1;
  code[0].k = 0;
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != -1 || errno != EINVAL) return 2;
  return 0;
}

int main(void) {
  int status = in_child(strict);
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  status = in_child(strict_exit);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 5);
  CHECK(in_child(errors) == 0);
  status = in_child(kills);
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
  CHECK(in_child(traps) == 0);
  CHECK(in_child(refused) == 0);
  return check_done();
}
