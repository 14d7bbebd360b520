// SPDX-License-Identifier: Apache-2.0
// AF_UNIX sockets. Source: unix(7), socket(7), cmsg(3).
#define _GNU_SOURCE
#include "../check.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <linux/sockios.h>

static short events(int fd, short wanted) {
  struct pollfd p = {fd, wanted, 0};
  poll(&p, 1, 0);
  return p.revents;
}

static socklen_t name_of(struct sockaddr_un *a, const char *text) {
  memset(a, 0, sizeof *a);
  a->sun_family = AF_UNIX;
  if (text[0] == '@') {
    memcpy(a->sun_path + 1, text + 1, strlen(text) - 1);
    return offsetof(struct sockaddr_un, sun_path) + strlen(text);
  }
  strcpy(a->sun_path, text);
  return sizeof *a;
}

static void pairs(void) {
  int s[2], n;
  char b[64];
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
  struct stat st;
  CHECK(fstat(s[0], &st) == 0 && S_ISSOCK(st.st_mode) && (st.st_mode & 0777) == 0777);
  CHECK(fcntl(s[0], F_GETFL) == O_RDWR);
  CHECK(events(s[0], POLLIN | POLLOUT | POLLRDHUP) == POLLOUT);
  CHECK(write(s[0], "one", 3) == 3 && send(s[0], "two", 3, 0) == 3);
  CHECK(ioctl(s[1], FIONREAD, &n) == 0 && n == 6);
  CHECK(recv(s[1], b, 2, MSG_PEEK) == 2 && recv(s[1], b, 64, 0) == 6 && memcmp(b, "onetwo", 6) == 0);
  CHECK_ERRNO(recv(s[1], b, 1, MSG_DONTWAIT), EAGAIN);
  CHECK(shutdown(s[0], SHUT_WR) == 0);
  CHECK(events(s[1], POLLIN | POLLOUT | POLLRDHUP) == (POLLIN | POLLOUT | POLLRDHUP));
  CHECK(read(s[1], b, 1) == 0);
  CHECK_ERRNO(send(s[0], "x", 1, MSG_NOSIGNAL), EPIPE);
  CHECK(write(s[1], "back", 4) == 4);
  close(s[1]);
  CHECK(events(s[0], POLLIN) == (POLLIN | POLLHUP));
  CHECK(read(s[0], b, 64) == 4 && read(s[0], b, 64) == 0);
  close(s[0]);
  // Unread data of who closes is a reset for the other.
  CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, s) == 0);
  CHECK(fcntl(s[0], F_GETFD) == FD_CLOEXEC && (fcntl(s[0], F_GETFL) & O_NONBLOCK));
  CHECK(write(s[0], "lost", 4) == 4);
  close(s[1]);
  CHECK_ERRNO(read(s[0], b, 1), ECONNRESET);
  CHECK(read(s[0], b, 1) == 0);
  close(s[0]);
  CHECK_ERRNO(socketpair(AF_UNIX, SOCK_STREAM, 7, s), EPROTONOSUPPORT);
  CHECK_ERRNO(socket(AF_UNIX, SOCK_RDM, 0), ESOCKTNOSUPPORT);
  CHECK_ERRNO(socket(AF_UNIX, 99, 0), EINVAL);
  CHECK_ERRNO(socket(77, SOCK_STREAM, 0), EAFNOSUPPORT);
  CHECK(pipe(s) == 0);
  CHECK_ERRNO(send(s[1], "x", 1, 0), ENOTSOCK);
}

