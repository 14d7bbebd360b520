// SPDX-License-Identifier: Apache-2.0
// Mounts: on top of each other, bound, moved, read-only, busy, detached; pivot_root and chroot.
// Sources: mount(2), umount(2), pivot_root(2), chroot(2).
#include "tree.h"
#include <sched.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static void list(const char *path) {
  DIR *d = opendir(path);
  if (!d) { printf("%s: %s\n", path, strerrorname_np(errno)); return; }
  char names[20][40];
  int n = 0;
  struct dirent *e;
  while ((e = readdir(d)))
    if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..")) snprintf(names[n++], 40, "%.39s", e->d_name);
  closedir(d);
  qsort(names, n, 40, (int (*)(const void *, const void *))strcmp);
  printf("%s:", path);
  for (int i = 0; i < n; i++) printf(" %s", names[i]);
  printf("\n");
}

static unsigned long flags_of(const char *path) {
  struct statvfs v;
  return statvfs(path, &v) == 0 ? v.f_flag & (ST_RDONLY | ST_NOSUID | ST_NODEV | ST_NOEXEC | ST_NOATIME | ST_RELATIME) : ~0ul;
}

static void basics(void) {
  mkdir("a", 0755); mkdir("b", 0755); put("a/under", "u", 0644); put("file", "f", 0644); put("file2", "2", 0644);
  SHOW(mount("src", "a", "tmpfs", 0, "size=100k,mode=711"));
  list("a");
  struct stat st;
  stat("a", &st);
  printf("%o\n", st.st_mode);
  put("a/in", "x", 0644);
  SHOW(mount("src2", "a", "tmpfs", 0, "mode=755"));
  list("a");
  SHOW(umount("a"));
  list("a");
  SHOW(mount("a", "b", 0, MS_BIND, 0));
  list("b");
  put("b/more", "m", 0644);
  list("a");
  SHOW(flags_of("b"));
  SHOW(mount(0, "b", 0, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOEXEC | MS_NOSUID, 0));
  SHOW(flags_of("b"));
  SHOW(flags_of("a"));
  SHOW(open("b/new", O_CREAT | O_WRONLY, 0644));
  SHOW(open("b/more", O_WRONLY));
  SHOW(unlink("b/more"));
  SHOW(rename("b/more", "b/less"));
  SHOW(chmod("b/more", 0600));
  SHOW(mkdir("b/more", 0600));
  SHOW(mkdir("b/d", 0600));
  SHOW(utimensat(AT_FDCWD, "b/more", 0, 0));
  SHOW(truncate("b/more", 0));
  SHOW(access("b/more", W_OK));
  SHOW(access("b/more", R_OK));
  chmod("a/more", 0755);
  SHOW(access("b/more", X_OK));
  SHOW(access("a/more", X_OK));
  SHOW(execl("b/more", "more", (char *)0));
  SHOW(link("a/more", "b/x"));
  SHOW(link("a/more", "file3"));
  SHOW(rename("a/more", "more"));
  SHOW(rename("a/more", "b/more"));
  SHOW(rmdir("a"));
  SHOW(rename("a", "c"));
  SHOW(unlink("a"));
  int fd = open("a/in", O_RDONLY);
  SHOW(umount("a"));
  close(fd);
  SHOW(umount2("a", MNT_DETACH));
  list("a");
  list("b");
  SHOW(umount2("b", 99));
  SHOW(umount("b"));
  SHOW(umount("b"));
  SHOW(umount("none"));
  SHOW(umount("b/more"));
}

