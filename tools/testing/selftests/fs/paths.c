// SPDX-License-Identifier: Apache-2.0
// Every call that takes a path, on every form of path, as root and as another user: which errno, and what is there
// afterwards. Source: path_resolution(7) and the page of each call.
#include "tree.h"
#include <sys/statfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <utime.h>

static const char *name_of_type(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFREG: return "reg"; case S_IFDIR: return "dir"; case S_IFLNK: return "lnk";
    case S_IFIFO: return "fifo"; case S_IFSOCK: return "sock"; default: return "other";
  }
}

static void show_stat(const char *path, int flags) {
  struct stat st;
  if (fstatat(AT_FDCWD, path, &st, flags) == 0)
    printf(" %s %o %d:%d links %d", name_of_type(st.st_mode), st.st_mode & 07777, st.st_uid, st.st_gid,
           S_ISDIR(st.st_mode) ? 0 : (int)st.st_nlink);
}

static int open_close(const char *path, int flags) {
  int fd = open(path, flags | O_NONBLOCK, 0666);
  if (fd >= 0) { int e = errno; close(fd); errno = e; }
  return fd;
}

static long act(int call, const char *p) {
  struct stat st;
  struct statfs fs;
  char b[256];
  switch (call) {
    case 0: return stat(p, &st);
    case 1: return lstat(p, &st);
    case 2: return open_close(p, O_RDONLY);
    case 3: return open_close(p, O_WRONLY);
    case 4: return open_close(p, O_RDWR);
    case 5: return open_close(p, O_WRONLY | O_CREAT);
    case 6: return open_close(p, O_WRONLY | O_CREAT | O_EXCL);
    case 7: return open_close(p, O_RDONLY | O_CREAT);
    case 8: return open_close(p, O_RDONLY | O_DIRECTORY);
    case 9: return open_close(p, O_RDONLY | O_NOFOLLOW);
    case 10: return open_close(p, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    case 11: return open_close(p, O_PATH);
    case 12: return open_close(p, O_PATH | O_NOFOLLOW);
    case 13: return open_close(p, O_WRONLY | O_TRUNC);
    case 14: return open_close(p, O_RDONLY | O_TRUNC);
    case 15: return open_close(p, O_WRONLY | O_CREAT | O_NOFOLLOW);
    case 16: return open_close(p, O_RDWR | O_TMPFILE);
    case 17: return open_close(p, O_WRONLY | O_CREAT | O_DIRECTORY);
    case 18: return mkdir(p, 0777);
    case 19: return rmdir(p);
    case 20: return unlink(p);
    case 21: return symlink("target", p);
    case 22: return mknod(p, S_IFIFO | 0666, 0);
    case 23: return mknod(p, S_IFREG | 0666, 0);
    case 24: return readlink(p, b, sizeof b);
    case 25: { int r = chdir(p), e = errno; chdir(place); chdir(HOME_OF_TREE); errno = e; return r; }
    case 26: return access(p, R_OK);
    case 27: return access(p, W_OK);
    case 28: return access(p, X_OK);
    case 29: return access(p, F_OK);
    case 30: return truncate(p, 3);
    case 31: return chmod(p, 0751);
    case 32: return chown(p, 1000, 1000);
    case 33: return lchown(p, -1, 1000);
    case 34: return utime(p, 0);
    case 35: { struct timespec t[2] = {{5, 6}, {7, 8}}; return utimensat(AT_FDCWD, p, t, AT_SYMLINK_NOFOLLOW); }
    case 36: return statfs(p, &fs);
    case 37: return setxattr(p, "user.x", "y", 1, 0);
    case 38: return lsetxattr(p, "trusted.x", "y", 1, 0);
    case 39: return getxattr(p, "user.none", b, sizeof b);
    case 40: return listxattr(p, b, sizeof b);
    case 41: return removexattr(p, "user.none");
    case 42: return faccessat(AT_FDCWD, p, R_OK, AT_SYMLINK_NOFOLLOW | AT_EACCESS);
    case 43: return link(p, "newlink");
    case 44: return link("file", p);
    case 45: return linkat(AT_FDCWD, p, AT_FDCWD, "newlink", AT_SYMLINK_FOLLOW);
    case 46: return rename(p, "newname");
    case 47: return rename("file", p);
    case 48: return rename("dir", p);
    case 49: return rename("empty", p);
    case 50: return renameat2(AT_FDCWD, "file", AT_FDCWD, p, 1);
    case 51: return renameat2(AT_FDCWD, "file", AT_FDCWD, p, 2);
    case 52: return renameat2(AT_FDCWD, "dir", AT_FDCWD, p, 2);
    case 53: return renameat2(AT_FDCWD, p, AT_FDCWD, "dir/new", 0);
    case 54: return unlinkat(AT_FDCWD, p, AT_REMOVEDIR);
    case 55: return open_close(p, O_RDONLY | O_NOATIME);
    case 56: return chroot(p) ? -1 : 0;
    case 57: return fchmodat(AT_FDCWD, p, 04711, 0);
    case 58: return mknod(p, S_IFCHR | 0666, 0x103);
    case 59: return symlink("", p);
    case 60: return statx(AT_FDCWD, p, AT_SYMLINK_NOFOLLOW, 0x7ff, (void *)b);
    default: return -2;
  }
}
#define CALLS 61

/* A call that changed something gets a fresh tree for the next one. */
static void one(const char *who, int call, unsigned i, int uid) {
  fflush(stdout);
  int pid = fork();
  if (pid == 0) {
    if (uid) { setgid(uid); setuid(uid); }
    errno = 0;
    long result = act(call, paths[i]);
    printf("%s %d '%s': %s", who, call, paths[i], result_of(result));
    if (result >= 0) { show_stat(paths[i], AT_SYMLINK_NOFOLLOW); show_stat(paths[i], 0); }
    printf("\n");
    fflush(stdout);
    _exit(result >= 0 && call > 1 ? 1 : 0);
  }
  int status;
  waitpid(pid, &status, 0);
  if (status != 0) { drop_tree(); make_tree(); }
}

int main(void) {
  enter_place();
  make_tree();
  for (int uid = 0; uid <= 1000; uid += 1000)
    for (int call = 0; call < CALLS; call++) {
      if (call == 56 && uid == 0) continue;
      for (unsigned i = 0; i < PATHS; i++) {
        /* The root directory is shared with the rest of the machine, and may be another file system. */
        if (!strcmp(paths[i], "/") && (uid == 0 ? call >= 3 : call >= 43)) continue;
        one(uid ? "user" : "root", call, i, uid);
      }
    }
  drop_tree();
  leave_place();
  return 0;
}
