// SPDX-License-Identifier: Apache-2.0
// "#!" scripts: the interpreter and its one argument. Source: execve(2), "Interpreter scripts".

import { ENOEXEC } from "../lib/errno.ts";

/** How much of a file is looked at to tell its format; the "#!" line must end (or its path must) within. */
export const BINPRM_BUF_BYTES = 256;

export interface ScriptLine {
  readonly interpreter: string;
  readonly argument: string | undefined;
}

export function isScript(head: Uint8Array): boolean {
  return head[0] === 0x23 && head[1] === 0x21;
}

/** Parses the first line. `head` is the start of the file, filled with zeros to BINPRM_BUF_BYTES. Throws ENOEXEC. */
export function parseScript(head: Uint8Array): ScriptLine {
  const text = String.fromCharCode(...head.subarray(2, BINPRM_BUF_BYTES));
  const newline = text.indexOf("\n");
  const limit = newline >= 0 ? newline : text.length;
  const hasEnd = newline >= 0 || text.includes("\0");
  const line = text.slice(0, limit);
  const start = line.search(/[^ \t]/);
  if (start < 0) throw ENOEXEC;
  const rest = line.slice(start);
  const end = rest.search(/[ \t\0]/);
  if (end < 0 && !hasEnd) throw ENOEXEC; // The path itself may have been cut off.
  const interpreter = end < 0 ? rest : rest.slice(0, end);
  if (interpreter === "") throw ENOEXEC;
  const tail = end < 0 || rest[end] === "\0" ? "" : rest.slice(end);
  const cut = tail.indexOf("\0");
  const argument = (cut < 0 ? tail : tail.slice(0, cut)).replace(/^[ \t]+|[ \t]+$/g, "");
  return { interpreter, argument: argument === "" ? undefined : argument };
}
