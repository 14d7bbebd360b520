// SPDX-License-Identifier: Apache-2.0
// Threads, futexes of every kind, robust and PI mutexes, shared futexes between processes.
#define _GNU_SOURCE
#include "check.h"
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

static long futex(uint32_t *word, int op, uint32_t value, void *timeout, uint32_t *word2, uint32_t value3) {
  return syscall(SYS_futex, word, op, value, timeout, word2, value3);
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int total, turn;

static void *adder(void *unused) {
  (void)unused;
  for (int i = 0; i < 1000; i++) {
    pthread_mutex_lock(&mutex);
    int seen = total;
    if (i % 100 == 0) sched_yield();
    total = seen + 1;
    pthread_mutex_unlock(&mutex);
  }
  return (void *)7;
}

static void mutexes(void) {
  pthread_t threads[8];
  for (int i = 0; i < 8; i++) CHECK(pthread_create(&threads[i], NULL, adder, NULL) == 0);
  for (int i = 0; i < 8; i++) {
    void *result;
    CHECK(pthread_join(threads[i], &result) == 0 && result == (void *)7);
  }
  CHECK(total == 8000);
}

static atomic_int baton;

static void *spinner(void *unused) {
  (void)unused;
  for (int i = 0; i < 500; i++) {
    while (atomic_load(&baton) != 1) __builtin_ia32_pause();
    atomic_store(&baton, 0);
  }
  return NULL;
}

/* Threads that wait for each other without a system call get on, and not only slice by slice. */
static void spinning(void) {
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, spinner, NULL) == 0);
  for (int i = 0; i < 500; i++) {
    while (atomic_load(&baton) != 0) __builtin_ia32_pause();
    atomic_store(&baton, 1);
  }
  CHECK(pthread_join(thread, NULL) == 0);
}

static void *player(void *number) {
  long mine = (long)number;
  for (int i = 0; i < 100; i++) {
    pthread_mutex_lock(&mutex);
    while (turn % 3 != mine) pthread_cond_wait(&cond, &mutex);
    turn++;
    pthread_cond_broadcast(&cond);
    pthread_mutex_unlock(&mutex);
  }
  return NULL;
}

static void conditions(void) {
  pthread_t threads[3];
  for (long i = 0; i < 3; i++) pthread_create(&threads[i], NULL, player, (void *)i);
  for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
  CHECK(turn == 300);
  struct timespec deadline;
  clock_gettime(CLOCK_REALTIME, &deadline);
  deadline.tv_nsec += 10000000;
  if (deadline.tv_nsec >= 1000000000) deadline.tv_sec++, deadline.tv_nsec -= 1000000000;
  pthread_mutex_lock(&mutex);
  CHECK(pthread_cond_timedwait(&cond, &mutex, &deadline) == ETIMEDOUT);
  pthread_mutex_unlock(&mutex);
}

static void errors(void) {
  uint32_t word = 5;
  struct timespec span = { 0, 5000000 };
  CHECK_ERRNO(futex(&word, FUTEX_WAIT, 4, NULL, NULL, 0), EAGAIN);
  CHECK_ERRNO(futex(&word, FUTEX_WAIT, 5, &span, NULL, 0), ETIMEDOUT);
  CHECK_ERRNO(futex((uint32_t *)((char *)&word + 1), FUTEX_WAIT, 5, NULL, NULL, 0), EINVAL);
  CHECK_ERRNO(futex(NULL, FUTEX_WAIT, 5, NULL, NULL, 0), EFAULT);
  CHECK_ERRNO(futex(&word, FUTEX_WAIT_BITSET, 5, NULL, NULL, 0), EINVAL);
  CHECK_ERRNO(futex(&word, 77, 5, NULL, NULL, 0), ENOSYS);
  CHECK(futex(&word, FUTEX_WAKE, 1, NULL, NULL, 0) == 0);
  span.tv_nsec = 1000000000;
  CHECK_ERRNO(futex(&word, FUTEX_WAIT, 5, &span, NULL, 0), EINVAL);
}

