// SPDX-License-Identifier: Apache-2.0
// Order of Debian package versions. Source: deb-version(7), Debian Policy 5.6.12.

interface Version {
  readonly epoch: number;
  readonly upstream: string;
  readonly revision: string;
}

function parseVersion(text: string): Version {
  const colon = text.indexOf(":");
  const epoch = colon < 0 ? 0 : Number(text.slice(0, colon));
  if (!Number.isInteger(epoch) || epoch < 0) throw new Error(`bad epoch in version ${text}`);
  const rest = text.slice(colon + 1);
  const hyphen = rest.lastIndexOf("-");
  return hyphen < 0
    ? { epoch, upstream: rest, revision: "" }
    : { epoch, upstream: rest.slice(0, hyphen), revision: rest.slice(hyphen + 1) };
}

/** Weight of a character in a part without digits: "~" before the end, the end before letters, then the rest. */
function weight(character: string | undefined): number {
  if (character === "~") return -1;
  if (character === undefined || /[0-9]/.test(character)) return 0;
  const code = character.charCodeAt(0);
  return /[A-Za-z]/.test(character) ? code : code + 256;
}

function isDigit(character: string | undefined): boolean {
  return character !== undefined && character >= "0" && character <= "9";
}

/** Compares two parts (upstream or revision): runs without digits by weight, runs of digits by value, in turn. */
function comparePart(left: string, right: string): number {
  let l = 0;
  let r = 0;
  while (l < left.length || r < right.length) {
    while ((l < left.length && !isDigit(left[l])) || (r < right.length && !isDigit(right[r]))) {
      const difference = weight(left[l]) - weight(right[r]);
      if (difference !== 0) return Math.sign(difference);
      l++;
      r++;
    }
    const leftDigits = /^0*(\d*)/.exec(left.slice(l))?.[1] ?? "";
    const rightDigits = /^0*(\d*)/.exec(right.slice(r))?.[1] ?? "";
    if (leftDigits.length !== rightDigits.length) return Math.sign(leftDigits.length - rightDigits.length);
    if (leftDigits !== rightDigits) return leftDigits < rightDigits ? -1 : 1;
    while (isDigit(left[l])) l++;
    while (isDigit(right[r])) r++;
  }
  return 0;
}

/** Negative, zero or positive as `left` is before, the same as, or after `right`. */
export function compareVersions(left: string, right: string): number {
  const a = parseVersion(left);
  const b = parseVersion(right);
  if (a.epoch !== b.epoch) return Math.sign(a.epoch - b.epoch);
  const upstream = comparePart(a.upstream, b.upstream);
  return upstream !== 0 ? upstream : comparePart(a.revision, b.revision);
}

export type Relation = "<<" | "<=" | "=" | ">=" | ">>";

/** Whether `version relation bound` holds. */
export function satisfiesRelation(version: string, relation: Relation, bound: string): boolean {
  const order = compareVersions(version, bound);
  switch (relation) {
    case "<<":
      return order < 0;
    case "<=":
      return order <= 0;
    case "=":
      return order === 0;
    case ">=":
      return order >= 0;
    case ">>":
      return order > 0;
  }
}
