// SPDX-License-Identifier: Apache-2.0
// Lists of packages: what every image holds, and what the image of the differential run adds.

/** With every package of priority "required": the base that debootstrap calls minbase. */
export const BASE_PACKAGES: readonly string[] = ["apt", "bash"];

/** What `rookery image build` adds to the base unasked: the interpreter that people try first. */
export const DEFAULT_PACKAGES: readonly string[] = ["python3-minimal"];

/** The programs that the differential run compares. */
export const DIFFERENTIAL_TEST_PACKAGES: readonly string[] = [
  "bc",
  "bzip2",
  "coreutils",
  "diffutils",
  "file",
  "findutils",
  "gawk",
  "gcc",
  "git",
  "grep",
  "gzip",
  "less",
  "libc6-dev",
  "make",
  "openssl",
  "perl",
  "procps",
  "python3",
  "sed",
  "sqlite3",
  "strace",
  "tar",
  "util-linux",
  "vim-tiny",
  "xz-utils",
];