static uint32_t words[2];
static volatile int awake;

static void *sleeper(void *bits) {
  while (futex(&words[0], FUTEX_WAIT_BITSET_PRIVATE, 0, NULL, NULL, (uint32_t)(uintptr_t)bits) != 0) {}
  __sync_fetch_and_add(&awake, 1);
  return NULL;
}

static void bitsets_and_requeue(void) {
  pthread_t threads[4];
  for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, sleeper, (void *)(uintptr_t)(1u << i));
  usleep(50000);
  CHECK(futex(&words[0], FUTEX_WAKE_BITSET_PRIVATE, 10, NULL, NULL, 4) == 1);
  CHECK(pthread_join(threads[2], NULL) == 0 && awake == 1);
  CHECK_ERRNO(futex(&words[0], FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)10, &words[1], 1), EAGAIN);
  CHECK(futex(&words[0], FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)10, &words[1], 0) == 3);
  CHECK(futex(&words[0], FUTEX_WAKE_PRIVATE, 10, NULL, NULL, 0) == 0);
  int op = FUTEX_OP(FUTEX_OP_ADD, 3, FUTEX_OP_CMP_EQ, 0);
  CHECK(futex(&words[0], FUTEX_WAKE_OP_PRIVATE, 1, (void *)1, &words[1], op) == 1);
  CHECK(words[1] == 3);
  CHECK(futex(&words[1], FUTEX_WAKE_PRIVATE, 10, NULL, NULL, 0) == 1);
  for (int i = 0; i < 4; i++) if (i != 2) pthread_join(threads[i], NULL);
  CHECK(awake == 4);
}

static void shared_between_processes(void) {
  sem_t *semaphores = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  sem_init(&semaphores[0], 1, 0);
  sem_init(&semaphores[1], 1, 0);
  pid_t pid = fork();
  if (pid == 0) {
    for (int i = 0; i < 50; i++) {
      sem_wait(&semaphores[0]);
      sem_post(&semaphores[1]);
    }
    _exit(0);
  }
  for (int i = 0; i < 50; i++) {
    sem_post(&semaphores[0]);
    while (sem_wait(&semaphores[1]) != 0) {}
  }
  int status;
  CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

static pthread_mutex_t *robust;

static void *dies_with_lock(void *unused) {
  (void)unused;
  pthread_mutex_lock(robust);
  return NULL;
}

static void robust_mutexes(int protocol) {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  pthread_mutexattr_setprotocol(&attributes, protocol);
  pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  robust = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  pthread_mutex_init(robust, &attributes);
  pthread_t thread;
  pthread_create(&thread, NULL, dies_with_lock, NULL);
  pthread_join(thread, NULL);
  CHECK(pthread_mutex_lock(robust) == EOWNERDEAD);
  CHECK(pthread_mutex_consistent(robust) == 0 && pthread_mutex_unlock(robust) == 0);
  atomic_int *is_locked = (atomic_int *)(robust + 1);
  pid_t pid = fork();
  if (pid == 0) {
    pthread_mutex_lock(robust);
    *is_locked = 1;
    usleep(20000);
    _exit(0);
  }
  while (!*is_locked) usleep(1000);
  CHECK(pthread_mutex_lock(robust) == EOWNERDEAD);
  pthread_mutex_consistent(robust);
  pthread_mutex_unlock(robust);
  waitpid(pid, NULL, 0);
}

static pthread_mutex_t inheriting;

static void *pi_adder(void *unused) {
  (void)unused;
  for (int i = 0; i < 200; i++) {
    pthread_mutex_lock(&inheriting);
    int seen = total;
    if (i % 20 == 0) sched_yield();
    total = seen + 1;
    pthread_mutex_unlock(&inheriting);
  }
  return NULL;
}

static void pi_mutexes(void) {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT);
  CHECK(pthread_mutex_init(&inheriting, &attributes) == 0);
  total = 0;
  pthread_t threads[4];
  for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, pi_adder, NULL);
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  CHECK(total == 800);
  uint32_t word = 0;
  CHECK(futex(&word, FUTEX_LOCK_PI, 0, NULL, NULL, 0) == 0 && word == (uint32_t)gettid());
  CHECK_ERRNO(futex(&word, FUTEX_LOCK_PI, 0, NULL, NULL, 0), EDEADLK);
  CHECK(futex(&word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0) == 0 && word == 0);
  CHECK_ERRNO(futex(&word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0), EPERM);
}

