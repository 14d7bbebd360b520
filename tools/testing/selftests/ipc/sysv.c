// SPDX-License-Identifier: Apache-2.0
// System V semaphores, shared memory, message queues; POSIX message queues.
#define _GNU_SOURCE
#include "check.h"
#include <fcntl.h>
#include <mqueue.h>
#include <signal.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <time.h>

union semun { int val; struct semid_ds *buf; unsigned short *array; };

static void semaphores(void) {
  int id = semget(IPC_PRIVATE, 2, 0600);
  CHECK(id >= 0);
  unsigned short values[2] = { 1, 0 };
  CHECK(semctl(id, 0, SETALL, (union semun){ .array = values }) == 0);
  CHECK(semctl(id, 0, GETVAL) == 1 && semctl(id, 1, GETVAL) == 0);
  struct sembuf both[2] = { { 0, -1, IPC_NOWAIT }, { 1, -1, IPC_NOWAIT } };
  CHECK_ERRNO(semop(id, both, 2), EAGAIN);
  CHECK(semctl(id, 0, GETVAL) == 1);
  pid_t pid = fork();
  if (pid == 0) {
    struct sembuf wait[2] = { { 0, -1, 0 }, { 1, -1, 0 } };
    _exit(semop(id, wait, 2) == 0 ? 0 : 1);
  }
  for (int i = 0; i < 1000 && semctl(id, 1, GETNCNT) != 1; i++) usleep(1000);
  CHECK(semctl(id, 1, GETNCNT) == 1);
  struct sembuf up = { 1, 1, 0 };
  CHECK(semop(id, &up, 1) == 0);
  int status;
  CHECK(waitpid(pid, &status, 0) == pid && status == 0);
  CHECK(semctl(id, 0, GETVAL) == 0 && semctl(id, 0, GETPID) == pid);
  // Undo at exit.
  pid = fork();
  if (pid == 0) {
    struct sembuf undo = { 0, 5, SEM_UNDO };
    semop(id, &undo, 1);
    _exit(semctl(id, 0, GETVAL));
  }
  CHECK(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 5);
  CHECK(semctl(id, 0, GETVAL) == 0);
  struct timespec span = { 0, 5000000 };
  struct sembuf down = { 0, -1, 0 };
  CHECK_ERRNO(semtimedop(id, &down, 1, &span), EAGAIN);
  down.sem_num = 9;
  CHECK_ERRNO(semop(id, &down, 1), EFBIG);
  CHECK_ERRNO(semctl(id, 0, SETVAL, (union semun){ .val = 40000 }), ERANGE);
  pid = fork();
  if (pid == 0) {
    struct sembuf wait = { 0, -1, 0 };
    _exit(semop(id, &wait, 1) == -1 && errno == EIDRM ? 0 : 1);
  }
  usleep(20000);
  struct semid_ds info;
  CHECK(semctl(id, 0, IPC_STAT, (union semun){ .buf = &info }) == 0 && info.sem_nsems == 2);
  CHECK((info.sem_perm.mode & 0777) == 0600 && info.sem_otime != 0);
  CHECK(semctl(id, 0, IPC_RMID) == 0);
  CHECK(waitpid(pid, &status, 0) == pid && status == 0);
  CHECK_ERRNO(semctl(id, 0, GETVAL), EINVAL);
}

static void shared_memory(void) {
  key_t key = 0x52304f4b + getpid();
  CHECK_ERRNO(shmget(key, 4096, 0), ENOENT);
  int id = shmget(key, 10000, IPC_CREAT | 0600);
  CHECK(id >= 0 && shmget(key, 100, 0) == id);
  CHECK_ERRNO(shmget(key, 100, IPC_CREAT | IPC_EXCL), EEXIST);
  CHECK_ERRNO(shmget(key, 20000, 0), EINVAL);
  char *memory = shmat(id, NULL, 0);
  CHECK(memory != (void *)-1);
  strcpy(memory, "from the parent");
  pid_t pid = fork();
  if (pid == 0) {
    if (strcmp(memory, "from the parent") != 0) _exit(1);
    strcpy(memory + 8192, "from the child");
    _exit(0);
  }
  int status;
  CHECK(waitpid(pid, &status, 0) == pid && status == 0);
  CHECK(strcmp(memory + 8192, "from the child") == 0);
  struct shmid_ds info;
  CHECK(shmctl(id, IPC_STAT, &info) == 0);
  CHECK(info.shm_segsz == 10000 && info.shm_nattch == 1 && info.shm_cpid == getpid());
  char *second = shmat(id, NULL, SHM_RDONLY);
  CHECK(second != memory && strcmp(second, memory) == 0);
  CHECK(shmctl(id, IPC_STAT, &info) == 0 && info.shm_nattch == 2);
  CHECK(shmctl(id, IPC_RMID, NULL) == 0);
  CHECK(shmctl(id, IPC_STAT, &info) == 0 && (info.shm_perm.mode & SHM_DEST) != 0);
  CHECK_ERRNO(shmget(key, 100, 0), ENOENT);
  CHECK(shmdt(second) == 0);
  CHECK_ERRNO(shmdt(second), EINVAL);
  CHECK(shmdt(memory) == 0);
  CHECK(shmctl(id, IPC_STAT, &info) == -1 && (errno == EINVAL || errno == EIDRM));
}

