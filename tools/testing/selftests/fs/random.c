// SPDX-License-Identifier: Apache-2.0
// Random calls in a small name space, the same on each run: what each gave, and now and then the whole tree.
#include "tree.h"
#include <sys/xattr.h>

#ifndef STEPS
#define STEPS 6000
#endif
static unsigned state = 20240229;
static unsigned pick(unsigned n) {
  state = state * 1103515245 + 12345;
  return (state >> 8) % n;
}

static const char *const names[] = {"a", "b", "c", "file", "hard", "dir", "empty", "link"};
static const char *const homes[] = {".", ".", ".", "dir", "dir", "empty", "a", "b", "dir/a", "dir/b", "empty/c"};

static char *random_path(char *buffer) {
  sprintf(buffer, "%s/%s", homes[pick(11)], names[pick(8)]);
  return buffer;
}

static int compare(const struct dirent **one, const struct dirent **other) {
  return strcmp((*one)->d_name, (*other)->d_name);
}

static void dump(const char *path, int depth) {
  struct dirent **list;
  int n = scandir(path, &list, 0, compare);
  if (n < 0) { printf("  %s: %s\n", path, strerrorname_np(errno)); return; }
  for (int i = 0; i < n; i++) {
    const char *name = list[i]->d_name;
    if (!strcmp(name, ".") || !strcmp(name, "..")) continue;
    char sub[1000], text[200] = "";
    snprintf(sub, sizeof sub, "%s/%s", path, name);
    struct stat st;
    if (lstat(sub, &st) < 0) { printf("  %s: %s\n", sub, strerrorname_np(errno)); continue; }
    if (S_ISREG(st.st_mode)) {
      int fd = open(sub, O_RDONLY), length = read(fd, text, 100);
      close(fd);
      unsigned sum = 0;
      for (int k = 0; k < length; k++) sum = sum * 31 + (unsigned char)text[k];
      printf("  %s %o links %d size %ld sum %x", sub, st.st_mode, (int)st.st_nlink, (long)st.st_size, sum);
      length = getxattr(sub, "user.n", text, sizeof text);
      printf(" xattr %.*s dtype %d ino %s\n", length > 0 ? length : 0, text, list[i]->d_type,
             list[i]->d_ino == st.st_ino ? "same" : "differs");
    } else if (S_ISLNK(st.st_mode)) {
      int length = readlink(sub, text, sizeof text);
      printf("  %s -> %.*s links %d\n", sub, length, text, (int)st.st_nlink);
    } else if (S_ISDIR(st.st_mode)) {
      printf("  %s %o\n", sub, st.st_mode);
      if (depth < 8) dump(sub, depth + 1);
    } else {
      printf("  %s %o links %d\n", sub, st.st_mode, (int)st.st_nlink);
    }
  }
  for (int i = 0; i < n; i++) free(list[i]);
  free(list);
}

static int held[4] = {-1, -1, -1, -1};

static long step(unsigned what, const char *p, const char *q) {
  char text[64];
  int fd;
  long r;
  switch (what) {
    case 0: case 1:
      fd = open(p, O_RDWR | O_CREAT | O_NONBLOCK, 0600 + pick(64));
      if (fd < 0) return fd;
      r = pwrite(fd, text, sprintf(text, "%u", pick(100000)), pick(30));
      close(fd);
      return r;
    case 2:
      fd = open(p, O_WRONLY | O_TRUNC | O_NONBLOCK);
      if (fd < 0) return fd;
      r = write(fd, text, sprintf(text, "%u", pick(1000)));
      close(fd);
      return r;
    case 3: fd = open(p, O_WRONLY | O_APPEND | O_NONBLOCK); if (fd < 0) return fd; r = write(fd, "+", 1); close(fd); return r;
    case 4: return mkdir(p, 0700 + pick(64));
    case 5: return rmdir(p);
    case 6: case 7: return unlink(p);
    case 8: case 9: case 10: return rename(p, q);
    case 11: return renameat2(AT_FDCWD, p, AT_FDCWD, q, 2);
    case 12: return renameat2(AT_FDCWD, p, AT_FDCWD, q, 1);
    case 13: case 14: return link(p, q);
    case 15: return symlink(names[pick(8)], p);
    case 16: return truncate(p, pick(40));
    case 17: return chmod(p, 0600 + pick(64));
    case 18: return mknod(p, S_IFIFO | 0600, 0);
    case 19: return setxattr(p, "user.n", names[pick(8)], 1, 0);
    case 20: {
      unsigned k = pick(4);
      if (held[k] >= 0) close(held[k]);
      return held[k] = open(p, O_RDWR | O_NONBLOCK);
    }
    case 21: fd = held[pick(4)]; return fd < 0 ? 0 : pwrite(fd, "held", 4, pick(20));
    case 22: {
      struct stat st;
      fd = held[pick(4)];
      if (fd < 0) return 0;
      if (fstat(fd, &st) < 0) return -1;
      return S_ISREG(st.st_mode) ? st.st_nlink * 1000 + st.st_size : 5;
    }
    case 23: fd = held[pick(4)]; return fd < 0 ? 0 : fchmod(fd, 0600 + pick(64));
    case 24: fd = held[pick(4)]; return fd < 0 ? 0 : ftruncate(fd, pick(50));
    default: return access(p, F_OK);
  }
}

int main(void) {
  enter_place();
  make_tree();
  for (int n = 0; n < STEPS; n++) {
    char p[64], q[64];
    unsigned what = pick(26);
    random_path(p);
    random_path(q);
    errno = 0;
    long r = step(what, p, q);
    printf("%d: %u %s %s = %ld %s\n", n, what, p, q, what == 20 && r >= 0 ? 0 : r, r < 0 ? strerrorname_np(errno) : "");
    if (n % 200 == 199) dump(".", 0);
  }
  for (int k = 0; k < 4; k++) if (held[k] >= 0) close(held[k]);
  drop_tree();
  leave_place();
  return 0;
}
