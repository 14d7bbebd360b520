// SPDX-License-Identifier: Apache-2.0
// Pseudoterminals, line discipline, sessions and job control. Source: pty(7), termios(3), ioctl_tty(2), credentials(7).
#define _GNU_SOURCE
#include "../check.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>

static char slave_name[64];
static int master, slave;

static short events(int fd, short wanted) {
  struct pollfd p = {fd, wanted, 0};
  poll(&p, 1, wanted == POLLIN ? 300 : 100);
  return p.revents;
}

static void open_pair(void) {
  int unlock = 0, n;
  master = open("/dev/ptmx", O_RDWR | O_NOCTTY);
  CHECK(master >= 0);
  CHECK(ioctl(master, TIOCGPTN, &n) == 0);
  snprintf(slave_name, sizeof slave_name, "/dev/pts/%d", n);
  CHECK_ERRNO(open(slave_name, O_RDWR | O_NOCTTY), EIO);
  CHECK(ioctl(master, TIOCSPTLCK, &unlock) == 0);
  slave = open(slave_name, O_RDWR | O_NOCTTY);
  CHECK(slave >= 0 && isatty(slave) && isatty(master));
}

static void close_pair(void) {
  close(slave);
  close(master);
}

/* What comes out of the master within a moment is just `text`. */
static int shows(const char *text) {
  char b[512];
  size_t n = 0, want = strlen(text);
  while (n < want && events(master, POLLIN) & POLLIN) {
    ssize_t got = read(master, b + n, sizeof b - n);
    if (got <= 0) break;
    n += got;
  }
  if (n == want && memcmp(b, text, n) == 0) return 1;
  printf("master shows %zu bytes:", n);
  for (size_t i = 0; i < n; i++) printf(" %02x", (unsigned char)b[i]);
  printf("\n");
  return 0;
}

/* Types and gives the line discipline a moment. */
static void type(const char *text) {
  CHECK(write(master, text, strlen(text)) == (ssize_t)strlen(text));
  usleep(3000);
}

static void canonical(void) {
  char b[64];
  struct termios t;
  open_pair();
  CHECK(tcgetattr(slave, &t) == 0);
  CHECK(t.c_iflag == (ICRNL | IXON) && t.c_oflag == (OPOST | ONLCR) && t.c_cflag == (B38400 | CS8 | CREAD));
  CHECK(t.c_lflag == (ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN));
  CHECK(t.c_cc[VINTR] == 3 && t.c_cc[VERASE] == 127 && t.c_cc[VEOF] == 4 && t.c_cc[VMIN] == 1);
  struct stat st;
  CHECK(fstat(slave, &st) == 0 && S_ISCHR(st.st_mode) && major(st.st_rdev) == 136);
  fcntl(slave, F_SETFL, O_NONBLOCK);
  CHECK_ERRNO(read(slave, b, 64), EAGAIN);
  type("hel");
  CHECK_ERRNO(read(slave, b, 64), EAGAIN);
  type("lx\177o\r");
  CHECK(shows("hellx\b \bo\r\n"));
  int n;
  CHECK(ioctl(slave, FIONREAD, &n) == 0 && n == 6);
  CHECK(read(slave, b, 3) == 3 && read(slave, b, 64) == 3 && memcmp(b, "lo\n", 3) == 0);
  type("eof\004");
  CHECK(read(slave, b, 3) == 3);
  CHECK_ERRNO(read(slave, b, 3), EAGAIN);
  type("\004");
  CHECK(read(slave, b, 3) == 0);
  CHECK(shows("eof"));
  CHECK(write(slave, "a\tb\n", 4) == 4 && shows("a\tb\r\n"));
  type("\023");
  CHECK_ERRNO(write(slave, "held", 4), EAGAIN);
  CHECK(events(slave, POLLOUT) == 0);
  type("\021");
  CHECK(events(slave, POLLOUT) == POLLOUT && write(slave, "go", 2) == 2 && shows("go"));
  close_pair();
}

