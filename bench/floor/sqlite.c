// SPDX-License-Identifier: Apache-2.0
// Runs a file of SQL against a database in memory, again and again. usage: sqlite FILE TIMES. A line for each time: a sum of the answer, and ms.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sqlite3.h"

// A database in memory asks its system for nothing but the time and chance.
static int randomness(sqlite3_vfs *vfs, int n, char *out) { memset(out, 7, n); return n; }
static int sleep_for(sqlite3_vfs *vfs, int us) { return 0; }
static int now(sqlite3_vfs *vfs, double *days) { *days = 2460000.5; return SQLITE_OK; }
static int last_error(sqlite3_vfs *vfs, int n, char *out) { return 0; }
static int open_file(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out) { return SQLITE_CANTOPEN; }
static int delete_file(sqlite3_vfs *vfs, const char *name, int sync) { return SQLITE_OK; }
static int may_access(sqlite3_vfs *vfs, const char *name, int flags, int *out) { *out = 0; return SQLITE_OK; }
static int full_name(sqlite3_vfs *vfs, const char *name, int n, char *out) { snprintf(out, n, "%s", name); return SQLITE_OK; }

static sqlite3_vfs nothing = {
  .iVersion = 1, .szOsFile = sizeof(sqlite3_file), .mxPathname = 100, .zName = "nothing",
  .xOpen = open_file, .xDelete = delete_file, .xAccess = may_access, .xFullPathname = full_name,
  .xRandomness = randomness, .xSleep = sleep_for, .xCurrentTime = now, .xGetLastError = last_error,
};

int sqlite3_os_init(void) { return sqlite3_vfs_register(&nothing, 1); }
int sqlite3_os_end(void) { return SQLITE_OK; }

static unsigned sum;

static int add_row(void *context, int n, char **values, char **names) {
  for (int i = 0; i < n; i++) for (const char *p = values[i] ? values[i] : ""; *p; p++) sum = sum * 31 + *p;
  return 0;
}

int main(int argc, char **argv) {
  static char sql[1 << 16];
  FILE *file = fopen(argv[1], "rb");
  sql[fread(sql, 1, sizeof sql - 1, file)] = 0;
  for (int times = atoi(argv[2]); times > 0; times--) {
    struct timespec a, b;
    sqlite3 *database;
    sum = 0;
    clock_gettime(CLOCK_MONOTONIC, &a);
    int bad = sqlite3_open(":memory:", &database) || sqlite3_exec(database, sql, add_row, 0, 0);
    sqlite3_close(database);
    clock_gettime(CLOCK_MONOTONIC, &b);
    printf("%x %.1f\n", bad ? 0 : sum, (b.tv_sec - a.tv_sec) * 1e3 + (b.tv_nsec - a.tv_nsec) / 1e6);
  }
  return 0;
}
