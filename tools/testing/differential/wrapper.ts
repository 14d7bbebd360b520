// SPDX-License-Identifier: Apache-2.0
// The script that runs one case on either side and prints all that is compared: exit status, standard output, and the
// files that the case left behind.

import type { Case } from "./cases.ts";

export const CASE_ENV: Readonly<Record<string, string>> = {
  PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  HOME: "/root",
  LC_ALL: "C",
  TZ: "UTC",
  TERM: "vt100",
};

/** Seconds after which a case is killed on both sides. */
export const CASE_TIMEOUT_S = 120;

/** argv that runs `c` and prints its report on standard output. */
export function caseCommand(c: Case): string[] {
  const report = [
    "rm -rf /tmp/case && mkdir -p /tmp/case && cd /tmp/case",
    `timeout -k 5 ${CASE_TIMEOUT_S} bash -c "$1" < /dev/null > /tmp/case.out 2> /tmp/case.err`,
    "echo \"exit $?\"",
    "cat /tmp/case.out",
    "echo '-- files'",
    "find . -mindepth 1 \\( -type d -printf '%P d %m\\n' -o -printf '%P %y %m %s %l\\n' \\) | sort",
    "find . -type f -size -200k ! -path './.git/*' ! -path '*/.git/*' -exec sha256sum {} + | sort -k2",
  ].join("\n");
  return ["/bin/bash", "-c", report, "case", c.script];
}
