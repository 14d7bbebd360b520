// SPDX-License-Identifier: Apache-2.0
// TCP and UDP over the loopback. Source: ip(7), tcp(7), udp(7), connect(2).
#define _GNU_SOURCE
#include "../check.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

static short events(int fd, short wanted) {
  struct pollfd p = {fd, wanted, 0};
  poll(&p, 1, 200);
  return p.revents;
}
static struct sockaddr_in at(unsigned port) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  return a;
}
static struct sockaddr_in name(int s) {
  struct sockaddr_in a;
  socklen_t n = sizeof a;
  CHECK(getsockname(s, (void *)&a, &n) == 0 && n == sizeof a);
  return a;
}
static int error_of(int s) {
  int e = -1;
  socklen_t n = sizeof e;
  getsockopt(s, SOL_SOCKET, SO_ERROR, &e, &n);
  return e;
}
static int listener(int backlog, struct sockaddr_in *a) {
  int l = socket(AF_INET, SOCK_STREAM, 0);
  *a = at(0);
  CHECK(bind(l, (void *)a, sizeof *a) == 0 && listen(l, backlog) == 0);
  *a = name(l);
  CHECK(ntohs(a->sin_port) >= 1024);
  return l;
}

static void streams(void) {
  struct sockaddr_in a, peer;
  socklen_t n = sizeof peer;
  char b[64];
  int l = listener(5, &a), c = socket(AF_INET, SOCK_STREAM, 0);
  CHECK(events(c, POLLIN | POLLOUT) == (POLLOUT | POLLHUP));
  CHECK_ERRNO(read(c, b, 1), ENOTCONN);
  CHECK_ERRNO(send(c, b, 1, MSG_NOSIGNAL), EPIPE);
  CHECK(connect(c, (void *)&a, sizeof a) == 0);
  CHECK_ERRNO(connect(c, (void *)&a, sizeof a), EISCONN);
  CHECK(write(c, "early", 5) == 5);
  int s = accept(l, (void *)&peer, &n);
  CHECK(s >= 0 && peer.sin_port == name(c).sin_port && name(s).sin_port == a.sin_port);
  CHECK(read(s, b, 64) == 5 && write(s, "answer", 6) == 6 && events(c, POLLIN) == POLLIN);
  CHECK(recv(c, b, 64, MSG_PEEK) == 6 && read(c, b, 64) == 6);
  CHECK(shutdown(c, SHUT_WR) == 0 && read(s, b, 1) == 0);
  CHECK((events(s, POLLIN | POLLRDHUP | POLLOUT)) == (POLLIN | POLLRDHUP | POLLOUT));
  CHECK(write(s, "late", 4) == 4);
  close(s);
  CHECK(read(c, b, 64) == 4 && read(c, b, 64) == 0);
  CHECK(events(c, POLLIN) == (POLLIN | POLLHUP));
  CHECK_ERRNO(send(c, b, 1, MSG_NOSIGNAL), EPIPE);
  close(c);
  // Unread data at close resets the peer.
  c = socket(AF_INET, SOCK_STREAM, 0);
  CHECK(connect(c, (void *)&a, sizeof a) == 0);
  s = accept(l, 0, 0);
  CHECK(write(c, "unread", 6) == 6 && events(s, POLLIN) == POLLIN);
  close(s);
  CHECK(events(c, POLLIN) == (POLLIN | POLLERR | POLLHUP));
  CHECK_ERRNO(read(c, b, 1), ECONNRESET);
  CHECK(read(c, b, 1) == 0);
  close(c);
  // After the peer's orderly close the first write goes out, the next breaks.
  c = socket(AF_INET, SOCK_STREAM, 0);
  CHECK(connect(c, (void *)&a, sizeof a) == 0);
  s = accept(l, 0, 0);
  close(s);
  CHECK(events(c, POLLIN) == POLLIN && send(c, "x", 1, MSG_NOSIGNAL) == 1);
  usleep(2000);
  CHECK_ERRNO(send(c, "x", 1, MSG_NOSIGNAL), EPIPE);
  close(c);
  close(l);
}

static void connecting(void) {
  struct sockaddr_in a;
  int l = listener(0, &a), c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  CHECK_ERRNO(connect(c, (void *)&a, sizeof a), EINPROGRESS);
  CHECK(events(c, POLLOUT) == POLLOUT && error_of(c) == 0);
  CHECK(connect(c, (void *)&a, sizeof a) == 0);
  CHECK_ERRNO(connect(c, (void *)&a, sizeof a), EISCONN);
  fcntl(l, F_SETFL, O_NONBLOCK);
  int s = accept(l, 0, 0);
  CHECK(s >= 0 && !(fcntl(s, F_GETFL) & O_NONBLOCK));
  CHECK_ERRNO(accept(l, 0, 0), EAGAIN);
  close(s);
  close(c);
  close(l);
  c = socket(AF_INET, SOCK_STREAM, 0);
  CHECK_ERRNO(connect(c, (void *)&a, sizeof a), ECONNREFUSED);
  fcntl(c, F_SETFL, O_NONBLOCK);
  CHECK_ERRNO(connect(c, (void *)&a, sizeof a), EINPROGRESS);
  CHECK(events(c, POLLOUT) == (POLLOUT | POLLERR | POLLHUP) && error_of(c) == ECONNREFUSED && error_of(c) == 0);
  close(c);
}

