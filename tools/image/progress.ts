// SPDX-License-Identifier: Apache-2.0
// What the builder tells: a bar on a terminal, one plain line per phase elsewhere.

/** Where progress goes: standard error, or nothing in tests. */
export interface ProgressOutput {
  readonly isTTY: boolean;
  readonly columns: number;
  readonly hasColor: boolean;
  write(text: string): void;
}

/** One bar at a time. `total` may be 0 when it is not known. */
export interface Progress {
  /** Begins a phase and ends the one before. */
  phase(label: string, total: number): void;
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
  const draw = (): void => {
    const cells = Math.max(0, Math.min(BAR_CELLS_MAX, output.columns - label.length - 24));
    const part = total > 0 ? Math.min(1, loaded / total) : 0;
    const filled = Math.round(part * cells);
    const bar = "█".repeat(filled) + "░".repeat(cells - filled);
    const colored = output.hasColor ? `\x1b[36m${bar}\x1b[0m` : bar;
    const figures = total > 0 ? `${String(Math.floor(part * 100)).padStart(3)}% ${megabytes(total)}` : "";
    output.write(`\r\x1b[K${label} ${colored} ${figures}`);
  };
  const end = (): void => {
    if (label === "") return;
    if (output.isTTY) output.write(`\r\x1b[K${label}\n`);
    label = "";
  };
  return {
    phase(nextLabel, nextTotal) {
      end();
      label = nextLabel;
      total = nextTotal;
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
