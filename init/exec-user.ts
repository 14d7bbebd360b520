// SPDX-License-Identifier: Apache-2.0
// Starting a program from outside: who it runs as, where, and how its name is found. As login(1) and env(1) do it.

import { readFully } from "../fs/exec-file.ts";
import { execInit } from "../fs/exec.ts";
import type { Cred, Task } from "../include/linux/sched.ts";
import type { Sleeps } from "../include/linux/wait.ts";
import { EACCES, ENOENT, Errno } from "../lib/errno.ts";
import { credentialsOf } from "../security/commoncap.ts";

export const DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** No such user or group: for the one line that the caller prints. */
export class UnknownUser extends Error {
  constructor(what: string) {
    super(what);
    this.name = "UnknownUser";
  }
}

export interface Account {
  readonly name: string;
  readonly home: string;
  readonly shell: string;
  readonly cred: Cred;
}

const ROOT_ACCOUNT = { name: "root", uid: 0, gid: 0, home: "/root", shell: "/bin/sh" };

/** The account that "USER[:GROUP]" names (names or numbers), from the guest's own passwd(5) and group(5). */
export function* lookUpAccount(task: Task, text: string): Sleeps<Account> {
  const [userText = "", groupText] = text.split(":", 2);
  const users = (yield* readLines(task, "/etc/passwd")).map((fields) => ({
    name: fields[0] ?? "",
    uid: Number(fields[2]),
    gid: Number(fields[3]),
    home: fields[5] ?? "/",
    shell: fields[6] ?? "",
  }));
  const groups = (yield* readLines(task, "/etc/group")).map((fields) => ({
    name: fields[0] ?? "",
    gid: Number(fields[2]),
    members: (fields[3] ?? "").split(","),
  }));
  const isNumber = /^\d+$/.test(userText);
  const user = users.find((u) => u.name === userText)
    ?? users.find((u) => isNumber && u.uid === Number(userText))
    ?? (userText === "root" ? ROOT_ACCOUNT : undefined);
  if (user === undefined && !isNumber) {
    throw new UnknownUser(`no user "${userText}" in the image's /etc/passwd`);
  }
  const uid = user?.uid ?? Number(userText);
  const supplementary = groups.filter((g) => user !== undefined && g.members.includes(user.name)).map((g) =>
    g.gid
  );
  const gid = groupText === undefined ? user?.gid ?? 0 : findGroup(groups, groupText);
  return {
    name: user?.name ?? userText,
    home: user?.home ?? "/",
    shell: user?.shell ?? "/bin/sh",
    cred: credentialsOf(uid, gid, [...new Set([gid, ...supplementary])]),
  };
}

function findGroup(groups: readonly { name: string; gid: number }[], text: string): number {
  const gid = groups.find((g) => g.name === text)?.gid ?? (/^\d+$/.test(text) ? Number(text) : undefined);
  if (gid === undefined) throw new UnknownUser(`no group "${text}" in the image's /etc/group`);
  return gid;
}

/** Fields of the lines of a colon-separated file; none when the file is not there. */
function* readLines(task: Task, path: string): Sleeps<string[][]> {
  try {
    const file = yield* task.kernel.vfs.open(task, path, 0, 0);
    const bytes = yield* readFully(task.kernel.ram, file, 0, file.inode?.size ?? 0);
    file.put();
    return new TextDecoder("latin1").decode(bytes).split("\n").filter((line) => line !== "").map((l) =>
      l.split(":")
    );
  } catch (error) {
    if (error instanceof Errno) return [];
    throw error;
  }
}

/** execvp(3): a name with a slash is a path, any other is sought along PATH. */
export function* execSearching(
  task: Task,
  argv: readonly string[],
  env: Readonly<Record<string, string>>,
): Sleeps<void> {
  const envp = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  const name = argv[0] ?? "";
  if (name.includes("/")) return yield* execInit(task, name, argv, envp);
  let denied = false;
  for (const directory of (env["PATH"] ?? DEFAULT_PATH).split(":")) {
    try {
      return yield* execInit(task, `${directory === "" ? "." : directory}/${name}`, argv, envp);
    } catch (error) {
      if (!(error instanceof Errno)) throw error;
      if (error.code === "EACCES") denied = true;
      else if (error.code !== "ENOENT" && error.code !== "ENOTDIR") throw error;
    }
  }
  throw denied ? EACCES : ENOENT;
}
