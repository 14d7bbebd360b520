// SPDX-License-Identifier: Apache-2.0
// fork, vfork, wait4, waitid, exit statuses, reparenting, process groups.
#include "check.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static void exit_status(void) {
  for (int code = 0; code < 300; code += 77) {
    pid_t pid = fork();
    if (pid == 0) _exit(code);
    int status = 0;
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == (code & 0xff));
  }
}

static void killed(int signal, int blocked) {
  pid_t pid = fork();
  if (pid == 0) {
    if (blocked) {
      sigset_t set;
      sigemptyset(&set);
      sigaddset(&set, signal);
      sigprocmask(SIG_BLOCK, &set, NULL);
    }
    raise(signal);
    _exit(7);
  }
  int status = 0;
  CHECK(waitpid(pid, &status, 0) == pid);
  if (blocked) CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
  else CHECK(WIFSIGNALED(status) && WTERMSIG(status) == signal);
}

static int shared_value;

static void vfork_shares_memory(void) {
  shared_value = 1;
  pid_t pid = vfork();
  if (pid == 0) {
    shared_value = 2;
    _exit(3);
  }
  CHECK(shared_value == 2);
  int status;
  CHECK(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 3);
}

static void fork_copies_memory(void) {
  shared_value = 10;
  pid_t pid = fork();
  if (pid == 0) {
    shared_value = 11;
    _exit(shared_value);
  }
  int status;
  CHECK(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 11);
  CHECK(shared_value == 10);
}

static void wait_variants(void) {
  CHECK_ERRNO(waitpid(-1, NULL, 0), ECHILD);
  CHECK_ERRNO(waitpid(-1, NULL, WNOHANG), ECHILD);
  int gate[2];
  CHECK(pipe(gate) == 0);
  pid_t pid = fork();
  if (pid == 0) {
    char c;
    close(gate[1]);
    read(gate[0], &c, 1);
    _exit(42);
  }
  close(gate[0]);
  CHECK(waitpid(pid, NULL, WNOHANG) == 0);
  CHECK_ERRNO(waitpid(pid + 12345, NULL, 0), ECHILD);
  siginfo_t info;
  memset(&info, 0xff, sizeof info);
  CHECK(waitid(P_PID, pid, &info, WEXITED | WNOHANG) == 0 && info.si_pid == 0);
  close(gate[1]);
  CHECK(waitid(P_PID, pid, &info, WEXITED | WNOWAIT) == 0);
  CHECK(info.si_pid == pid && info.si_code == CLD_EXITED && info.si_status == 42 && info.si_signo == SIGCHLD);
  struct rusage usage;
  int status = 0;
  CHECK(wait4(pid, &status, 0, &usage) == pid && status == 42 << 8);
  CHECK_ERRNO(waitid(P_ALL, 0, &info, 0), EINVAL);
}

static void reparenting(void) {
  int report[2];
  CHECK(pipe(report) == 0);
  CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
  pid_t pid = fork();
  if (pid == 0) {
    pid_t grandchild = fork();
    if (grandchild == 0) {
      while (getppid() != 1 && getppid() != (pid_t)0) {
        char c = getppid() == getpgrp() ? 'r' : 'w';
        if (c == 'r') {
          write(report[1], &c, 1);
          _exit(5);
        }
        usleep(1000);
      }
      _exit(6);
    }
    _exit(0);
  }
  char c = 0;
  CHECK(read(report[0], &c, 1) == 1 && c == 'r');
  int status;
  CHECK(waitpid(pid, &status, 0) == pid);
  CHECK(wait(&status) > 0 && WEXITSTATUS(status) == 5);
  CHECK_ERRNO(wait(&status), ECHILD);
}

static void stops(void) {
  pid_t pid = fork();
  if (pid == 0) {
    for (;;) pause();
  }
  int status;
  kill(pid, SIGSTOP);
  CHECK(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
  CHECK(waitpid(pid, &status, WUNTRACED | WNOHANG) == 0);
  kill(pid, SIGCONT);
  CHECK(waitpid(pid, &status, WCONTINUED) == pid && WIFCONTINUED(status));
  kill(pid, SIGSTOP);
  CHECK(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
  kill(pid, SIGTERM);
  CHECK(waitpid(pid, &status, WNOHANG) == 0);
  kill(pid, SIGKILL);
  CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void groups(void) {
  pid_t pid = fork();
  if (pid == 0) {
    CHECK(setpgid(0, 0) == 0 && getpgrp() == getpid());
    CHECK_ERRNO(setsid(), EPERM);
    pid_t inner = fork();
    if (inner == 0) {
      CHECK(getpgrp() == getppid());
      CHECK(setsid() == getpid() && getsid(0) == getpid() && getpgrp() == getpid());
      CHECK_ERRNO(setpgid(0, 0), EPERM);
      _exit(check_failures);
    }
    int status;
    waitpid(inner, &status, 0);
    CHECK_ERRNO(setpgid(getppid(), 0), ESRCH);
    CHECK_ERRNO(kill(-99999, 0), ESRCH);
    CHECK_ERRNO(setpgid(0, -1), EINVAL);
    _exit(check_failures);
  }
  int status;
  CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

int main(void) {
  setpgid(0, 0);
  exit_status();
  killed(SIGTERM, 0);
  killed(SIGKILL, 0);
  killed(SIGUSR1, 0);
  killed(SIGUSR2, 1);
  vfork_shares_memory();
  fork_copies_memory();
  wait_variants();
  reparenting();
  stops();
  groups();
  return check_done();
}
