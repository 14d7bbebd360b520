// SPDX-License-Identifier: Apache-2.0
// Makes small ar, tar and .deb files in memory for tests. Independent of the readers in lib/.

import { gzipSync } from "node:zlib";

export interface TarEntry {
  readonly path: string;
  readonly type?: string;
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly mtime?: number;
  readonly data?: Uint8Array | string;
  readonly link?: string;
  readonly major?: number;
  readonly minor?: number;
  /** Records of a pax header put before the entry. */
  readonly pax?: Readonly<Record<string, Uint8Array | string>>;
}

function toBytes(data: Uint8Array | string): Buffer {
  return typeof data === "string" ? Buffer.from(data, "latin1") : Buffer.from(data);
}

function octal(value: number, width: number): string {
  return `${value.toString(8).padStart(width - 1, "0")}\0`;
}

function header(entry: TarEntry, size: number): Buffer {
  const block = Buffer.alloc(512);
  block.write(entry.path.slice(0, 100), 0, "latin1");
  block.write(octal(entry.mode ?? 0o644, 8), 100, "latin1");
  block.write(octal(entry.uid ?? 0, 8), 108, "latin1");
  block.write(octal(entry.gid ?? 0, 8), 116, "latin1");
  block.write(octal(size, 12), 124, "latin1");
  block.write(octal(entry.mtime ?? 0, 12), 136, "latin1");
  block.write("        ", 148, "latin1");
  block.write(entry.type ?? "0", 156, "latin1");
  block.write(entry.link ?? "", 157, "latin1");
  block.write("ustar\x0000", 257, "latin1");
  block.write(octal(entry.major ?? 0, 8), 329, "latin1");
  block.write(octal(entry.minor ?? 0, 8), 337, "latin1");
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return block;
}

function padded(data: Buffer): Buffer {
  return Buffer.concat([data, Buffer.alloc(-data.length & 511)]);
}

function paxRecord(key: string, value: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(` ${key}=`, "latin1"), value, Buffer.from("\n")]);
  let length = body.length;
  while (String(length).length + body.length !== length) length = String(length).length + body.length;
  return Buffer.concat([Buffer.from(String(length)), body]);
}

export function makeTar(entries: readonly TarEntry[]): Buffer {
  const parts: Buffer[] = [];
  for (const entry of entries) {
    if (entry.pax !== undefined) {
      const records = Buffer.concat(
        Object.entries(entry.pax).map(([key, value]) => paxRecord(key, toBytes(value))),
      );
      parts.push(header({ path: "pax", type: "x" }, records.length), padded(records));
    }
    const data = toBytes(entry.data ?? "");
    parts.push(header(entry, data.length), padded(data));
  }
  return Buffer.concat([...parts, Buffer.alloc(1024)]);
}

export function makeAr(members: readonly { readonly name: string; readonly bytes: Uint8Array }[]): Buffer {
  const parts = [Buffer.from("!<arch>\n")];
  for (const { name, bytes } of members) {
    const head = `${name.padEnd(16)}${"0".padEnd(12)}${"0".padEnd(6)}${"0".padEnd(6)}${"100644".padEnd(8)}`;
    parts.push(Buffer.from(`${head}${String(bytes.length).padEnd(10)}\`\n`), Buffer.from(bytes));
    if (bytes.length % 2 === 1) parts.push(Buffer.from("\n"));
  }
  return Buffer.concat(parts);
}

export interface DebRecipe {
  readonly control: string;
  /** Control files besides "control". */
  readonly scripts?: Readonly<Record<string, string>>;
  readonly data: readonly TarEntry[];
}

export function makeDeb({ control, scripts, data }: DebRecipe): Buffer {
  const files: TarEntry[] = [{ path: "./", type: "5", mode: 0o755 }, { path: "./control", data: control }];
  for (const [name, text] of Object.entries(scripts ?? {})) {
    files.push({ path: `./${name}`, data: text, mode: text.startsWith("#!") ? 0o755 : 0o644 });
  }
  return makeAr([
    { name: "debian-binary", bytes: Buffer.from("2.0\n") },
    { name: "control.tar.gz", bytes: gzipSync(makeTar(files)) },
    { name: "data.tar.gz", bytes: gzipSync(makeTar(data)) },
  ]);
}
