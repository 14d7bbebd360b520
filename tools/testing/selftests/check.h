// SPDX-License-Identifier: Apache-2.0
// For selftests: CHECK prints what failed and makes the program end with status 1.
#ifndef CHECK_H
#define CHECK_H
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int check_failures;

#define CHECK(condition) \
  do { \
    if (!(condition)) { \
      printf("%s:%d: not so: %s (errno %d)\n", __FILE__, __LINE__, #condition, errno); \
      check_failures++; \
    } \
  } while (0)

/* The call fails with this errno. */
#define CHECK_ERRNO(call, expected) \
  do { \
    errno = 0; \
    long result_ = (long)(call); \
    if (result_ != -1 || errno != (expected)) { \
      printf("%s:%d: %s gave %ld, errno %d, not %s\n", __FILE__, __LINE__, #call, result_, errno, #expected); \
      check_failures++; \
    } \
  } while (0)

static inline int check_done(void) {
  printf("%s\n", check_failures == 0 ? "all as it should be" : "FAILED");
  fflush(stdout);
  return check_failures == 0 ? 0 : 1;
}
#endif
