// SPDX-License-Identifier: Apache-2.0
// Credentials, capabilities, limits, priorities, prctl. Runs as root.
#define _GNU_SOURCE
#include "check.h"
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>

static void in_child(void (*body)(void)) {
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    check_failures = 0;
    body();
    fflush(stdout);
    _exit(check_failures);
  }
  int status;
  CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

static unsigned long long effective(void) {
  struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
  struct __user_cap_data_struct data[2];
  CHECK(syscall(SYS_capget, &header, data) == 0);
  return data[0].effective | (unsigned long long)data[1].effective << 32;
}

static void drops_root(void) {
  uid_t r, e, s;
  gid_t groups[3] = { 30, 10, 20 }, got[8];
  CHECK(setgroups(3, groups) == 0 && getgroups(8, got) == 3);
  CHECK_ERRNO(getgroups(2, got), EINVAL);
  CHECK(setresgid(100, 101, 102) == 0);
  CHECK(effective() != 0);
  CHECK(setresuid(1000, 1001, 1002) == 0);
  CHECK(getresuid(&r, &e, &s) == 0 && r == 1000 && e == 1001 && s == 1002);
  CHECK(effective() == 0);
  CHECK_ERRNO(setuid(0), EPERM);
  CHECK_ERRNO(setgid(0), EPERM);
  CHECK(setuid(1002) == 0 && geteuid() == 1002 && getuid() == 1000);
  CHECK(setreuid(-1, 1000) == 0 && geteuid() == 1000);
  CHECK(setfsuid(-1) == 1000);
  CHECK_ERRNO(setgroups(0, NULL), EPERM);
  CHECK_ERRNO(sethostname("x", 1), EPERM);
  CHECK_ERRNO(setpriority(PRIO_PROCESS, 0, -5), EACCES);
  CHECK(setpriority(PRIO_PROCESS, 0, 5) == 0);
  CHECK_ERRNO(kill(1, 0), EPERM);
  struct rlimit limit;
  CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  limit.rlim_max++;
  CHECK_ERRNO(setrlimit(RLIMIT_NOFILE, &limit), EPERM);
  limit.rlim_max--;
  limit.rlim_cur = 5;
  CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
  dup(0);
  dup(0);
  CHECK_ERRNO(dup(0), EMFILE);
}

static void keeps_capabilities(void) {
  CHECK(prctl(PR_SET_KEEPCAPS, 1) == 0);
  CHECK(setresuid(1000, 1000, 1000) == 0);
  CHECK(effective() == 0);
  struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
  struct __user_cap_data_struct data[2];
  CHECK(syscall(SYS_capget, &header, data) == 0 && (data[0].permitted & (1 << CAP_KILL)) != 0);
  data[0].effective = 1 << CAP_KILL;
  data[0].permitted = 1 << CAP_KILL;
  data[1].effective = data[1].permitted = 0;
  CHECK(syscall(SYS_capset, &header, data) == 0);
  CHECK(kill(1, 0) == 0);
  data[0].permitted |= 1 << CAP_CHOWN;
  CHECK_ERRNO(syscall(SYS_capset, &header, data), EPERM);
  CHECK(prctl(PR_CAPBSET_READ, CAP_CHOWN) == 1);
  CHECK_ERRNO(prctl(PR_CAPBSET_READ, 99), EINVAL);
}

static void effective_only(void) {
  CHECK(seteuid(1000) == 0 && effective() == 0);
  CHECK(seteuid(0) == 0 && effective() != 0);
}

static void names_and_flags(void) {
  char name[16];
  CHECK(prctl(PR_SET_NAME, "a rather long name") == 0);
  CHECK(prctl(PR_GET_NAME, name) == 0 && strcmp(name, "a rather long n") == 0);
  CHECK(prctl(PR_GET_DUMPABLE) == 1);
  CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
  CHECK_ERRNO(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0), EINVAL);
  CHECK_ERRNO(prctl(12345, 0, 0, 0, 0), EINVAL);
  CHECK(prctl(PR_GET_TIMERSLACK) == 50000);
  struct utsname uts;
  CHECK(uname(&uts) == 0 && strcmp(uts.sysname, "Linux") == 0 && strcmp(uts.machine, "x86_64") == 0);
}

static void death_signal(void) {
  int gate[2];
  pipe(gate);
  pid_t pid = fork();
  if (pid == 0) {
    if (fork() == 0) {
      sigset_t set;
      sigemptyset(&set);
      sigaddset(&set, SIGUSR2);
      sigprocmask(SIG_BLOCK, &set, NULL);
      prctl(PR_SET_PDEATHSIG, SIGUSR2);
      write(gate[1], "r", 1);
      int signal = sigwaitinfo(&set, NULL);
      write(gate[1], signal == SIGUSR2 ? "s" : "x", 1);
      _exit(0);
    }
    char c;
    read(gate[0], &c, 1);
    _exit(0);
  }
  waitpid(pid, NULL, 0);
  char c = 0;
  CHECK(read(gate[0], &c, 1) == 1 && c == 's');
}

static void scheduling(void) {
  struct sched_param param = { 0 };
  CHECK(sched_getscheduler(0) == SCHED_OTHER && sched_getparam(0, &param) == 0 && param.sched_priority == 0);
  CHECK(sched_get_priority_max(SCHED_FIFO) == 99 && sched_get_priority_min(SCHED_FIFO) == 1);
  CHECK(sched_get_priority_max(SCHED_OTHER) == 0);
  CHECK_ERRNO(sched_get_priority_max(77), EINVAL);
  param.sched_priority = 5;
  CHECK_ERRNO(sched_setscheduler(0, SCHED_OTHER, &param), EINVAL);
  CHECK(sched_setscheduler(0, SCHED_RR, &param) == 0 && sched_getscheduler(0) == SCHED_RR);
  param.sched_priority = 0;
  CHECK(sched_setscheduler(0, SCHED_BATCH, &param) == 0);
  CHECK_ERRNO(sched_getscheduler(-1), EINVAL);
  CHECK(nice(3) == 3 && getpriority(PRIO_PROCESS, 0) == 3);
  CHECK_ERRNO(getpriority(9, 0), EINVAL);
  cpu_set_t set;
  CHECK(sched_getaffinity(0, sizeof set, &set) == 0 && CPU_ISSET(0, &set));
  CPU_ZERO(&set);
  CHECK_ERRNO(sched_setaffinity(0, sizeof set, &set), EINVAL);
}

int main(void) {
  in_child(drops_root);
  in_child(keeps_capabilities);
  in_child(effective_only);
  in_child(names_and_flags);
  in_child(death_signal);
  in_child(scheduling);
  return check_done();
}
