// SPDX-License-Identifier: Apache-2.0
// The system call table of x86-64: names by number, through Linux 6.x. Numbers 335 to 423 are not assigned.
// Source: <asm/unistd_64.h>.

/** [first number, names separated by spaces]. */
const RUNS: ReadonlyArray<readonly [number, string]> = [
  [0, "read write open close stat fstat lstat poll lseek mmap"],
  [10, "mprotect munmap brk rt_sigaction rt_sigprocmask rt_sigreturn ioctl pread64 pwrite64 readv"],
  [20, "writev access pipe select sched_yield mremap msync mincore madvise shmget"],
  [30, "shmat shmctl dup dup2 pause nanosleep getitimer alarm setitimer getpid"],
  [40, "sendfile socket connect accept sendto recvfrom sendmsg recvmsg shutdown bind"],
  [50, "listen getsockname getpeername socketpair setsockopt getsockopt clone fork vfork execve"],
  [60, "exit wait4 kill uname semget semop semctl shmdt msgget msgsnd"],
  [70, "msgrcv msgctl fcntl flock fsync fdatasync truncate ftruncate getdents getcwd"],
  [80, "chdir fchdir rename mkdir rmdir creat link unlink symlink readlink"],
  [90, "chmod fchmod chown fchown lchown umask gettimeofday getrlimit getrusage sysinfo"],
  [100, "times ptrace getuid syslog getgid setuid setgid geteuid getegid setpgid"],
  [110, "getppid getpgrp setsid setreuid setregid getgroups setgroups setresuid getresuid setresgid"],
  [120, "getresgid getpgid setfsuid setfsgid getsid capget capset rt_sigpending rt_sigtimedwait"],
  [129, "rt_sigqueueinfo rt_sigsuspend sigaltstack utime mknod uselib personality ustat statfs fstatfs"],
  [139, "sysfs getpriority setpriority sched_setparam sched_getparam sched_setscheduler"],
  [145, "sched_getscheduler sched_get_priority_max sched_get_priority_min sched_rr_get_interval mlock"],
  [150, "munlock mlockall munlockall vhangup modify_ldt pivot_root _sysctl prctl arch_prctl adjtimex"],
  [160, "setrlimit chroot sync acct settimeofday mount umount2 swapon swapoff reboot"],
  [170, "sethostname setdomainname iopl ioperm create_module init_module delete_module get_kernel_syms"],
  [178, "query_module quotactl nfsservctl getpmsg putpmsg afs_syscall tuxcall security gettid readahead"],
  [188, "setxattr lsetxattr fsetxattr getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr"],
  [197, "removexattr lremovexattr fremovexattr tkill time futex sched_setaffinity sched_getaffinity"],
  [205, "set_thread_area io_setup io_destroy io_getevents io_submit io_cancel get_thread_area"],
  [212, "lookup_dcookie epoll_create epoll_ctl_old epoll_wait_old remap_file_pages getdents64"],
  [218, "set_tid_address restart_syscall semtimedop fadvise64 timer_create timer_settime timer_gettime"],
  [225, "timer_getoverrun timer_delete clock_settime clock_gettime clock_getres clock_nanosleep"],
  [231, "exit_group epoll_wait epoll_ctl tgkill utimes vserver mbind set_mempolicy get_mempolicy mq_open"],
  [241, "mq_unlink mq_timedsend mq_timedreceive mq_notify mq_getsetattr kexec_load waitid add_key"],
  [249, "request_key keyctl ioprio_set ioprio_get inotify_init inotify_add_watch inotify_rm_watch"],
  [256, "migrate_pages openat mkdirat mknodat fchownat futimesat newfstatat unlinkat renameat linkat"],
  [266, "symlinkat readlinkat fchmodat faccessat pselect6 ppoll unshare set_robust_list get_robust_list"],
  [275, "splice tee sync_file_range vmsplice move_pages utimensat epoll_pwait signalfd timerfd_create"],
  [284, "eventfd fallocate timerfd_settime timerfd_gettime accept4 signalfd4 eventfd2 epoll_create1 dup3"],
  [293, "pipe2 inotify_init1 preadv pwritev rt_tgsigqueueinfo perf_event_open recvmmsg fanotify_init"],
  [301, "fanotify_mark prlimit64 name_to_handle_at open_by_handle_at clock_adjtime syncfs sendmmsg setns"],
  [309, "getcpu process_vm_readv process_vm_writev kcmp finit_module sched_setattr sched_getattr"],
  [316, "renameat2 seccomp getrandom memfd_create kexec_file_load bpf execveat userfaultfd membarrier"],
  [325, "mlock2 copy_file_range preadv2 pwritev2 pkey_mprotect pkey_alloc pkey_free statx io_pgetevents"],
  [334, "rseq"],
  [424, "pidfd_send_signal io_uring_setup io_uring_enter io_uring_register open_tree move_mount fsopen"],
  [431, "fsconfig fsmount fspick pidfd_open clone3 close_range openat2 pidfd_getfd faccessat2"],
  [440, "process_madvise epoll_pwait2 mount_setattr quotactl_fd landlock_create_ruleset landlock_add_rule"],
  [446, "landlock_restrict_self memfd_secret process_mrelease futex_waitv set_mempolicy_home_node"],
  [451, "cachestat fchmodat2 map_shadow_stack futex_wake futex_wait futex_requeue statmount listmount"],
  [459, "lsm_get_self_attr lsm_set_self_attr lsm_list_modules mseal setxattrat getxattrat listxattrat"],
  [466, "removexattrat open_tree_attr"],
];

function table(): (string | undefined)[] {
  const names: (string | undefined)[] = [];
  for (const [first, run] of RUNS) {
    run.split(" ").forEach((name, n) => {
      names[first + n] = name;
    });
  }
  return Array.from(names);
}

/** Names by number; undefined where no call is assigned. */
export const SYSCALL_NAMES: readonly (string | undefined)[] = table();
