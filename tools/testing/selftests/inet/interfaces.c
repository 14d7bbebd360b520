// SPDX-License-Identifier: Apache-2.0
// What the C library finds out about interfaces and addresses. Source: getifaddrs(3), if_nameindex(3), netlink(7).
#define _GNU_SOURCE
#include "../check.h"
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

int main(void) {
  struct ifaddrs *all, *a;
  int found = 0;
  CHECK(getifaddrs(&all) == 0);
  for (a = all; a != 0; a = a->ifa_next)
    if (strcmp(a->ifa_name, "lo") == 0 && a->ifa_addr != 0 && a->ifa_addr->sa_family == AF_INET) {
      found++;
      CHECK(((struct sockaddr_in *)a->ifa_addr)->sin_addr.s_addr == htonl(INADDR_LOOPBACK));
      CHECK(((struct sockaddr_in *)a->ifa_netmask)->sin_addr.s_addr == htonl(0xff000000));
      CHECK((a->ifa_flags & (IFF_UP | IFF_LOOPBACK)) == (IFF_UP | IFF_LOOPBACK));
    }
  CHECK(found == 1);
  freeifaddrs(all);
  struct if_nameindex *names = if_nameindex();
  CHECK(names != 0 && names[0].if_index == 1 && strcmp(names[0].if_name, "lo") == 0);
  CHECK(if_nametoindex("lo") == 1 && if_nametoindex("nosuch0") == 0);

  int s = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  struct sockaddr_nl me = {.nl_family = AF_NETLINK}, from;
  socklen_t n = sizeof me;
  CHECK(bind(s, (void *)&me, sizeof me) == 0 && getsockname(s, (void *)&me, &n) == 0 && me.nl_pid == (unsigned)getpid());
  struct {
    struct nlmsghdr h;
    struct ifinfomsg i;
  } ask = {.h = {.nlmsg_len = sizeof ask, .nlmsg_type = RTM_GETLINK, .nlmsg_flags = NLM_F_REQUEST, .nlmsg_seq = 7}, .i = {.ifi_index = 9999}};
  char b[8192];
  CHECK(send(s, &ask, sizeof ask, 0) == sizeof ask);
  n = sizeof from;
  CHECK(recvfrom(s, b, sizeof b, 0, (void *)&from, &n) > 0 && from.nl_pid == 0);
  struct nlmsghdr *h = (void *)b;
  CHECK(h->nlmsg_type == NLMSG_ERROR && h->nlmsg_seq == 7 && ((struct nlmsgerr *)NLMSG_DATA(h))->error == -ENODEV);
  close(s);
  return check_done();
}
