// SPDX-License-Identifier: Apache-2.0
// A process of the guest with its standard streams as Web Streams, or with a terminal of its own.

import type { Machine, Process, SpawnOptions } from "./machine.ts";
import { StreamConsole, type TerminalSize } from "./stream-console.ts";

export interface ChildOptions extends Omit<SpawnOptions, "stdio"> {
  /** Standard input, output and error are one terminal of this size (80 by 24 unless told). */
  readonly tty?: boolean | Partial<TerminalSize>;
}

export interface ChildProcess extends Process {
  /** Bytes, or text that becomes UTF-8. Closing it is end of file. */
  readonly stdin: WritableStream<Uint8Array | string>;
  /** Ends with the process. With `tty` it carries standard error too. */
  readonly stdout: ReadableStream<Uint8Array<ArrayBuffer>>;
  readonly stderr: ReadableStream<Uint8Array<ArrayBuffer>>;
  /** Tells the terminal's new size; nothing without `tty`. */
  resize(size: TerminalSize): void;
}

const DEFAULT_COLUMNS = 80;
const DEFAULT_ROWS = 24;

export function spawnChild(
  machine: Pick<Machine, "spawn">,
  argv: readonly string[],
  options: ChildOptions,
): ChildProcess {
  const { tty, ...rest } = options;
  const isTerminal = tty !== undefined && tty !== false;
  const size = tty === true || !isTerminal ? {} : tty;
  const main = new StreamConsole(
    isTerminal ? { columns: size.columns ?? DEFAULT_COLUMNS, rows: size.rows ?? DEFAULT_ROWS } : undefined,
  );
  const errors = new StreamConsole();
  const child = machine.spawn(argv, {
    ...rest,
    ...(isTerminal ? { env: { TERM: "xterm-256color", ...rest.env } } : {}),
    stdio: isTerminal ? { terminal: main } : { stdin: main, stdout: main, stderr: errors },
  });
  const end = (): void => {
    main.end();
    errors.end();
  };
  child.exited.then(end, end);
  return {
    ...child,
    stdin: main.input,
    stdout: main.output,
    stderr: errors.output,
    resize: (next) => main.resize(next),
  };
}
