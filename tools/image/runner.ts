// SPDX-License-Identifier: Apache-2.0
// What the image builder asks of the machine that runs the second stage.

export interface GuestOptions {
  /** The image of the first stage: the lower layer of an overlay whose upper layer is an empty tmpfs. */
  readonly image: string;
  /** A shell script inside the image, absolute; it runs as root with /proc, /sys and /dev mounted. */
  readonly script: string;
  /** Seconds since 1970 for the guest's clock, where the runner can choose it. */
  readonly time: number;
  readonly onOutput: (bytes: Uint8Array) => void;
}

export interface GuestResult {
  readonly exitCode: number;
  /**
   * The upper layer as a tar archive (pax, xattrs as SCHILY.xattr), in pieces. As overlayfs has it, a removed
   * name is a character device 0:0, and a directory that hides the one below has trusted.overlay.opaque "y".
   */
  readonly changes: AsyncIterable<Uint8Array>;
}

export type GuestRunner = (options: GuestOptions) => Promise<GuestResult>;
