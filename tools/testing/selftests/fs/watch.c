// SPDX-License-Identifier: Apache-2.0
// inotify: which events each change gives, and in which order. Source: inotify(7).
#include "tree.h"
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>

static int fd;

static void show(const char *what) {
  char buffer[8192] __attribute__((aligned(8)));
  unsigned cookie = 0;
  printf("%s:", what);
  for (;;) {
    int n = read(fd, buffer, sizeof buffer);
    if (n <= 0) break;
    for (char *p = buffer; p < buffer + n;) {
      struct inotify_event *e = (void *)p;
      printf(" [%d %x%s%s%s]", e->wd, e->mask, e->len ? " " : "", e->len ? e->name : "",
             e->cookie == 0 ? "" : e->cookie == cookie ? " same" : " new");
      if (e->cookie) cookie = e->cookie;
      p += sizeof *e + e->len;
    }
  }
  printf("\n");
}

int main(void) {
  enter_place();
  make_tree();
  char b[64];
  fd = inotify_init1(IN_NONBLOCK);
  printf("%d %d %d\n", inotify_add_watch(fd, ".", IN_ALL_EVENTS), inotify_add_watch(fd, "file", IN_ALL_EVENTS),
         inotify_add_watch(fd, "dir", IN_ALL_EVENTS));
  int f = open("file", O_RDWR);
  show("open");
  read(f, b, 3);
  show("read");
  read(f, b, 60);
  read(f, b, 60);
  show("read twice, once at the end");
  write(f, "x", 1);
  show("write");
  pwrite(f, "yz", 2, 0);
  pread(f, b, 2, 0);
  show("pwrite, pread");
  ftruncate(f, 3);
  show("ftruncate");
  fchmod(f, 0600);
  show("fchmod");
  fchown(f, 1, 1);
  show("fchown");
  futimens(f, 0);
  show("futimens");
  struct timespec t[2] = {{5, 0}, {0, UTIME_OMIT}};
  futimens(f, t);
  show("atime only");
  t[0].tv_nsec = UTIME_OMIT; t[1].tv_nsec = 0;
  futimens(f, t);
  show("mtime only");
  close(f);
  show("close");
  close(open("file", O_RDONLY));
  show("open, close");
  close(open("file", O_WRONLY | O_TRUNC));
  show("open with O_TRUNC, close");
  truncate("file", 10);
  show("truncate");
  setxattr("file", "user.a", "b", 1, 0);
  removexattr("file", "user.a");
  show("xattrs");
  link("file", "file2");
  show("link");
  unlink("file2");
  show("unlink of a second name");
  rename("file", "dir/moved");
  show("rename into a directory");
  rename("dir/moved", "file");
  show("rename back");
  put("other", "o", 0644);
  show("create");
  rename("other", "file");
  show("rename over a watched file with another name");
  renameat2(AT_FDCWD, "file", AT_FDCWD, "secret", 2);
  show("exchange");
  mkdir("newdir", 0755);
  symlink("x", "newlink");
  mknod("newfifo", S_IFIFO | 0600, 0);
  show("mkdir, symlink, mknod");
  rmdir("newdir");
  unlink("newlink");
  show("rmdir, unlink");
  closedir(opendir("dir"));
  show("opendir");
  DIR *d = opendir("dir");
  while (readdir(d)) ;
  closedir(d);
  show("readdir");
  rename("dir", "dir2");
  show("rename of a watched directory");
  put("dir2/n", "n", 0644);
  show("create in it");
  int w = inotify_add_watch(fd, "hard", IN_ATTRIB | IN_DELETE_SELF);
  printf("%d\n", w);
  unlink("secret");
  unlink("suid");
  show("unlink");
  f = open("hard", O_RDONLY);
  unlink("hard");
  show("unlink of an open file");
  close(f);
  show("its close");
  printf("%d", inotify_rm_watch(fd, 3));
  show(" rm_watch");
  printf("%d\n", inotify_rm_watch(fd, 3));
  w = inotify_add_watch(fd, "empty", IN_CREATE | IN_ONESHOT);
  put("empty/1", "", 0644);
  put("empty/2", "", 0644);
  show("one shot");
  printf("%d", inotify_add_watch(fd, "dir2", IN_CREATE));
  printf(" %d", inotify_add_watch(fd, "dir2", IN_DELETE | IN_MASK_ADD));
  printf(" %d\n", inotify_add_watch(fd, "suid", IN_DELETE | IN_ONLYDIR));
  unlink("dir2/n");
  put("dir2/m", "", 0644);
  show("both masks");
  int n = -1;
  ioctl(fd, FIONREAD, &n);
  printf("%d\n", n);
  put("dir2/longer-name-than-sixteen", "", 0644);
  ioctl(fd, FIONREAD, &n);
  printf("%d %ld %d\n", n, (long)read(fd, b, 8), errno);
  drop_tree();
  show("the rest");
  leave_place();
  return 0;
}
