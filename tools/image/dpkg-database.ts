// SPDX-License-Identifier: Apache-2.0
// The database of dpkg under /var/lib/dpkg, as it stands once packages are unpacked and none is configured.
// Source: dpkg(1) "FILES", deb-triggers(5), the status file's format in dpkg-query(1) and deb-control(5).

import { Paragraph } from "../../lib/deb822.ts";
import type { ControlFile } from "./deb.ts";
import type { Package } from "./resolve.ts";
import { bytesContent, createDirectory, createFile } from "./tree.ts";
import type { Tree } from "./tree.ts";

export interface UnpackedPackage {
  readonly chosen: Package;
  /** The control paragraph of the package itself. */
  readonly control: Paragraph;
  readonly files: readonly ControlFile[];
  /** Absolute paths in the order of the archive, the root as "/.". */
  readonly paths: string[];
  /** What the status file says of each conffile, by path: its MD5 sum, or "newconffile" and flags. */
  readonly conffiles: Map<string, string>;
}

/** The order of fields in which dpkg writes its status file; others follow. */
const FIELD_ORDER = [
  "Package",
  "Essential",
  "Protected",
  "Status",
  "Priority",
  "Section",
  "Installed-Size",
  "Maintainer",
  "Architecture",
  "Multi-Arch",
  "Source",
  "Version",
  "Replaces",
  "Provides",
  "Depends",
  "Pre-Depends",
  "Recommends",
  "Suggests",
  "Breaks",
  "Conflicts",
  "Enhances",
  "Conffiles",
  "Description",
];

const ROOT = "var/lib/dpkg";

export class DpkgDatabase {
  readonly #packages: UnpackedPackage[] = [];

  add(unpacked: UnpackedPackage): void {
    this.#packages.push(unpacked);
  }

  get packages(): readonly UnpackedPackage[] {
    return this.#packages;
  }

  write(tree: Tree, mtime: number): void {
    const put = (path: string, text: string): void => {
      tree.put(`${ROOT}/${path}`, createFile(0o644, mtime, bytesContent(Buffer.from(text, "latin1"))));
    };
    for (const directory of ["alternatives", "info", "parts", "triggers", "updates"]) {
      if (tree.lookup(`${ROOT}/${directory}`) === undefined) {
        tree.put(`${ROOT}/${directory}`, createDirectory(0o755, mtime));
      }
    }
    const packages = [...this.#packages].sort((a, b) => (a.chosen.name < b.chosen.name ? -1 : 1));
    put("status", packages.map((unpacked) => `${statusOf(unpacked)}\n`).join(""));
    put("available", "");
    put("diversions", "");
    put("info/format", "1\n");
    for (const unpacked of packages) {
      const base = infoName(unpacked);
      put(`info/${base}.list`, unpacked.paths.map((path) => `${path}\n`).join(""));
      for (const file of unpacked.files) {
        if (file.name === "control") continue;
        const fileTime = Math.min(file.mtime, mtime);
        tree.put(
          `${ROOT}/info/${base}.${file.name}`,
          createFile(file.mode, fileTime, bytesContent(file.bytes)),
        );
      }
    }
    for (const [name, lines] of triggerFiles(packages)) {
      put(
        `triggers/${name}`,
        lines.map((line) => `${line}\n`).join(""),
      );
    }
    put("triggers/Unincorp", "");
  }
}

/** The name of a package in the info directory: with its architecture when several may be installed at once. */
function infoName({ control }: UnpackedPackage): string {
  const name = control.get("Package") ?? "";
  return control.get("Multi-Arch") === "same" ? `${name}:${control.get("Architecture") ?? ""}` : name;
}

function statusOf(unpacked: UnpackedPackage): string {
  const { control, conffiles } = unpacked;
  const status = new Paragraph();
  const sums = [...conffiles].map(([path, state]) => `\n ${path} ${state}`).join("");
  const values = new Map<string, string | undefined>([
    ["Status", "install ok unpacked"],
    ["Conffiles", sums === "" ? undefined : sums],
    ["Priority", control.get("Priority") ?? unpacked.chosen.priority],
  ]);
  for (const name of FIELD_ORDER) {
    const value = values.has(name) ? values.get(name) : control.raw(name);
    if (value !== undefined) status.set(name, value);
  }
  for (const { name, value } of control.fields()) if (status.get(name) === undefined) status.set(name, value);
  return status.toString();
}

/** Who waits for which trigger: one file for all paths, one per named trigger. */
function triggerFiles(packages: readonly UnpackedPackage[]): Map<string, string[]> {
  const files = new Map<string, string[]>([["File", []]]);
  for (const unpacked of packages) {
    const list = unpacked.files.find((file) => file.name === "triggers");
    const text = list === undefined ? "" : Buffer.from(list.bytes).toString("latin1");
    for (const line of text.split("\n")) {
      const match = /^\s*interest(-await|-noawait)?\s+(\S+)/.exec(line.replace(/#.*/, ""));
      const trigger = match?.[2];
      if (match === null || trigger === undefined) continue;
      const waiter = `${infoName(unpacked)}${match[1] === "-noawait" ? "/noawait" : ""}`;
      const isPath = trigger.startsWith("/");
      const name = isPath ? "File" : trigger;
      const lines = files.get(name) ?? [];
      lines.push(isPath ? `${trigger} ${waiter}` : waiter);
      files.set(name, lines);
    }
  }
  return files;
}
