// SPDX-License-Identifier: Apache-2.0
// A stack grows to its limit and no further. Source: getrlimit(2), mmap(2) on MAP_GROWSDOWN.
#include "../check.h"
#include <sys/resource.h>
#include <sys/wait.h>

static int deep(int pages) {
  volatile char page[4096];
  page[0] = (char)pages;
  return pages == 0 ? 0 : deep(pages - 1) + page[0] * 0;
}

/* Signal that ends a child that goes `pages` deep under a limit of `bytes`, 0 for none. */
static int ends(int pages, unsigned long bytes) {
  int status;
  pid_t child = fork();
  if (child == 0) {
    struct rlimit limit = {bytes, bytes};
    setrlimit(RLIMIT_STACK, &limit);
    _exit(deep(pages));
  }
  waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

int main(void) {
  CHECK(ends(1500, 8 << 20) == 0);
  CHECK(ends(3000, 8 << 20) == 11);
  CHECK(ends(200, 1 << 20) == 0);
  CHECK(ends(400, 1 << 20) == 11);
  return check_done();
}