static void files_and_errors(void) {
  SHOW(mount("file", "file2", 0, MS_BIND, 0));
  char c = 0;
  int fd = open("file2", O_RDONLY);
  read(fd, &c, 1);
  close(fd);
  printf("%c\n", c);
  SHOW(unlink("file2"));
  SHOW(rename("file", "file2"));
  SHOW(umount("file2"));
  SHOW(mount("file", "b", 0, MS_BIND, 0));
  SHOW(mount("b", "file", 0, MS_BIND, 0));
  SHOW(mount("none", "b", 0, MS_BIND, 0));
  SHOW(mount("x", "none", "tmpfs", 0, 0));
  SHOW(mount("x", "file", "tmpfs", 0, 0));
  SHOW(mount("x", "b", "nosuchfs", 0, 0));
  SHOW(mount("x", "b", 0, 0, 0));
  SHOW(mount("x", "b", "tmpfs", 0, "bad=1"));
  SHOW(mount("x", "b", "tmpfs", 0, "size=junk"));
  SHOW(mount(0, "b", 0, MS_REMOUNT, 0));
  SHOW(mount("b", "b", 0, MS_MOVE, 0));
  SHOW(mount("x", "b", "overlay", 0, "lowerdir=/none"));
  SHOW(mount("x", "b", "tmpfs", MS_RDONLY | MS_NOATIME | MS_NODEV, "size=40960"));
  SHOW(flags_of("b"));
  SHOW(open("b/x", O_CREAT | O_WRONLY, 0600));
  SHOW(mount(0, "b", 0, MS_REMOUNT, "size=81920"));
  SHOW(flags_of("b"));
  put("b/x", "y", 0600);
  struct statvfs v;
  statvfs("b", &v);
  printf("blocks %ld free %ld\n", (long)v.f_blocks, (long)v.f_bfree);
  mknod("b/null", S_IFCHR | 0666, 0x103);
  SHOW(open("b/null", O_RDONLY) >= 0);
  SHOW(mount(0, "b", 0, MS_REMOUNT | MS_BIND | MS_NODEV, 0));
  SHOW(open("b/null", O_RDONLY));
  SHOW(umount("b"));
}

static void moves(void) {
  SHOW(mount("m", "a", "tmpfs", 0, "mode=755"));
  SHOW(mount(0, place, 0, MS_PRIVATE, 0));
  mkdir("a/sub", 0755);
  SHOW(mount("n", "a/sub", "tmpfs", 0, "mode=755"));
  put("a/sub/deep", "d", 0644);
  SHOW(mount("a", "b", 0, MS_BIND, 0));
  list("b/sub");
  SHOW(umount("b"));
  SHOW(mount("a", "b", 0, MS_BIND | MS_REC, 0));
  list("b/sub");
  SHOW(umount("b"));
  SHOW(umount2("b", MNT_DETACH));
  SHOW(mount("a", "b", 0, MS_MOVE, 0));
  list("b/sub");
  list("a");
  SHOW(mount("b", "b/sub", 0, MS_MOVE, 0));
  SHOW(mount("b/sub", "a", 0, MS_MOVE, 0));
  list("a");
  list("b/sub");
  SHOW(chdir("b/sub"));
  SHOW(umount2("../../b", MNT_DETACH));
  char cwd[200];
  SHOW(syscall(SYS_getcwd, cwd, 200L) > 0);
  SHOW(chdir(place));
  SHOW(umount("a"));
}

static void roots(void) {
  SHOW(mount("r", "a", "tmpfs", 0, "mode=755"));
  mkdir("a/old", 0755);
  put("a/here", "h", 0644);
  symlink("/here", "a/abs");
  fflush(stdout);
  if (fork() == 0) {
    SHOW(chroot("a"));
    SHOW(access("here", F_OK));
    SHOW(access("/here", F_OK));
    SHOW(access("/abs", F_OK));
    SHOW(access("/../here", F_OK));
    char cwd[300];
    SHOW(syscall(SYS_getcwd, cwd, 300L) > 0);
    printf("%.13s\n", cwd);
    SHOW(chdir("/"));
    SHOW(syscall(SYS_getcwd, cwd, 300L));
    SHOW(chroot("here"));
    SHOW(chroot("none"));
    fflush(stdout);
    _exit(0);
  }
  wait(0);
  SHOW(syscall(SYS_pivot_root, "b", "b"));
  SHOW(syscall(SYS_pivot_root, "a", "file"));
  SHOW(syscall(SYS_pivot_root, "a", "a/none"));
  SHOW(umount("a"));
}

int main(void) {
  unshare(CLONE_NEWNS);
  mount(0, "/", 0, MS_PRIVATE | MS_REC, 0);
  enter_place();
  basics();
  files_and_errors();
  moves();
  roots();
  fflush(stdout);
  if (fork() == 0) {
    setuid(1000);
    SHOW(mount("x", "a", "tmpfs", 0, 0));
    SHOW(umount("a"));
    SHOW(chroot("a"));
    SHOW(syscall(SYS_pivot_root, "a", "a"));
    fflush(stdout);
    _exit(0);
  }
  wait(0);
  leave_place();
  return 0;
}
