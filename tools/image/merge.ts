// SPDX-License-Identifier: Apache-2.0
// Lays the upper layer of an overlay, given as a tar archive, onto a tree. Source: Linux's overlayfs.rst.

import { TarParser } from "../../lib/tar.ts";
import type { TarHeader } from "../../lib/tar.ts";
import type { Spool } from "./spool.ts";
import type { DirectoryNode, Tree, TreeNode } from "./tree.ts";
import { attributesOf } from "./unpack.ts";

const OPAQUE = "trusted.overlay.opaque";
const OVERLAY = "trusted.overlay.";

/** Applies all `changes` to `tree`. New contents go to `spool`, times after `mtimeMax` become `mtimeMax`. */
export async function mergeLayer(
  tree: Tree,
  changes: AsyncIterable<Uint8Array>,
  spool: Spool,
  mtimeMax: number,
): Promise<void> {
  let header: TarHeader | undefined;
  let start = 0;
  const parser = new TarParser({
    begin(next) {
      header = next;
      start = spool.position;
    },
    data(bytes) {
      spool.append(bytes);
    },
    end() {
      if (header !== undefined) apply(tree, header, spool, start, mtimeMax);
      header = undefined;
    },
  });
  for await (const piece of changes) parser.push(piece);
  parser.finish();
}

function apply(tree: Tree, header: TarHeader, spool: Spool, start: number, mtimeMax: number): void {
  const path = header.path.replace(/^(?:\.?\/+)+/, "").replace(/^\.$/, "");
  if (header.type === "char" && header.major === 0 && header.minor === 0) {
    tree.remove(path);
    return;
  }
  const common = attributesOf(header, mtimeMax);
  const isOpaque = common.xattrs.get(OPAQUE)?.[0] === 0x79;
  for (const name of common.xattrs.keys()) if (name.startsWith(OVERLAY)) common.xattrs.delete(name);
  if (header.type === "directory") {
    applyDirectory(tree, path, { ...common, kind: "directory", children: new Map() }, isOpaque);
    return;
  }
  tree.put(
    path,
    ((): TreeNode => {
      switch (header.type) {
        case "file":
          return { ...common, kind: "file", content: spool.content(start, header.sizeBytes) };
        case "symlink":
          return { ...common, kind: "symlink", target: header.linkPath };
        case "link":
          return linked(tree, header);
        default:
          return { ...common, kind: "special", major: header.major, minor: header.minor };
      }
    })(),
  );
}

function applyDirectory(tree: Tree, path: string, directory: DirectoryNode, isOpaque: boolean): void {
  const existing = path === "" ? tree.root : tree.lookup(path);
  if (existing?.kind !== "directory") {
    tree.put(path, directory);
    return;
  }
  const { mode, uid, gid, mtime, mtimeNs, xattrs } = directory;
  Object.assign(existing, { mode, uid, gid, mtime, mtimeNs, xattrs });
  if (isOpaque) existing.children.clear();
}

function linked(tree: Tree, header: TarHeader): TreeNode {
  const target = tree.lookup(header.linkPath);
  if (target === undefined || target.kind === "directory") throw new Error(`bad hard link ${header.path}`);
  return target;
}