static void messages(void) {
  int s[2];
  char b[64];
  CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s) == 0);
  CHECK(send(s[0], "first", 5, 0) == 5 && send(s[0], "second", 6, 0) == 6);
  struct iovec v = {b, 3};
  struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
  CHECK(recvmsg(s[1], &m, 0) == 3 && (m.msg_flags & MSG_TRUNC));
  CHECK(recv(s[1], b, 64, MSG_PEEK | MSG_TRUNC) == 6 && recv(s[1], b, 3, MSG_TRUNC) == 6);
  close(s[0]);
  CHECK(recv(s[1], b, 64, 0) == 0);
  close(s[1]);
  CHECK(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, s) == 0);
  CHECK(send(s[0], "", 0, 0) == 0 && events(s[1], POLLIN) == POLLIN && recv(s[1], b, 64, 0) == 0);
  int n = 0;
  while (send(s[0], "m", 1, 0) == 1) n++;
  CHECK(errno == EAGAIN && n >= 11);
  CHECK(events(s[0], POLLOUT) == 0);
  for (int left = n; left > 3; left--) CHECK(recv(s[1], b, 64, 0) == 1);
  CHECK(events(s[0], POLLOUT) == POLLOUT);
  struct mmsghdr many[3];
  struct iovec iov[3];
  char parts[3][4];
  memset(many, 0, sizeof many);
  for (int i = 0; i < 3; i++) {
    iov[i] = (struct iovec){parts[i], 4};
    many[i].msg_hdr.msg_iov = &iov[i];
    many[i].msg_hdr.msg_iovlen = 1;
  }
  CHECK(recvmmsg(s[1], many, 3, 0, 0) == 3 && many[2].msg_len == 1);
  close(s[1]);
  CHECK_ERRNO(send(s[0], "x", 1, 0), ECONNREFUSED);
  CHECK_ERRNO(send(s[0], "x", 1, 0), ENOTCONN);
  close(s[0]);
}

static void servers(void) {
  char dir[] = "/tmp/unix-XXXXXX", path[80], b[64];
  CHECK(mkdtemp(dir) != 0);
  snprintf(path, sizeof path, "%s/sock", dir);
  struct sockaddr_un a, got;
  socklen_t length = name_of(&a, path), len = sizeof got;
  int l = socket(AF_UNIX, SOCK_STREAM, 0), c = socket(AF_UNIX, SOCK_STREAM, 0);
  CHECK_ERRNO(connect(c, (void *)&a, length), ENOENT);
  umask(022);
  CHECK(bind(l, (void *)&a, length) == 0);
  struct stat st;
  CHECK(stat(path, &st) == 0 && S_ISSOCK(st.st_mode) && (st.st_mode & 0777) == 0755);
  CHECK_ERRNO(open(path, O_RDWR), ENXIO);
  CHECK_ERRNO(bind(l, (void *)&a, length), EADDRINUSE);
  int other = socket(AF_UNIX, SOCK_STREAM, 0);
  CHECK_ERRNO(bind(other, (void *)&a, length), EADDRINUSE);
  CHECK_ERRNO(connect(c, (void *)&a, length), ECONNREFUSED);
  CHECK_ERRNO(accept(l, 0, 0), EINVAL);
  CHECK(listen(l, 1) == 0);
  CHECK(getsockname(l, (void *)&got, &len) == 0 && len == 2 + strlen(path) + 1 && strcmp(got.sun_path, path) == 0);
  int flag = 0;
  len = sizeof flag;
  CHECK(getsockopt(l, SOL_SOCKET, SO_ACCEPTCONN, &flag, &len) == 0 && flag == 1 && len == 4);
  fcntl(c, F_SETFL, O_NONBLOCK);
  fcntl(other, F_SETFL, O_NONBLOCK);
  fcntl(l, F_SETFL, O_NONBLOCK);
  CHECK_ERRNO(accept(l, 0, 0), EAGAIN);
  CHECK(connect(c, (void *)&a, length) == 0 && connect(other, (void *)&a, length) == 0);
  CHECK_ERRNO(connect(c, (void *)&a, length), EAGAIN);
  int third = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
  CHECK_ERRNO(connect(third, (void *)&a, length), EAGAIN);
  CHECK(events(l, POLLIN) == POLLIN);
  CHECK(write(c, "early", 5) == 5);
  len = sizeof got;
  int s = accept4(l, (void *)&got, &len, SOCK_CLOEXEC);
  CHECK(s >= 0 && len == 2 && got.sun_family == AF_UNIX && fcntl(s, F_GETFD) == FD_CLOEXEC);
  CHECK(read(s, b, 64) == 5);
  len = sizeof got;
  CHECK(getpeername(c, (void *)&got, &len) == 0 && strcmp(got.sun_path, path) == 0);
  struct ucred u;
  len = sizeof u;
  CHECK(getsockopt(s, SOL_SOCKET, SO_PEERCRED, &u, &len) == 0 && u.pid == getpid() && u.uid == getuid());
  close(l);
  CHECK_ERRNO(read(other, b, 1), ECONNRESET);
  CHECK_ERRNO(connect(third, (void *)&a, length), ECONNREFUSED);
  CHECK(unlink(path) == 0 && rmdir(dir) == 0);
  close(s);
  CHECK(read(c, b, 1) == 0 && events(c, POLLIN) == (POLLIN | POLLHUP));
  close(c);
  close(other);
  CHECK_ERRNO(read(third, b, 1), EINVAL);
  CHECK_ERRNO(send(third, "x", 1, MSG_NOSIGNAL), ENOTCONN);
  CHECK(events(third, POLLIN | POLLOUT) == (POLLOUT | POLLHUP));
  close(third);
}