struct message {
  long type;
  char text[32];
};

static void message_queues(void) {
  int id = msgget(IPC_PRIVATE, 0600);
  CHECK(id >= 0);
  struct message message = { 3, "three" };
  CHECK(msgsnd(id, &message, 6, 0) == 0);
  message.type = 1;
  strcpy(message.text, "one");
  CHECK(msgsnd(id, &message, 4, 0) == 0);
  CHECK_ERRNO(msgrcv(id, &message, 32, 7, IPC_NOWAIT), ENOMSG);
  CHECK(msgrcv(id, &message, 32, -5, 0) == 4 && message.type == 1);
  CHECK_ERRNO(msgrcv(id, &message, 2, 0, 0), E2BIG);
  CHECK(msgrcv(id, &message, 2, 0, MSG_NOERROR) == 2 && message.type == 3);
  pid_t pid = fork();
  if (pid == 0) {
    struct message got;
    _exit(msgrcv(id, &got, 32, 9, 0) == 3 ? 0 : 1);
  }
  usleep(10000);
  message.type = 9;
  CHECK(msgsnd(id, &message, 3, 0) == 0);
  int status;
  CHECK(waitpid(pid, &status, 0) == pid && status == 0);
  struct msqid_ds info;
  CHECK(msgctl(id, IPC_STAT, &info) == 0 && info.msg_qnum == 0 && info.msg_lspid == getpid() && info.msg_lrpid == pid);
  message.type = 0;
  CHECK_ERRNO(msgsnd(id, &message, 3, 0), EINVAL);
  CHECK(msgctl(id, IPC_RMID, NULL) == 0);
}

static void posix_queues(void) {
  char name[64];
  snprintf(name, sizeof name, "/rookery-%d", getpid());
  struct mq_attr attributes = { .mq_maxmsg = 2, .mq_msgsize = 16 };
  CHECK_ERRNO(mq_open(name, O_RDWR), ENOENT);
  mqd_t queue = mq_open(name, O_RDWR | O_CREAT | O_NONBLOCK, 0600, &attributes);
  CHECK(queue >= 0);
  char text[16];
  unsigned priority;
  CHECK_ERRNO(mq_receive(queue, text, 16, &priority), EAGAIN);
  CHECK(mq_send(queue, "low", 4, 1) == 0 && mq_send(queue, "high", 5, 5) == 0);
  CHECK_ERRNO(mq_send(queue, "more", 5, 5), EAGAIN);
  CHECK_ERRNO(mq_send(queue, "much too long for this", 23, 5), EMSGSIZE);
  CHECK(mq_getattr(queue, &attributes) == 0 && attributes.mq_curmsgs == 2 && attributes.mq_maxmsg == 2);
  CHECK(mq_receive(queue, text, 16, &priority) == 5 && priority == 5 && strcmp(text, "high") == 0);
  CHECK_ERRNO(mq_receive(queue, text, 4, &priority), EMSGSIZE);
  CHECK(mq_receive(queue, text, 16, &priority) == 4 && priority == 1);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigprocmask(SIG_BLOCK, &set, NULL);
  struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
  event.sigev_value.sival_int = 17;
  CHECK(mq_notify(queue, &event) == 0);
  CHECK_ERRNO(mq_notify(queue, &event), EBUSY);
  CHECK(mq_send(queue, "x", 1, 0) == 0);
  siginfo_t info;
  CHECK(sigwaitinfo(&set, &info) == SIGUSR1 && info.si_code == SI_MESGQ && info.si_value.sival_int == 17);
  CHECK(mq_unlink(name) == 0);
  CHECK_ERRNO(mq_unlink(name), ENOENT);
  CHECK(mq_close(queue) == 0);
}

int main(void) {
  semaphores();
  shared_memory();
  message_queues();
  posix_queues();
  return check_done();
}
