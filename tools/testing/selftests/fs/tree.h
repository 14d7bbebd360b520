// SPDX-License-Identifier: Apache-2.0
// For the fs selftests: a place to work in, a small tree of every kind of file, and printing what a call gave.
#ifndef TREE_H
#define TREE_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "../check.h"
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static const char *place; /* an empty directory on a tmpfs */

static void remove_tree(const char *path) {
  DIR *d = opendir(path);
  if (d) {
    struct dirent *e;
    while ((e = readdir(d))) {
      if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")) continue;
      char sub[4200];
      snprintf(sub, sizeof sub, "%s/%s", path, e->d_name);
      struct stat st;
      if (lstat(sub, &st) == 0 && S_ISDIR(st.st_mode)) remove_tree(sub);
      else unlink(sub);
    }
    closedir(d);
  }
  rmdir(path);
}

static void enter_place(void) {
  umask(022);
  place = access("/dev/shm", W_OK) == 0 ? "/dev/shm/rookery-fs" : "/rookery-fs";
  remove_tree(place);
  CHECK(mkdir(place, 0755) == 0);
  CHECK(chdir(place) == 0);
}

static void leave_place(void) {
  chdir("/");
  remove_tree(place);
}

static void put(const char *path, const char *text, mode_t mode) {
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, mode);
  if (fd < 0) return;
  write(fd, text, strlen(text));
  close(fd);
}

/* Every kind of thing a name can stand for. */
static void make_tree(void) {
  mkdir("t", 0755);
  chdir("t");
  put("file", "contents", 0644);
  put("secret", "contents", 0600);
  put("suid", "contents", 0644);
  chmod("suid", 06755);
  mkdir("dir", 0755);
  put("dir/inner", "inner", 0644);
  mkdir("empty", 0755);
  mkdir("closed", 0700);
  put("closed/file", "x", 0644);
  mkdir("sticky", 01777);
  chmod("sticky", 01777);
  put("sticky/root", "x", 0666);
  chmod("sticky/root", 0666);
  mkdir("setgid", 02775);
  chown("setgid", 0, 50);
  chmod("setgid", 02777);
  symlink("file", "link");
  symlink("dir", "dirlink");
  symlink("nowhere", "dangling");
  symlink("loop2", "loop1");
  symlink("loop1", "loop2");
  symlink("dir/", "slashlink");
  symlink("file/", "badslash");
  link("file", "hard");
  mknod("fifo", S_IFIFO | 0644, 0);
  mknod("sock", S_IFSOCK | 0644, 0);
}

static void drop_tree(void) {
  chdir(place);
  remove_tree("t");
}

static const char *const paths[] = {
    "file", "secret", "dir", "empty", "link", "dirlink", "dangling", "loop1", "missing", "missing/x", "file/x",
    "file/", "dir/", "empty/", "link/", "dirlink/", "dangling/", "missing/", "slashlink", "badslash", "slashlink/",
    "dir/.", "dir/..", ".", "..", "", "/", "dir/inner", "dirlink/inner", "dir/../file", "file/../file", "closed/file",
    "closed", "sticky/root", "sticky/new", "setgid", "setgid/new", "hard", "suid", "dir//inner", "./file", "dir/./inner",
    "empty/.", "empty/..", "dirlink/..", "missing/..",
};
#define PATHS (sizeof paths / sizeof *paths)

static const char *result_of(long result) {
  static char text[40];
  if (result >= 0) snprintf(text, sizeof text, "%s", "ok");
  else snprintf(text, sizeof text, "%s", strerrorname_np(errno));
  return text;
}
#endif