static void abstract(void) {
  struct sockaddr_un a, got;
  socklen_t length = name_of(&a, "@rookery-test"), len = sizeof got;
  int r = socket(AF_UNIX, SOCK_DGRAM, 0), s = socket(AF_UNIX, SOCK_DGRAM, 0);
  char b[32];
  CHECK(bind(r, (void *)&a, length) == 0);
  CHECK_ERRNO(bind(s, (void *)&a, length), EADDRINUSE);
  CHECK(sendto(s, "anon", 4, 0, (void *)&a, length) == 4);
  CHECK(recvfrom(r, b, 32, 0, (void *)&got, &len) == 4 && len == 0);
  CHECK(bind(s, (void *)&a, 2) == 0);
  len = sizeof got;
  CHECK(getsockname(s, (void *)&got, &len) == 0 && len == 2 + 6 && got.sun_path[0] == 0);
  CHECK(sendto(s, "auto", 4, 0, (void *)&a, length) == 4);
  struct sockaddr_un from;
  socklen_t flen = sizeof from;
  CHECK(recvfrom(r, b, 32, 0, (void *)&from, &flen) == 4 && flen == len && memcmp(&from, &got, len) == 0);
  CHECK(connect(s, (void *)&a, length) == 0 && send(s, "conn", 4, 0) == 4 && recv(r, b, 32, 0) == 4);
  CHECK(connect(r, (void *)&from, flen) == 0);
  int t = socket(AF_UNIX, SOCK_DGRAM, 0);
  CHECK_ERRNO(sendto(t, "x", 1, 0, (void *)&a, length), EPERM);
  int stream = socket(AF_UNIX, SOCK_STREAM, 0);
  CHECK_ERRNO(connect(stream, (void *)&a, length), ECONNREFUSED);
  close(r);
  CHECK_ERRNO(sendto(t, "x", 1, 0, (void *)&a, length), ECONNREFUSED);
  close(s);
  close(t);
  close(stream);
}

static int send_fds(int s, const void *data, size_t n, const int *fds, int count) {
  char control[CMSG_SPACE(sizeof(int) * 8)] = {0};
  struct iovec v = {(void *)data, n};
  struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_SPACE(sizeof(int) * count)};
  struct cmsghdr *c = CMSG_FIRSTHDR(&m);
  c->cmsg_level = SOL_SOCKET;
  c->cmsg_type = SCM_RIGHTS;
  c->cmsg_len = CMSG_LEN(sizeof(int) * count);
  memcpy(CMSG_DATA(c), fds, sizeof(int) * count);
  return sendmsg(s, &m, 0);
}

static int recv_fds(int s, char *data, size_t n, int *fds, int room, int flags, int *out_flags) {
  char control[CMSG_SPACE(sizeof(int) * 8)];
  struct iovec v = {data, n};
  struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = room ? CMSG_LEN(sizeof(int) * room) : 0};
  int got = recvmsg(s, &m, flags);
  *out_flags = m.msg_flags;
  for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
    if (c->cmsg_type == SCM_RIGHTS) {
      int count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      memcpy(fds, CMSG_DATA(c), count * sizeof(int));
      for (int i = count; i < 8; i++) fds[i] = -1;
    }
  return got;
}

