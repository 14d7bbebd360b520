// SPDX-License-Identifier: Apache-2.0
// What the builder tells: a bar on a terminal, one plain line per phase elsewhere.

/** Where progress goes: standard error, or nothing in tests. */
export interface ProgressOutput {
  readonly isTTY: boolean;
  readonly columns: number;
  readonly hasColor: boolean;
  write(text: string): void;
}

/** One bar at a time; without a total there is no bar. */
export interface Progress {
  /** Begins a phase and ends the one before. */
  phase(label: string, total?: number, unit?: "bytes" | "packages" | "programs"): void;
  /** Adds to what is done in this phase. */
  advance(amount: number): void;
  /** Ends the last phase. */
  done(): void;
}

const REDRAW_MS = 80;
const BAR_CELLS_MAX = 30;

export function createProgress(output: ProgressOutput, now: () => number): Progress {
  let label = "";
  let total = 0;
  let loaded = 0;
  let drawnAt = 0;
  let isBytes = true;
  const draw = (): void => {
    const cells = Math.max(0, Math.min(BAR_CELLS_MAX, output.columns - label.length - 24));
    const part = total > 0 ? Math.min(1, loaded / total) : 0;
    const filled = Math.round(part * cells);
    const bar = "█".repeat(filled) + "░".repeat(cells - filled);
    const colored = output.hasColor ? `\x1b[36m${bar}\x1b[0m` : bar;
    const figures = isBytes
      ? `${megabytes(loaded)} of ${megabytes(total)}`
      : `${String(loaded)} of ${String(total)}`;
    output.write(total > 0 ? `\r\x1b[K${label} ${colored} ${figures}` : `\r\x1b[K${label} …`);
  };
  const end = (): void => {
    if (label === "") return;
    if (output.isTTY) output.write(`\r\x1b[K${label}\n`);
    label = "";
  };
  return {
    phase(nextLabel, nextTotal = 0, unit = "bytes") {
      end();
      label = nextLabel;
      total = nextTotal;
      isBytes = unit === "bytes";
      loaded = 0;
      drawnAt = now();
      if (output.isTTY) draw();
      else output.write(`${label}\n`);
    },
    advance(amount) {
      loaded += amount;
      if (!output.isTTY || now() - drawnAt < REDRAW_MS) return;
      drawnAt = now();
      draw();
    },
    done: end,
  };
}

function megabytes(bytes: number): string {
  return bytes >= 1e6 ? `${(bytes / 1e6).toFixed(0)} MB` : `${(bytes / 1e3).toFixed(0)} kB`;
}

/** Progress on standard error: a bar on a terminal, lines elsewhere; NO_COLOR and FORCE_COLOR hold. */
export function standardProgress(): Progress {
  const { stderr, env } = process;
  const isForced = env["FORCE_COLOR"] !== undefined && env["FORCE_COLOR"] !== "0";
  const hasColor = isForced || (stderr.isTTY && (env["NO_COLOR"] ?? "") === "");
  return createProgress(
    {
      isTTY: stderr.isTTY,
      columns: stderr.columns > 0 ? stderr.columns : 80,
      hasColor,
      write: (text) => {
        stderr.write(text);
      },
    },
    () => performance.now(),
  );
}
