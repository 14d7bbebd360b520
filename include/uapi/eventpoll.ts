// SPDX-License-Identifier: Apache-2.0
// epoll, eventfd, timerfd, signalfd. Source: epoll_ctl(2), eventfd(2), timerfd_create(2), signalfd(2).
//
// struct epoll_event is packed on x86-64 (12 bytes: events u32, data u64), 16 bytes elsewhere.

export const EPOLL_CTL_ADD = 1;
export const EPOLL_CTL_DEL = 2;
export const EPOLL_CTL_MOD = 3;
export const EPOLL_CLOEXEC = 524288;

// Beside the POLL* bits.
export const EPOLLMSG = 0x400;

export const EFD_SEMAPHORE = 1;
export const EFD_CLOEXEC = 0o2000000;
export const EFD_NONBLOCK = 0o4000;

export const TFD_CLOEXEC = 0o2000000;
export const TFD_NONBLOCK = 0o4000;
export const TFD_TIMER_ABSTIME = 1;
export const TFD_TIMER_CANCEL_ON_SET = 2;

export const SFD_CLOEXEC = 0o2000000;
export const SFD_NONBLOCK = 0o4000;

export const EPOLLEXCLUSIVE = 0x1000_0000;
export const EPOLLWAKEUP = 0x2000_0000;
export const EPOLLONESHOT = 0x4000_0000;
/** Bit 31, unsigned. */
export const EPOLLET = 0x8000_0000;
/** TFD_IOC_SET_TICKS of ioctl(2). */
export const TFD_IOC_SET_TICKS = 0x40085400;