static void ports(void) {
  struct sockaddr_in a, any = {.sin_family = AF_INET};
  int l = listener(1, &a), other = socket(AF_INET, SOCK_STREAM, 0), on = 1;
  CHECK_ERRNO(bind(other, (void *)&a, sizeof a), EADDRINUSE);
  any.sin_port = a.sin_port;
  CHECK_ERRNO(bind(other, (void *)&any, sizeof any), EADDRINUSE);
  CHECK(setsockopt(other, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0);
  CHECK_ERRNO(bind(other, (void *)&a, sizeof a), EADDRINUSE);
  a.sin_addr.s_addr = htonl(0x7f000002);
  CHECK(bind(other, (void *)&a, sizeof a) == 0);
  CHECK_ERRNO(bind(other, (void *)&a, sizeof a), EINVAL);
  close(other);
  other = socket(AF_INET, SOCK_STREAM, 0);
  a.sin_addr.s_addr = htonl(0xc0a8fe01);
  CHECK_ERRNO(bind(other, (void *)&a, sizeof a), EADDRNOTAVAIL);
  CHECK_ERRNO(bind(other, (void *)&a, 4), EINVAL);
  a.sin_family = AF_UNIX;
  CHECK_ERRNO(bind(other, (void *)&a, sizeof a), EAFNOSUPPORT);
  close(other);
  close(l);
  other = socket(AF_INET, SOCK_STREAM, 0);
  CHECK(listen(other, 3) == 0 && name(other).sin_port != 0 && name(other).sin_addr.s_addr == 0);
  close(other);
}

static void datagrams(void) {
  struct sockaddr_in a = at(0), from;
  socklen_t n = sizeof from;
  char b[64];
  int r = socket(AF_INET, SOCK_DGRAM, 0), s = socket(AF_INET, SOCK_DGRAM, 0);
  CHECK(bind(r, (void *)&a, sizeof a) == 0);
  a = name(r);
  CHECK_ERRNO(send(s, "x", 1, 0), EDESTADDRREQ);
  CHECK(sendto(s, "hello", 5, 0, (void *)&a, sizeof a) == 5 && sendto(s, "", 0, 0, (void *)&a, sizeof a) == 0);
  CHECK(recvfrom(r, b, 3, MSG_TRUNC, (void *)&from, &n) == 5 && n == sizeof from && from.sin_port == name(s).sin_port);
  CHECK(recv(r, b, 64, 0) == 0);
  CHECK_ERRNO(recv(r, b, 64, MSG_DONTWAIT), EAGAIN);
  CHECK(sendto(r, "reply", 5, 0, (void *)&from, n) == 5 && recv(s, b, 64, 0) == 5);
  CHECK(connect(s, (void *)&a, sizeof a) == 0 && write(s, "conn", 4) == 4 && read(r, b, 64) == 4);
  close(r);
  CHECK(write(s, "gone", 4) == 4 && events(s, POLLIN) == POLLERR);
  CHECK_ERRNO(recv(s, b, 1, 0), ECONNREFUSED);
  static char big[70000];
  CHECK_ERRNO(send(s, big, sizeof big, 0), EMSGSIZE);
  struct sockaddr none = {.sa_family = AF_UNSPEC};
  CHECK(connect(s, &none, sizeof none) == 0);
  CHECK_ERRNO(getpeername(s, (void *)&from, &n), ENOTCONN);
  close(s);
}

static void bulk(void) {
  struct sockaddr_in a;
  int l = listener(1, &a), status;
  static char big[1 << 20];
  for (unsigned i = 0; i < sizeof big; i++) big[i] = i * 31;
  pid_t child = fork();
  if (child == 0) {
    int c = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(c, (void *)&a, sizeof a) != 0) _exit(1);
    for (int i = 0; i < 8; i++)
      if (write(c, big, sizeof big) != sizeof big) _exit(2);
    _exit(0);
  }
  int s = accept(l, 0, 0);
  static char in[1 << 20];
  for (int i = 0; i < 8; i++) CHECK(recv(s, in, sizeof in, MSG_WAITALL) == sizeof in && memcmp(in, big, sizeof in) == 0);
  CHECK(read(s, in, 1) == 0);
  CHECK(waitpid(child, &status, 0) == child && status == 0);
  close(s);
  close(l);
}

static void options(void) {
  int s = socket(AF_INET, SOCK_STREAM, 0), v = -1;
  socklen_t n = sizeof v;
  CHECK(getsockopt(s, IPPROTO_TCP, TCP_NODELAY, &v, &n) == 0 && v == 0);
  v = 5;
  CHECK(setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &v, sizeof v) == 0 && getsockopt(s, IPPROTO_TCP, TCP_NODELAY, &v, &n) == 0 && v == 1);
  CHECK(getsockopt(s, IPPROTO_IP, IP_TTL, &v, &n) == 0 && v == 64);
  CHECK(getsockopt(s, SOL_SOCKET, SO_PROTOCOL, &v, &n) == 0 && v == IPPROTO_TCP);
  CHECK_ERRNO(setsockopt(s, IPPROTO_TCP, 9999, &v, sizeof v), ENOPROTOOPT);
  CHECK_ERRNO(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP), EPROTONOSUPPORT);
  CHECK_ERRNO(socket(AF_INET, SOCK_SEQPACKET, 0), ESOCKTNOSUPPORT);
  struct ifreq q = {0};
  strcpy(q.ifr_name, "lo");
  CHECK(ioctl(s, SIOCGIFINDEX, &q) == 0 && q.ifr_ifindex == 1);
  CHECK(ioctl(s, SIOCGIFFLAGS, &q) == 0 && (q.ifr_flags & IFF_LOOPBACK));
  strcpy(q.ifr_name, "nosuch0");
  CHECK_ERRNO(ioctl(s, SIOCGIFFLAGS, &q), ENODEV);
  close(s);
}

int main(void) {
  signal(SIGPIPE, SIG_IGN);
  streams();
  connecting();
  ports();
  datagrams();
  bulk();
  options();
  return check_done();
}
