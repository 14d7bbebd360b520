// SPDX-License-Identifier: Apache-2.0
// execve from any thread: one thread is left, with the pid of the process; signal state as execve(2) says.
#define _GNU_SOURCE
#include "check.h"
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static char **arguments;

static void *sleeps(void *unused) {
  (void)unused;
  for (;;) pause();
  return NULL;
}

static void *executes(void *step) {
  usleep(5000);
  char pid[16];
  snprintf(pid, sizeof pid, "%d", getpid());
  execl(arguments[0], arguments[0], step, pid, (char *)NULL);
  _exit(99);
}

static void handler(int signal) {
  (void)signal;
}

static int second(void) {
  CHECK(getpid() == atoi(arguments[2]) && gettid() == getpid());
  struct sigaction action;
  sigaction(SIGUSR1, NULL, &action);
  CHECK(action.sa_handler == SIG_DFL);
  sigaction(SIGUSR2, NULL, &action);
  CHECK(action.sa_handler == SIG_IGN);
  sigset_t set;
  sigprocmask(SIG_SETMASK, NULL, &set);
  CHECK(sigismember(&set, SIGTERM));
  sigpending(&set);
  CHECK(sigismember(&set, SIGTERM));
  stack_t stack;
  CHECK(sigaltstack(NULL, &stack) == 0 && stack.ss_flags == SS_DISABLE);
  CHECK(fcntl(20, F_GETFD) == 0);
  CHECK_ERRNO(fcntl(21, F_GETFD), EBADF);
  return check_failures;
}

int main(int argc, char **argv) {
  arguments = argv;
  if (argc > 1) return second();
  for (int from_leader = 0; from_leader < 2; from_leader++) {
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
      signal(SIGUSR1, handler);
      signal(SIGUSR2, SIG_IGN);
      sigset_t set;
      sigemptyset(&set);
      sigaddset(&set, SIGTERM);
      sigprocmask(SIG_BLOCK, &set, NULL);
      raise(SIGTERM);
      kill(getpid(), SIGTERM);
      stack_t stack = { .ss_sp = malloc(65536), .ss_size = 65536 };
      sigaltstack(&stack, NULL);
      dup2(0, 20);
      dup3(0, 21, O_CLOEXEC);
      pthread_t thread;
      for (int i = 0; i < 3; i++) pthread_create(&thread, NULL, sleeps, NULL);
      if (from_leader) executes("second");
      pthread_create(&thread, NULL, executes, "second");
      for (;;) pause();
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
  }
  return check_done();
}