static void raw(void) {
  char b[64];
  struct termios t;
  struct timespec t0, t1;
  open_pair();
  CHECK(tcgetattr(slave, &t) == 0);
  cfmakeraw(&t);
  t.c_cc[VMIN] = 0;
  t.c_cc[VTIME] = 0;
  CHECK(tcsetattr(slave, TCSANOW, &t) == 0);
  CHECK(read(slave, b, 64) == 0);
  type("\003\004\r");
  CHECK(events(slave, POLLIN) == POLLIN && read(slave, b, 64) == 3 && b[0] == 3 && b[2] == '\r');
  t.c_cc[VTIME] = 1;
  CHECK(tcsetattr(slave, TCSANOW, &t) == 0);
  clock_gettime(CLOCK_MONOTONIC, &t0);
  CHECK(read(slave, b, 64) == 0);
  clock_gettime(CLOCK_MONOTONIC, &t1);
  CHECK((t1.tv_sec - t0.tv_sec) * 1000 + (t1.tv_nsec - t0.tv_nsec) / 1000000 >= 90);
  t.c_cc[VMIN] = 5;
  CHECK(tcsetattr(slave, TCSANOW, &t) == 0);
  type("abc");
  CHECK(read(slave, b, 64) == 3);
  t.c_cc[VTIME] = 0;
  CHECK(tcsetattr(slave, TCSANOW, &t) == 0);
  type("abc");
  CHECK(events(slave, POLLIN) == 0);
  pid_t child = fork();
  if (child == 0) {
    usleep(20000);
    _exit(write(master, "defg", 4) != 4);
  }
  CHECK(read(slave, b, 64) == 7);
  waitpid(child, 0, 0);
  type("xyz");
  CHECK(read(slave, b, 2) == 2);
  fcntl(slave, F_SETFL, O_NONBLOCK);
  CHECK(read(slave, b, 64) == 1);
  CHECK_ERRNO(read(slave, b, 64), EAGAIN);
  // Data typed in raw mode is a line of canonical mode.
  type("left");
  t.c_lflag |= ICANON;
  usleep(1000);
  CHECK(tcsetattr(slave, TCSANOW, &t) == 0 && read(slave, b, 64) == 4);
  CHECK(tcflush(slave, TCIFLUSH) == 0);
  close_pair();
}

static void packets(void) {
  char b[64];
  int on = 1;
  struct termios t;
  open_pair();
  CHECK(ioctl(master, TIOCPKT, &on) == 0);
  CHECK(write(slave, "data", 4) == 4);
  CHECK(read(master, b, 64) == 5 && b[0] == TIOCPKT_DATA && memcmp(b + 1, "data", 4) == 0);
  CHECK(tcflush(slave, TCIOFLUSH) == 0);
  CHECK(events(master, POLLIN | POLLPRI) == (POLLIN | POLLPRI));
  CHECK(read(master, b, 64) == 1 && b[0] == (TIOCPKT_FLUSHREAD | TIOCPKT_FLUSHWRITE));
  CHECK(tcgetattr(slave, &t) == 0);
  t.c_iflag &= ~IXON;
  CHECK(tcsetattr(slave, TCSANOW, &t) == 0);
  CHECK(read(master, b, 64) == 1 && b[0] == TIOCPKT_NOSTOP);
  close_pair();
}

static void closing(void) {
  char b[64];
  open_pair();
  CHECK(write(slave, "last", 4) == 4);
  close(slave);
  CHECK(events(master, POLLIN) == (POLLIN | POLLHUP));
  CHECK(read(master, b, 64) == 4);
  CHECK_ERRNO(read(master, b, 64), EIO);
  CHECK(events(master, POLLIN | POLLOUT) == (POLLOUT | POLLHUP));
  slave = open(slave_name, O_RDWR | O_NOCTTY);
  CHECK(slave >= 0 && events(master, POLLIN) == 0);
  close(master);
  CHECK(read(slave, b, 64) == 0);
  CHECK_ERRNO(write(slave, "x", 1), EIO);
  CHECK((events(slave, POLLIN) & (POLLIN | POLLHUP | POLLERR)) == (POLLIN | POLLHUP | POLLERR));
  CHECK_ERRNO(open(slave_name, O_RDWR | O_NOCTTY), ENOENT);
  CHECK(tcgetattr(slave, &(struct termios){0}) == -1 && errno == EIO);
  close(slave);
}

static volatile int last_signal;
static void on_signal(int signal) { last_signal = signal; }

/* Waits at most a second for a handler to have run. */
static int came(int signal) {
  for (int turn = 0; turn < 1000 && last_signal != signal; turn++) usleep(1000);
  return last_signal == signal;
}

