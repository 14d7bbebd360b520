// SPDX-License-Identifier: Apache-2.0
// Clocks, sleeps, interval timers, POSIX timers.
#define _GNU_SOURCE
#include "check.h"
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/wait.h>
#include <time.h>

static volatile sig_atomic_t alarms;
static volatile int timer_value, timer_code;

static void on_alarm(int signal) {
  (void)signal;
  alarms++;
}

static void on_timer(int signal, siginfo_t *info, void *context) {
  (void)signal;
  (void)context;
  alarms++;
  timer_value = info->si_value.sival_int;
  timer_code = info->si_code;
}

static double now(int clock) {
  struct timespec t;
  CHECK(clock_gettime(clock, &t) == 0);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static void clocks(void) {
  struct timespec t;
  for (int clock = 0; clock <= 7; clock++) {
    CHECK(clock_gettime(clock, &t) == 0 && t.tv_nsec >= 0 && t.tv_nsec < 1000000000);
    CHECK(clock_getres(clock, &t) == 0);
  }
  CHECK_ERRNO(clock_gettime(77, &t), EINVAL);
  double a = now(CLOCK_MONOTONIC), b = now(CLOCK_MONOTONIC);
  CHECK(b >= a);
  struct timeval tv;
  gettimeofday(&tv, NULL);
  CHECK(tv.tv_sec - time(NULL) <= 1 && tv.tv_sec > 1700000000);
  CHECK(now(CLOCK_REALTIME) - tv.tv_sec < 5);
  struct tms tms;
  CHECK(times(&tms) != -1);
}

static void sleeps(void) {
  double start = now(CLOCK_MONOTONIC);
  usleep(20000);
  double span = now(CLOCK_MONOTONIC) - start;
  CHECK(span >= 0.02 && span < 0.5);
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  t.tv_nsec += 20000000;
  if (t.tv_nsec >= 1000000000) t.tv_sec++, t.tv_nsec -= 1000000000;
  CHECK(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == 0);
  CHECK(now(CLOCK_MONOTONIC) >= t.tv_sec + t.tv_nsec / 1e9);
  clock_gettime(CLOCK_REALTIME, &t);
  t.tv_nsec += 20000000;
  if (t.tv_nsec >= 1000000000) t.tv_sec++, t.tv_nsec -= 1000000000;
  CHECK(clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &t, NULL) == 0);
  t.tv_nsec = -1;
  CHECK_ERRNO(nanosleep(&t, NULL), EINVAL);
  CHECK(clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, &t, NULL) == EINVAL);
}

static void interval_timers(void) {
  signal(SIGALRM, on_alarm);
  CHECK(alarm(100) == 0);
  CHECK(alarm(0) == 100);
  struct itimerval timer = { { 0, 10000 }, { 0, 10000 } }, old;
  alarms = 0;
  CHECK(setitimer(ITIMER_REAL, &timer, NULL) == 0);
  while (alarms < 3) pause();
  CHECK(getitimer(ITIMER_REAL, &old) == 0 && old.it_interval.tv_usec == 10000 && old.it_value.tv_usec <= 10000);
  memset(&timer, 0, sizeof timer);
  CHECK(setitimer(ITIMER_REAL, &timer, &old) == 0 && old.it_interval.tv_usec == 10000);
  CHECK_ERRNO(setitimer(9, &timer, NULL), EINVAL);
  // CPU time: only running makes it go by.
  signal(SIGVTALRM, on_alarm);
  signal(SIGPROF, on_alarm);
  alarms = 0;
  timer.it_value.tv_usec = 20000;
  CHECK(setitimer(ITIMER_VIRTUAL, &timer, NULL) == 0);
  while (alarms == 0) {}
  CHECK(setitimer(ITIMER_PROF, &timer, NULL) == 0);
  while (alarms == 1) getppid();
}

static void posix_timers(void) {
  struct sigaction action = { .sa_sigaction = on_timer, .sa_flags = SA_SIGINFO };
  sigaction(SIGRTMIN, &action, NULL);
  struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN };
  event.sigev_value.sival_int = 4711;
  timer_t timer;
  CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
  struct itimerspec spec = { { 0, 5000000 }, { 0, 5000000 } }, left;
  alarms = 0;
  CHECK(timer_settime(timer, 0, &spec, NULL) == 0);
  while (alarms < 3) pause();
  CHECK(timer_value == 4711 && timer_code == SI_TIMER);
  CHECK(timer_gettime(timer, &left) == 0 && left.it_interval.tv_nsec == 5000000);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGRTMIN);
  sigprocmask(SIG_BLOCK, &set, NULL);
  usleep(50000);
  siginfo_t info;
  CHECK(sigwaitinfo(&set, &info) == SIGRTMIN && info.si_overrun >= 5);
  CHECK(timer_getoverrun(timer) >= 5);
  CHECK(timer_delete(timer) == 0);
  CHECK_ERRNO(timer_delete(timer), EINVAL);
  sigprocmask(SIG_UNBLOCK, &set, NULL);
  CHECK(timer_create(CLOCK_PROCESS_CPUTIME_ID, &event, &timer) == 0);
  memset(&spec, 0, sizeof spec);
  spec.it_value.tv_nsec = 10000000;
  alarms = 0;
  CHECK(timer_settime(timer, 0, &spec, NULL) == 0);
  while (alarms == 0) {}
  timer_delete(timer);
}

static void cpu_time(void) {
  double start = now(CLOCK_PROCESS_CPUTIME_ID);
  usleep(30000);
  CHECK(now(CLOCK_PROCESS_CPUTIME_ID) - start < 0.025);
  volatile unsigned n = 0;
  double until = now(CLOCK_MONOTONIC) + 0.03;
  while (now(CLOCK_MONOTONIC) < until) n++;
  double used = now(CLOCK_PROCESS_CPUTIME_ID) - start;
  CHECK(used > 0.003 && used < 10);
  struct rusage usage;
  CHECK(getrusage(RUSAGE_SELF, &usage) == 0);
  double total = usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
  CHECK(total > 0 && total <= now(CLOCK_PROCESS_CPUTIME_ID) + 0.02);
  clockid_t clock;
  CHECK(clock_getcpuclockid(0, &clock) == 0 && now(clock) > 0);
}

static void cpu_limit(void) {
  pid_t pid = fork();
  if (pid == 0) {
    struct rlimit limit = { 1, 2 };
    setrlimit(RLIMIT_CPU, &limit);
    signal(SIGXCPU, SIG_DFL);
    for (;;) {}
  }
  int status;
  CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU);
}

int main(void) {
  clocks();
  sleeps();
  interval_timers();
  posix_timers();
  cpu_time();
  cpu_limit();
  return check_done();
}
