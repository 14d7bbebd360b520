// SPDX-License-Identifier: Apache-2.0
// epoll, eventfd, timerfd, signalfd, poll, select. Source: epoll(7), eventfd(2), timerfd_create(2), signalfd(2).
#define _GNU_SOURCE
#include "../check.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>

static struct epoll_event got[8];
static int wait_now(int ep) { return epoll_wait(ep, got, 8, 0); }
static void add(int ep, int fd, unsigned events) {
  struct epoll_event e = {.events = events, .data.fd = fd};
  CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e) == 0);
}
static void mod(int ep, int fd, unsigned events) {
  struct epoll_event e = {.events = events, .data.fd = fd};
  CHECK(epoll_ctl(ep, EPOLL_CTL_MOD, fd, &e) == 0);
}

static void level_and_edge(void) {
  int ep = epoll_create1(EPOLL_CLOEXEC), p[2];
  char b[16];
  CHECK(ep >= 0 && pipe2(p, O_NONBLOCK) == 0);
  add(ep, p[0], EPOLLIN);
  CHECK(wait_now(ep) == 0);
  CHECK(write(p[1], "abcd", 4) == 4);
  CHECK(wait_now(ep) == 1 && got[0].data.fd == p[0] && got[0].events == EPOLLIN);
  CHECK(wait_now(ep) == 1);
  mod(ep, p[0], EPOLLIN | EPOLLET);
  CHECK(wait_now(ep) == 1 && wait_now(ep) == 0);
  CHECK(read(p[0], b, 1) == 1 && wait_now(ep) == 0);
  CHECK(write(p[1], "e", 1) == 1 && wait_now(ep) == 1 && wait_now(ep) == 0);
  mod(ep, p[0], EPOLLIN | EPOLLONESHOT);
  CHECK(wait_now(ep) == 1 && wait_now(ep) == 0);
  CHECK(write(p[1], "f", 1) == 1 && wait_now(ep) == 0);
  mod(ep, p[0], EPOLLIN | EPOLLONESHOT);
  CHECK(wait_now(ep) == 1);
  add(ep, p[1], EPOLLOUT);
  CHECK(wait_now(ep) == 1 && got[0].data.fd == p[1] && got[0].events == EPOLLOUT);
  mod(ep, p[0], 0);
  close(p[1]);
  CHECK(wait_now(ep) == 1 && got[0].data.fd == p[0] && got[0].events == EPOLLHUP);
  int copy = dup(p[0]);
  close(p[0]);
  CHECK(wait_now(ep) == 1);
  close(copy);
  CHECK(wait_now(ep) == 0);
  close(ep);
}

static void errors(void) {
  int ep = epoll_create1(0), p[2];
  struct epoll_event e = {.events = EPOLLIN};
  CHECK(pipe(p) == 0);
  CHECK_ERRNO(epoll_create(0), EINVAL);
  CHECK_ERRNO(epoll_create1(1), EINVAL);
  CHECK_ERRNO(epoll_ctl(ep, EPOLL_CTL_ADD, 999, &e), EBADF);
  CHECK_ERRNO(epoll_ctl(999, EPOLL_CTL_ADD, p[0], &e), EBADF);
  CHECK_ERRNO(epoll_ctl(p[0], EPOLL_CTL_ADD, p[1], &e), EINVAL);
  CHECK_ERRNO(epoll_ctl(ep, EPOLL_CTL_ADD, ep, &e), EINVAL);
  CHECK_ERRNO(epoll_ctl(ep, EPOLL_CTL_MOD, p[0], &e), ENOENT);
  CHECK_ERRNO(epoll_ctl(ep, EPOLL_CTL_DEL, p[0], 0), ENOENT);
  CHECK_ERRNO(epoll_ctl(ep, 77, p[0], &e), EINVAL);
  CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &e) == 0);
  CHECK_ERRNO(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &e), EEXIST);
  int copy = dup(p[0]);
  CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, copy, &e) == 0);
  CHECK_ERRNO(epoll_ctl(ep, EPOLL_CTL_ADD, p[1], (void *)8), EFAULT);
  CHECK_ERRNO(epoll_wait(ep, got, 0, 0), EINVAL);
  CHECK_ERRNO(epoll_wait(p[0], got, 1, 0), EINVAL);
  int file = open("/", O_RDONLY);
  CHECK_ERRNO(epoll_ctl(ep, EPOLL_CTL_ADD, file, &e), EPERM);
  e.events = EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT;
  CHECK_ERRNO(epoll_ctl(ep, EPOLL_CTL_ADD, p[1], &e), EINVAL);
  close(file);
  close(copy);
  close(ep);
  close(p[0]);
  close(p[1]);
}

