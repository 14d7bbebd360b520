// SPDX-License-Identifier: Apache-2.0
// Sizes and durations as people type them: 512m, 1g, 1GiB; 30s, 500ms, 2m.

const SIZE_UNITS: Readonly<Record<string, number>> = {
  "": 1,
  b: 1,
  k: 2 ** 10,
  m: 2 ** 20,
  g: 2 ** 30,
  t: 2 ** 40,
};
const DURATION_UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  "": 1000,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

/** "1g", "512MiB", "65536" as bytes; undefined when it is no size. */
export function parseSize(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*([bkmgt]?)(?:i?b)?$/i.exec(text.trim());
  const unit = SIZE_UNITS[match?.[2]?.toLowerCase() ?? "?"];
  return match === null || unit === undefined ? undefined : Math.floor(Number(match[1]) * unit);
}

/** "30s", "500ms", "2m" (plain numbers are seconds) as milliseconds; undefined when it is no duration. */
export function parseDuration(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|)$/i.exec(text.trim());
  const unit = DURATION_UNITS[match?.[2]?.toLowerCase() ?? "?"];
  return match === null || unit === undefined ? undefined : Number(match[1]) * unit;
}
