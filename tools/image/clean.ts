// SPDX-License-Identifier: Apache-2.0
// Takes out of a configured tree what belongs to one machine or one run.

import { SECOND_STAGE_DIRECTORY } from "./second-stage.ts";
import { bytesContent, createFile, readContent } from "./tree.ts";
import type { DirectoryNode, Tree } from "./tree.ts";

/** Directories that are emptied; what is in them is made anew when it is wanted. */
const EMPTIED = [
  "run",
  "tmp",
  "var/tmp",
  "var/cache/apt/archives",
  "var/lib/apt/lists",
  "var/cache/ldconfig",
  "var/lib/dpkg/updates",
];
/** Files that go: logs, locks, older copies of databases, names of the machine. */
const REMOVED = [
  "etc/hostname",
  "etc/resolv.conf",
  "etc/.pwd.lock",
  "usr/sbin/policy-rc.d",
  "var/cache/apt/pkgcache.bin",
  "var/cache/apt/srcpkgcache.bin",
  "var/cache/debconf/config.dat-old",
  "var/cache/debconf/passwords.dat-old",
  "var/cache/debconf/templates.dat-old",
  "var/lib/dbus/machine-id",
  "var/lib/dpkg/lock",
  "var/lib/dpkg/lock-frontend",
  "var/lib/dpkg/triggers/Lock",
  "var/lib/dpkg/status-old",
  "var/lib/dpkg/available-old",
  "var/lib/dpkg/diversions-old",
  "var/lib/dpkg/statoverride-old",
  "var/lib/systemd/random-seed",
];
const LOGIN_RECORDS = new Set(["btmp", "faillog", "lastlog", "wtmp"]);
const KEPT = new Set(["partial", "auxfiles"]);

export function cleanTree(tree: Tree, mtime: number): void {
  for (const path of EMPTIED) {
    const directory = tree.lookup(path);
    if (directory?.kind !== "directory") continue;
    for (const name of [...directory.children.keys()]) if (!KEPT.has(name)) directory.children.delete(name);
    directory.mtime = mtime;
    directory.mtimeNs = 0;
  }
  for (const path of REMOVED) tree.remove(path);
  const logs = tree.lookup("var/log");
  if (logs?.kind === "directory") clearLogs(logs);
  if (tree.lookup("etc/machine-id") !== undefined) {
    tree.put("etc/machine-id", createFile(0o444, mtime, bytesContent(new Uint8Array(0))));
  }
  for (const path of ["etc/shadow", "etc/shadow-"]) datePasswords(tree, path, mtime);
  tree.remove(SECOND_STAGE_DIRECTORY);
}

const DAY_SECONDS = 86400;

/**
 * Sets the day of the last password change, which is the day of the build, to the image's own. (The scripts
 * would take SOURCE_DATE_EPOCH for it, but Python would then write byte code that checks its sources.)
 */
function datePasswords(tree: Tree, path: string, mtime: number): void {
  const node = tree.lookup(path);
  if (node?.kind !== "file") return;
  const day = String(Math.floor(mtime / DAY_SECONDS));
  const text = Buffer.from(readContent(node.content)).toString("latin1");
  const dated = text.replace(/^([^:\n]*:[^:\n]*:)\d+(?=:)/gm, `$1${day}`);
  node.content = bytesContent(Buffer.from(dated, "latin1"));
}

/** Logs of text go; the records of logins, which programs expect to be there, become empty. */
function clearLogs(directory: DirectoryNode): void {
  for (const [name, node] of [...directory.children]) {
    if (node.kind === "directory") clearLogs(node);
    else if (node.kind === "file" && LOGIN_RECORDS.has(name)) node.content = bytesContent(new Uint8Array(0));
    else directory.children.delete(name);
  }
}