static void nested(void) {
  int inner = epoll_create1(0), outer = epoll_create1(0), ev = eventfd(0, EFD_NONBLOCK);
  add(inner, ev, EPOLLIN);
  add(outer, inner, EPOLLIN);
  CHECK(wait_now(outer) == 0);
  uint64_t v = 3;
  CHECK(write(ev, &v, 8) == 8);
  CHECK(wait_now(outer) == 1 && got[0].data.fd == inner && wait_now(inner) == 1 && got[0].data.fd == ev);
  struct pollfd p = {outer, POLLIN, 0};
  CHECK(poll(&p, 1, 0) == 1 && p.revents == POLLIN);
  CHECK(read(ev, &v, 8) == 8 && v == 3);
  CHECK(wait_now(outer) == 0 && poll(&p, 1, 0) == 0);
  struct epoll_event e = {.events = EPOLLIN};
  CHECK_ERRNO(epoll_ctl(inner, EPOLL_CTL_ADD, outer, &e), ELOOP);
  close(inner);
  close(outer);
  close(ev);
}

static void sleeps(void) {
  int ep = epoll_create1(0), p[2];
  char b;
  CHECK(pipe(p) == 0);
  add(ep, p[0], EPOLLIN);
  struct timespec t0, t1;
  clock_gettime(CLOCK_MONOTONIC, &t0);
  CHECK(epoll_wait(ep, got, 8, 30) == 0);
  clock_gettime(CLOCK_MONOTONIC, &t1);
  long ms = (t1.tv_sec - t0.tv_sec) * 1000 + (t1.tv_nsec - t0.tv_nsec) / 1000000;
  CHECK(ms >= 29 && ms < 5000);
  pid_t child = fork();
  if (child == 0) {
    usleep(10000);
    _exit(write(p[1], "w", 1) != 1);
  }
  CHECK(epoll_wait(ep, got, 8, 5000) == 1 && read(p[0], &b, 1) == 1);
  waitpid(child, 0, 0);
  fd_set set;
  FD_ZERO(&set);
  FD_SET(p[0], &set);
  FD_SET(p[1], &set);
  fd_set w = set;
  struct timeval tv = {1, 0};
  CHECK(select(p[1] + 1, &set, &w, 0, &tv) == 1 && FD_ISSET(p[1], &w) && !FD_ISSET(p[0], &w) && !FD_ISSET(p[0], &set));
  tv = (struct timeval){0, 20000};
  FD_ZERO(&set);
  FD_SET(p[0], &set);
  CHECK(select(p[0] + 1, &set, 0, 0, &tv) == 0 && !FD_ISSET(p[0], &set) && tv.tv_sec == 0 && tv.tv_usec == 0);
  struct pollfd f[3] = {{-1, POLLIN, 7}, {999, POLLIN, 0}, {p[1], POLLOUT, 0}};
  CHECK(poll(f, 3, -1) == 2 && f[0].revents == 0 && f[1].revents == POLLNVAL && f[2].revents == POLLOUT);
  close(ep);
  close(p[0]);
  close(p[1]);
}

