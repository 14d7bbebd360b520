// SPDX-License-Identifier: Apache-2.0
// Where the host's apt gets Debian from. Source: sources.list(5).

import { paragraphs } from "../../lib/deb822.ts";

export interface AptSource {
  readonly uri: string;
  readonly suite: string;
  readonly components: readonly string[];
}

/** Entries for binary packages of a one-line-style file (*.list). */
export function parseSourcesList(text: string): AptSource[] {
  const sources: AptSource[] = [];
  for (const line of text.split("\n")) {
    const match = /^\s*deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)\s*([^#]*)/.exec(line);
    const [, uri, suite, components] = match ?? [];
    if (uri === undefined || suite === undefined) continue;
    sources.push({ uri, suite, components: (components ?? "").split(/\s+/).filter((name) => name !== "") });
  }
  return sources;
}

/** Entries for binary packages of a deb822-style file (*.sources). */
export function parseDeb822Sources(text: string): AptSource[] {
  const sources: AptSource[] = [];
  for (const paragraph of paragraphs(text)) {
    const words = (field: string): string[] =>
      (paragraph.get(field) ?? "").split(/\s+/).filter((word) => word !== "");
    if (/^(no|false|off|0)$/i.test(paragraph.get("Enabled") ?? "yes")) continue;
    if (!words("Types").includes("deb")) continue;
    for (const uri of words("URIs")) {
      for (const suite of words("Suites")) sources.push({ uri, suite, components: words("Components") });
    }
  }
  return sources;
}

const SIDE_SUITE = /-(updates|security|backports|proposed-updates|debug)(\/|$)|\/updates$/;

/** The first mirror of the Debian archive itself among an apt configuration's entries. */
export function chooseMirror(sources: readonly AptSource[]): string | undefined {
  const isArchive = (source: AptSource): boolean =>
    source.components.includes("main") && !SIDE_SUITE.test(source.suite) && /^https?:/.test(source.uri)
    && /\/debian\/*$/.test(source.uri);
  return sources.find(isArchive)?.uri.replace(/\/+$/, "");
}