static void *exits_process(void *unused) {
  (void)unused;
  usleep(5000);
  _exit(12);
}

static void *sleeps(void *unused) {
  (void)unused;
  for (;;) pause();
  return NULL;
}

static void group_exit(void) {
  pid_t pid = fork();
  if (pid == 0) {
    pthread_t thread;
    for (int i = 0; i < 3; i++) pthread_create(&thread, NULL, sleeps, NULL);
    pthread_create(&thread, NULL, exits_process, NULL);
    for (;;) pause();
  }
  int status;
  CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 12);
  pid = fork();
  if (pid == 0) {
    // The leader goes first; the process lives on.
    pthread_t thread;
    pthread_create(&thread, NULL, exits_process, NULL);
    pthread_exit(NULL);
  }
  CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 12);
}

static volatile sig_atomic_t handler_tid;

static void on_signal(int signal) {
  (void)signal;
  handler_tid = gettid();
}

static void *waits_for_signal(void *tid) {
  *(volatile pid_t *)tid = gettid();
  while (handler_tid == 0) usleep(1000);
  return NULL;
}

static void signals_to_threads(void) {
  signal(SIGUSR1, on_signal);
  volatile pid_t tid = 0;
  pthread_t thread;
  pthread_create(&thread, NULL, waits_for_signal, (void *)&tid);
  while (tid == 0) usleep(1000);
  pthread_kill(thread, SIGUSR1);
  pthread_join(thread, NULL);
  CHECK(handler_tid == tid);
  // A thread that blocks it is passed over.
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  handler_tid = 0;
  tid = 0;
  pthread_create(&thread, NULL, waits_for_signal, (void *)&tid);
  while (tid == 0) usleep(1000);
  pthread_sigmask(SIG_BLOCK, &set, NULL);
  kill(getpid(), SIGUSR1);
  pthread_join(thread, NULL);
  CHECK(handler_tid == tid);
  pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static uint32_t many[3];
static volatile long which = -2;

static void *waits_for_many(void *unused) {
  (void)unused;
  struct { uint64_t value, address; uint32_t flags, reserved; } list[3];
  memset(list, 0, sizeof list);
  for (int i = 0; i < 3; i++) {
    list[i].address = (uintptr_t)&many[i];
    list[i].flags = 2 | 128;
  }
  which = syscall(449, list, 3, 0, NULL, 0);
  return NULL;
}

static void several_words(void) {
  pthread_t thread;
  pthread_create(&thread, NULL, waits_for_many, NULL);
  for (int i = 0; i < 2000 && futex(&many[1], FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0) == 0; i++) usleep(1000);
  pthread_join(thread, NULL);
  CHECK(which == 1);
  many[0] = 1;
  waits_for_many(NULL);
  CHECK(which == -1 && errno == EAGAIN);
}

int main(void) {
  several_words();
  mutexes();
  spinning();
  conditions();
  errors();
  bitsets_and_requeue();
  shared_between_processes();
  robust_mutexes(PTHREAD_PRIO_NONE);
  pi_mutexes();
  robust_mutexes(PTHREAD_PRIO_INHERIT);
  group_exit();
  signals_to_threads();
  return check_done();
}