static void passing(void) {
  int s[2], p[2], fds[8] = {-1, -1, -1, -1, -1, -1, -1, -1}, flags;
  char b[64];
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0 && pipe(p) == 0);
  CHECK(send(s[0], "plain", 5, 0) == 5);
  CHECK(send_fds(s[0], "fd", 2, p, 2) == 2);
  CHECK(send(s[0], "after", 5, 0) == 5);
  int got = recv_fds(s[1], b, 64, fds, 8, MSG_CMSG_CLOEXEC, &flags);
  CHECK(got == 7 && memcmp(b, "plainfd", 7) == 0 && fds[0] >= 0 && fds[1] >= 0);
  CHECK(fcntl(fds[0], F_GETFD) == FD_CLOEXEC);
  CHECK(write(fds[1], "through", 7) == 7 && read(p[0], b, 64) == 7);
  close(fds[0]);
  close(fds[1]);
  CHECK(recv(s[1], b, 64, 0) == 5);
  // No room for the second: it is closed and MSG_CTRUNC tells.
  CHECK(send_fds(s[0], "x", 1, p, 2) == 1);
  CHECK(recv_fds(s[1], b, 64, fds, 1, 0, &flags) == 1 && (flags & MSG_CTRUNC) && fds[0] >= 0 && fds[1] == -1);
  close(fds[0]);
  // Files in flight that nobody takes are closed.
  CHECK(send_fds(s[0], "y", 1, p + 1, 1) == 1);
  close(p[1]);
  CHECK(events(p[0], POLLIN) == 0);
  CHECK(read(s[1], b, 64) == 1 && events(p[0], POLLIN) == POLLHUP);
  int bad = 999;
  CHECK_ERRNO(send_fds(s[0], "z", 1, &bad, 1), EBADF);
  close(p[0]);
  close(s[0]);
  close(s[1]);
}

static void credentials(void) {
  int s[2], on = 1;
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
  CHECK(setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on) == 0);
  pid_t child = fork();
  if (child == 0) _exit(write(s[0], "child", 5) == 5 ? 0 : 1);
  waitpid(child, 0, 0);
  CHECK(write(s[0], "parent", 6) == 6);
  for (int turn = 0; turn < 2; turn++) {
    char b[64], control[CMSG_SPACE(sizeof(struct ucred))];
    struct iovec v = {b, 64};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    CHECK(recvmsg(s[1], &m, 0) == (turn ? 6 : 5));
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    CHECK(c && c->cmsg_type == SCM_CREDENTIALS && c->cmsg_len == CMSG_LEN(sizeof(struct ucred)));
    if (c) CHECK(((struct ucred *)CMSG_DATA(c))->pid == (turn ? getpid() : child));
  }
  close(s[0]);
  close(s[1]);
}

static void options(void) {
  int s = socket(AF_UNIX, SOCK_STREAM, 0), v;
  socklen_t len = sizeof v;
  CHECK(getsockopt(s, SOL_SOCKET, SO_TYPE, &v, &len) == 0 && v == SOCK_STREAM);
  CHECK(getsockopt(s, SOL_SOCKET, SO_DOMAIN, &v, &len) == 0 && v == AF_UNIX);
  CHECK(getsockopt(s, SOL_SOCKET, SO_SNDBUF, &v, &len) == 0 && v == 212992);
  v = 10000;
  CHECK(setsockopt(s, SOL_SOCKET, SO_RCVBUF, &v, sizeof v) == 0);
  CHECK(getsockopt(s, SOL_SOCKET, SO_RCVBUF, &v, &len) == 0 && v == 20000);
  v = 1;
  CHECK(setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &v, sizeof v) == 0);
  v = 7;
  CHECK(getsockopt(s, SOL_SOCKET, SO_REUSEADDR, &v, &len) == 0 && v == 1);
  CHECK_ERRNO(setsockopt(s, SOL_SOCKET, SO_TYPE, &v, sizeof v), ENOPROTOOPT);
  CHECK_ERRNO(setsockopt(s, SOL_SOCKET, 9999, &v, sizeof v), ENOPROTOOPT);
  CHECK_ERRNO(setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &v, 2), EINVAL);
  int p[2];
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, p) == 0);
  struct timeval tv = {0, 30000};
  char b;
  CHECK(setsockopt(p[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv) == 0);
  CHECK_ERRNO(read(p[0], &b, 1), EAGAIN);
  CHECK_ERRNO(recv(p[0], &b, 1, 0), EAGAIN);
  static char big[400000];
  pid_t child = fork();
  if (child == 0) {
    close(p[0]);
    long total = 0, n;
    while ((n = recv(p[1], big, sizeof big, MSG_WAITALL)) > 0) total += n;
    _exit(total == sizeof big ? 0 : 1);
  }
  close(p[1]);
  int status;
  CHECK(send(p[0], big, sizeof big, 0) == sizeof big);
  close(p[0]);
  CHECK(waitpid(child, &status, 0) == child && status == 0);
  close(s);
}

int main(void) {
  mkdir("/tmp", 0777);
  pairs();
  messages();
  servers();
  abstract();
  passing();
  credentials();
  options();
  return check_done();
}
