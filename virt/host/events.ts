// SPDX-License-Identifier: Apache-2.0
// What the adapters of a host (consoles, disks, timers) tell it.

export interface HostEvents {
  /** Something happened that the kernel may be waiting for: ends `Host.idle`. */
  wake(): void;
}