static void eventfds(void) {
  uint64_t v;
  int ev = eventfd(5, EFD_NONBLOCK | EFD_SEMAPHORE);
  CHECK(read(ev, &v, 8) == 8 && v == 1);
  CHECK_ERRNO(read(ev, &v, 7), EINVAL);
  v = UINT64_MAX;
  CHECK_ERRNO(write(ev, &v, 8), EINVAL);
  v = UINT64_MAX - 1 - 4;
  CHECK(write(ev, &v, 8) == 8);
  v = 1;
  CHECK_ERRNO(write(ev, &v, 8), EAGAIN);
  struct pollfd p = {ev, POLLIN | POLLOUT, 0};
  CHECK(poll(&p, 1, 0) == 1 && p.revents == POLLIN);
  close(ev);
  ev = eventfd(0, EFD_NONBLOCK);
  CHECK_ERRNO(read(ev, &v, 8), EAGAIN);
  close(ev);
  CHECK_ERRNO(eventfd(0, 8), EINVAL);
}

static void timers(void) {
  uint64_t ticks;
  int t = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
  CHECK(t >= 0);
  CHECK_ERRNO(read(t, &ticks, 8), EAGAIN);
  struct itimerspec s = {{0, 10000000}, {0, 20000000}}, now;
  CHECK(timerfd_settime(t, 0, &s, 0) == 0);
  CHECK(timerfd_gettime(t, &now) == 0 && now.it_interval.tv_nsec == 10000000 && now.it_value.tv_nsec <= 20000000);
  struct pollfd p = {t, POLLIN, 0};
  CHECK(poll(&p, 1, 5000) == 1 && p.revents == POLLIN);
  usleep(45000);
  CHECK(read(t, &ticks, 8) == 8 && ticks >= 4 && ticks < 500);
  memset(&s, 0, sizeof s);
  CHECK(timerfd_settime(t, 0, &s, &now) == 0 && now.it_interval.tv_nsec == 10000000);
  CHECK_ERRNO(read(t, &ticks, 8), EAGAIN);
  close(t);
  t = timerfd_create(CLOCK_REALTIME, 0);
  clock_gettime(CLOCK_REALTIME, &s.it_value);
  s.it_value.tv_sec -= 1;
  CHECK(timerfd_settime(t, TFD_TIMER_ABSTIME, &s, 0) == 0 && read(t, &ticks, 8) == 8 && ticks == 1);
  close(t);
  CHECK_ERRNO(timerfd_create(55, 0), EINVAL);
}

static volatile int seen;
static void on_signal(int signal) { seen = signal; }

static void signals(void) {
  sigset_t set, old;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigaddset(&set, SIGUSR2);
  sigprocmask(SIG_BLOCK, &set, &old);
  int s = signalfd(-1, &set, SFD_NONBLOCK);
  struct signalfd_siginfo info[2];
  CHECK_ERRNO(read(s, info, sizeof info), EAGAIN);
  kill(getpid(), SIGUSR2);
  union sigval value = {.sival_int = 77};
  sigqueue(getpid(), SIGUSR1, value);
  int ep = epoll_create1(0);
  add(ep, s, EPOLLIN);
  CHECK(wait_now(ep) == 1);
  CHECK(read(s, info, sizeof info) == sizeof info && info[0].ssi_signo == SIGUSR1 && info[0].ssi_int == 77);
  CHECK(info[0].ssi_code == SI_QUEUE && info[1].ssi_signo == SIGUSR2 && info[1].ssi_pid == (unsigned)getpid());
  CHECK(wait_now(ep) == 0);
  CHECK_ERRNO(read(s, info, 100), EINVAL);
  // ppoll lets a blocked signal through and puts the mask back.
  struct sigaction act = {.sa_handler = on_signal};
  sigaction(SIGUSR1, &act, 0);
  kill(getpid(), SIGUSR1);
  CHECK(seen == 0);
  CHECK_ERRNO(ppoll(0, 0, 0, &old), EINTR);
  CHECK(seen == SIGUSR1);
  seen = 0;
  kill(getpid(), SIGUSR1);
  CHECK(seen == 0);
  int none = epoll_create1(0);
  CHECK_ERRNO(epoll_pwait(none, got, 8, -1, &old), EINTR);
  CHECK(seen == SIGUSR1);
  close(ep);
  close(s);
}

int main(void) {
  level_and_edge();
  errors();
  nested();
  sleeps();
  eventfds();
  timers();
  signals();
  return check_done();
}
