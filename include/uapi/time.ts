// SPDX-License-Identifier: Apache-2.0
// Clocks and timers. Source: clock_gettime(2), timer_create(2), setitimer(2), adjtimex(2).

export const CLOCK_REALTIME = 0;
export const CLOCK_MONOTONIC = 1;
export const CLOCK_PROCESS_CPUTIME_ID = 2;
export const CLOCK_THREAD_CPUTIME_ID = 3;
export const CLOCK_MONOTONIC_RAW = 4;
export const CLOCK_REALTIME_COARSE = 5;
export const CLOCK_MONOTONIC_COARSE = 6;
export const CLOCK_BOOTTIME = 7;
export const CLOCK_REALTIME_ALARM = 8;
export const CLOCK_BOOTTIME_ALARM = 9;
export const CLOCK_TAI = 11;

export const TIMER_ABSTIME = 1;

export const ITIMER_REAL = 0;
export const ITIMER_VIRTUAL = 1;
export const ITIMER_PROF = 2;

export const USER_HZ = 100; // clock ticks a second, as times(2) and /proc count

export const TIME_OK = 0;
export const TIME_ERROR = 5;
export const STA_UNSYNC = 0x40;
