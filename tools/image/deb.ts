// SPDX-License-Identifier: Apache-2.0
// Reads binary packages: the control files and the stream of the file system part. Source: deb(5), deb-control(5).

import { readAr } from "../../lib/ar.ts";
import { paragraphs } from "../../lib/deb822.ts";
import type { Paragraph } from "../../lib/deb822.ts";
import { TarParser } from "../../lib/tar.ts";
import type { TarHeader, TarVisitor } from "../../lib/tar.ts";
import { compressionOf, decompress } from "./decompress.ts";

export interface ControlFile {
  /** As in the archive, without "./": "control", "postinst", … */
  readonly name: string;
  readonly mode: number;
  readonly mtime: number;
  readonly bytes: Uint8Array;
}

export interface Deb {
  readonly control: Paragraph;
  readonly files: readonly ControlFile[];
  /** Runs the file system part past `visitor`. */
  unpack(visitor: TarVisitor): Promise<void>;
}

async function readTar(name: string, bytes: Uint8Array, visitor: TarVisitor): Promise<void> {
  const compression = compressionOf(name);
  if (compression === undefined) throw new Error(`member ${name} has a compression that is not known`);
  const parser = new TarParser(visitor);
  await decompress(bytes, compression, (piece) => {
    parser.push(piece);
  });
  parser.finish();
}

/** Opens a package of format 2.x. Throws an Error that says what is wrong with it. */
export async function openDeb(archive: Uint8Array): Promise<Deb> {
  const members = readAr(archive);
  const [version] = members;
  if (version?.name !== "debian-binary" || !Buffer.from(version.bytes).toString("latin1").startsWith("2.")) {
    throw new Error("not a Debian package of format 2");
  }
  const controlTar = members.find((member) => member.name.startsWith("control.tar"));
  const dataTar = members.find((member) => member.name.startsWith("data.tar"));
  if (controlTar === undefined || dataTar === undefined) {
    throw new Error("control.tar or data.tar is missing");
  }
  const files = await readControl(controlTar.name, controlTar.bytes);
  const text = files.find((file) => file.name === "control");
  const [control] = text === undefined ? [] : [...paragraphs(Buffer.from(text.bytes).toString("latin1"))];
  if (control === undefined) throw new Error("the package has no control file");
  return { control, files, unpack: (visitor) => readTar(dataTar.name, dataTar.bytes, visitor) };
}

async function readControl(name: string, bytes: Uint8Array): Promise<ControlFile[]> {
  const files: ControlFile[] = [];
  let current: { header: TarHeader; pieces: Uint8Array[] } | undefined;
  await readTar(name, bytes, {
    begin(header) {
      current = header.type === "file" ? { header, pieces: [] } : undefined;
    },
    data(piece) {
      current?.pieces.push(piece.slice());
    },
    end() {
      if (current === undefined) return;
      const { path, mode, mtime } = current.header;
      files.push({ name: path.replace(/^\.\//, ""), mode, mtime, bytes: Buffer.concat(current.pieces) });
    },
  });
  return files;
}