/* The session leader: returns 0 when all went well; failures are printed. */
static int session(int ready) {
  char b[64];
  int pgrp, sid;
  struct sigaction act = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
  CHECK(setsid() == getpid());
  CHECK_ERRNO(open("/dev/tty", O_RDWR), ENXIO);
  CHECK_ERRNO(tcgetpgrp(slave), ENOTTY);
  CHECK(ioctl(slave, TIOCSCTTY, 0) == 0 && ioctl(slave, TIOCSCTTY, 0) == 0);
  CHECK(tcgetpgrp(slave) == getpid() && ioctl(slave, TIOCGSID, &sid) == 0 && sid == getpid());
  CHECK(ioctl(master, TIOCGPGRP, &pgrp) == 0 && pgrp == getpid());
  int tty = open("/dev/tty", O_RDWR);
  CHECK(tty >= 0 && write(tty, "ok", 2) == 2 && shows("ok"));
  sigaction(SIGINT, &act, 0);
  sigaction(SIGQUIT, &act, 0);
  sigaction(SIGWINCH, &act, 0);
  type("drop\003");
  CHECK(came(SIGINT) && shows("^C"));
  type("\034");
  CHECK(came(SIGQUIT) && shows("^\\"));
  struct winsize w = {24, 80, 0, 0};
  CHECK(ioctl(master, TIOCSWINSZ, &w) == 0 && came(SIGWINCH));
  memset(&w, 0, sizeof w);
  CHECK(ioctl(slave, TIOCGWINSZ, &w) == 0 && w.ws_row == 24 && w.ws_col == 80);

  // A background job that reads is stopped; in the foreground it reads.
  int p[2], status;
  CHECK(pipe(p) == 0);
  pid_t job = fork();
  if (job == 0) {
    setpgid(0, 0);
    char c;
    if (read(p[0], &c, 1) != 1) _exit(9);
    ssize_t n = read(slave, b, sizeof b);
    _exit(n == 4 ? 5 : 6);
  }
  setpgid(job, job);
  CHECK(write(p[1], "g", 1) == 1);
  CHECK(waitpid(job, &status, WUNTRACED) == job && WIFSTOPPED(status) && WSTOPSIG(status) == SIGTTIN);
  CHECK(tcsetpgrp(slave, job) == 0 && tcgetpgrp(slave) == job);
  type("job\n");
  CHECK(kill(-job, SIGCONT) == 0);
  CHECK(waitpid(job, &status, WUNTRACED) == job && WIFEXITED(status) && WEXITSTATUS(status) == 5);
  CHECK(shows("job\r\n"));

  // Now the leader is in the background: changing the terminal would stop it unless SIGTTOU is ignored.
  signal(SIGTTOU, SIG_IGN);
  CHECK(tcsetpgrp(slave, getpid()) == 0);
  signal(SIGTTOU, SIG_DFL);
  job = fork();
  if (job == 0) {
    setpgid(0, 0);
    struct termios t;
    tcgetattr(slave, &t);
    char c;
    if (read(p[0], &c, 1) != 1) _exit(9);
    tcsetattr(slave, TCSANOW, &t);
    _exit(7);
  }
  setpgid(job, job);
  CHECK(write(p[1], "g", 1) == 1);
  CHECK(waitpid(job, &status, WUNTRACED) == job && WIFSTOPPED(status) && WSTOPSIG(status) == SIGTTOU);
  kill(-job, SIGKILL);
  waitpid(job, &status, 0);
  // ^Z stops the foreground job.
  job = fork();
  if (job == 0) {
    setpgid(0, 0);
    if (write(p[1], "r", 1) != 1) _exit(9);
    for (;;) pause();
  }
  setpgid(job, job);
  CHECK(read(p[0], b, 1) == 1 && tcsetpgrp(slave, job) == 0);
  type("\032");
  CHECK(waitpid(job, &status, WUNTRACED) == job && WIFSTOPPED(status) && WSTOPSIG(status) == SIGTSTP);
  CHECK(shows("^Z"));
  signal(SIGTTOU, SIG_IGN);
  CHECK(tcsetpgrp(slave, getpid()) == 0);
  kill(-job, SIGKILL);
  waitpid(job, &status, 0);
  CHECK_ERRNO(tcsetpgrp(slave, 99999), ESRCH);
  // A process in a session of its own has no say here.
  job = fork();
  if (job == 0) {
    setsid();
    int n;
    _exit(ioctl(slave, TIOCSCTTY, 0) == -1 && errno == EPERM && ioctl(slave, TIOCGPGRP, &n) == -1 && errno == ENOTTY ? 0 : 1);
  }
  // As root TIOCSCTTY without force is refused too: the terminal has a session.
  CHECK(waitpid(job, &status, 0) == job && status == 0);
  signal(SIGHUP, on_signal);
  CHECK(write(ready, "h", 1) == 1);
  close(master);
  while (last_signal != SIGHUP) usleep(1000);
  CHECK(read(slave, b, 1) == 0);
  CHECK_ERRNO(open("/dev/tty", O_RDWR), ENXIO);
  return check_failures;
}

static void sessions(void) {
  int p[2], status;
  char c;
  CHECK(pipe(p) == 0);
  open_pair();
  fflush(stdout);
  pid_t leader = fork();
  if (leader == 0) {
    int failures = session(p[1]);
    fflush(stdout);
    _exit(failures != 0);
  }
  close(p[1]);
  CHECK(read(p[0], &c, 1) == 1);
  close(master);
  CHECK(waitpid(leader, &status, 0) == leader && status == 0);
  close(slave);
}

int main(void) {
  mkdir("/dev", 0755);
  mkdir("/dev/pts", 0755);
  if (access("/dev/ptmx", F_OK) != 0) mknod("/dev/ptmx", S_IFCHR | 0666, makedev(5, 2));
  if (access("/dev/tty", F_OK) != 0) mknod("/dev/tty", S_IFCHR | 0666, makedev(5, 0));
  if (access("/dev/pts/ptmx", F_OK) != 0) mount("devpts", "/dev/pts", "devpts", 0, "mode=620,ptmxmode=666");
  canonical();
  raw();
  packets();
  closing();
  sessions();
  return check_done();
}
