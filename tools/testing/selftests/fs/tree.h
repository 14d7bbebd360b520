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

/* What a call gave, by the name of its error. */
#define SHOW(call) \
  do { \
    errno = 0; \
    long r_ = (long)(call); \
    int e_ = errno; \
    printf("%s = %ld%s%s\n", #call, r_, r_ == -1 ? " " : "", r_ == -1 ? strerrorname_np(e_) : ""); \
  } while (0)

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
static void build_tree(void) {
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

#ifdef OVERLAY
/* The tree is the lower layer; each fresh tree is a fresh upper layer above it. */
#include <sys/mount.h>
__attribute__((unused)) static void make_tree(void) {
  chdir(place);
  if (mkdir("lower", 0755) == 0) {
    chdir("lower");
    build_tree();
    chdir(place);
    mkdir("merged", 0755);
  }
  mkdir("upper", 0755);
  mkdir("work", 0755);
  char options[200];
  snprintf(options, sizeof options, "lowerdir=%s/lower,upperdir=%s/upper,workdir=%s/work,index=on,redirect_dir=on",
           place, place, place);
  CHECK(mount("overlay", "merged", "overlay", 0, options) == 0);
  chdir("merged/t");
}
__attribute__((unused)) static void drop_tree(void) {
  chdir(place);
  CHECK(umount2("merged", MNT_DETACH) == 0);
  remove_tree("upper");
  remove_tree("work");
}
#define HOME_OF_TREE "merged/t"
#else
__attribute__((unused)) static void make_tree(void) { build_tree(); }
__attribute__((unused)) static void drop_tree(void) {
  chdir(place);
  remove_tree("t");
}
#define HOME_OF_TREE "t"
#endif

static const char *const paths[] = {
    "file", "secret", "dir", "empty", "link", "dirlink", "dangling", "loop1", "missing", "missing/x", "file/x",
    "file/", "dir/", "empty/", "link/", "dirlink/", "dangling/", "missing/", "slashlink", "badslash", "slashlink/",
    "dir/.", "dir/..", ".", "..", "", "/", "dir/inner", "dirlink/inner", "dir/../file", "file/../file", "closed/file",
    "closed", "sticky/root", "sticky/new", "setgid", "setgid/new", "hard", "suid", "dir//inner", "./file", "dir/./inner",
    "empty/.", "empty/..", "dirlink/..", "missing/..",
};
#define PATHS (sizeof paths / sizeof *paths)

__attribute__((unused)) static const char *result_of(long result) {
  static char text[40];
  if (result >= 0) snprintf(text, sizeof text, "%s", "ok");
  else snprintf(text, sizeof text, "%s", strerrorname_np(errno));
  return text;
}
#endif
