// SPDX-License-Identifier: Apache-2.0
// First runs of the bundled command line at build time, for the bytecode of what every run needs and for the machine code of the
// runtime's module: without them the first run of a user parses and compiles the whole kernel and the interpreter. They need no image: their root is made here, with one program that
// writes a line and exits.
//
// Nothing depends on them: another engine than that of the build rejects both and makes its own (tools/cli/code-cache.ts,
// virt/host/node/translations.ts).
// Source: System V ABI, chapters 4 and 5 (ELF); syscall(2).

import { spawnSync, type SpawnSyncReturns } from "node:child_process";
import { closeSync, cpSync, existsSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { builtFolder } from "../tools/cli/code-cache.ts";
import { writeErofs } from "../tools/image/erofs-writer.ts";
import { bytesContent, createDirectory, createFile, type DirectoryNode } from "../tools/image/tree.ts";
import { shipRuntime } from "../virt/host/node/translations.ts";

const EHDR_BYTES = 64;
const PHDR_BYTES = 56;
const LOAD_ADDRESS = 0x40_0000;
const CODE_AT = EHDR_BYTES + PHDR_BYTES;
const CHOICE_BYTES = 10;
const PAGE_BYTES = 4096;
export const LINE = "ready\n";

/** write(1, LINE, LINE.length); exit(0). */
const SAY = [
  ...[0xb8, 1, 0, 0, 0], // mov eax, SYS_write
  ...[0xbf, 1, 0, 0, 0], // mov edi, 1
  ...[0x48, 0x8d, 0x35, 16, 0, 0, 0], // lea rsi, [rip + 16]: the line
  ...[0xba, LINE.length, 0, 0, 0], // mov edx, LINE.length
  ...[0x0f, 0x05], // syscall
  ...[0xb8, 60, 0, 0, 0], // mov eax, SYS_exit
  ...[0x31, 0xff], // xor edi, edi
  ...[0x0f, 0x05], // syscall
  ...Buffer.from(LINE),
];

/** Does that on its second page when it has an argument. */
function program(): Uint8Array {
  const bytes = Buffer.alloc(PAGE_BYTES + SAY.length);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]); // 64 bits, little-endian, version 1
  bytes.writeUInt16LE(2, 16); // ET_EXEC
  bytes.writeUInt16LE(62, 18); // EM_X86_64
  bytes.writeUInt32LE(1, 20);
  bytes.writeBigUInt64LE(BigInt(LOAD_ADDRESS + CODE_AT), 24);
  bytes.writeBigUInt64LE(BigInt(EHDR_BYTES), 32);
  bytes.writeUInt16LE(EHDR_BYTES, 52);
  bytes.writeUInt16LE(PHDR_BYTES, 54);
  bytes.writeUInt16LE(1, 56); // one program header
  bytes.writeUInt32LE(1, EHDR_BYTES); // PT_LOAD
  bytes.writeUInt32LE(5, EHDR_BYTES + 4); // PF_R | PF_X
  bytes.writeBigUInt64LE(BigInt(LOAD_ADDRESS), EHDR_BYTES + 16);
  bytes.writeBigUInt64LE(BigInt(bytes.length), EHDR_BYTES + 32);
  bytes.writeBigUInt64LE(BigInt(bytes.length), EHDR_BYTES + 40);
  bytes.writeBigUInt64LE(BigInt(PAGE_BYTES), EHDR_BYTES + 48);
  bytes.set([0x83, 0x3c, 0x24, 1], CODE_AT); // cmp dword [rsp], 1: argc
  bytes.set([0x0f, 0x85], CODE_AT + 4); // jne to the second page
  bytes.writeInt32LE(PAGE_BYTES - (CODE_AT + CHOICE_BYTES), CODE_AT + 6);
  bytes.set(SAY, CODE_AT + CHOICE_BYTES);
  bytes.set(SAY, PAGE_BYTES);
  return bytes;
}

function rootTree(): DirectoryNode {
  const root = createDirectory(0o755, 0);
  for (const name of ["dev", "proc", "run", "sys", "tmp"]) root.children.set(name, createDirectory(0o755, 0));
  root.children.set("ready", createFile(0o755, 0, bytesContent(program())));
  return root;
}

/** A root image whose one program, /ready, says so. */
export function writeReadyImage(path: string): void {
  const file = openSync(path, "w");
  writeErofs(rootTree(), (bytes) => writeSync(file, bytes), {
    buildTime: 0,
    uuid: new Uint8Array(16),
    volumeName: "warm-up",
  });
  closeSync(file);
}

/** Runs /ready of such an image with the bundled command line and a cache directory of its own. */
export function runReady(
  bin: string,
  image: string,
  cache: string,
  words: readonly string[],
): SpawnSyncReturns<string> {
  return spawnSync(process.execPath, [join(bin, "rookery.js"), "run", "--root", image, "/ready", ...words], {
    encoding: "utf8",
    env: { ...process.env, XDG_CACHE_HOME: cache },
  });
}

/** Leaves both in the folder `code` of the bundles' folder. Says on standard error when the run failed. */
export function warmUp(bin: string): void {
  const directory = mkdtempSync(join(tmpdir(), "rookery-warm-up-"));
  try {
    const image = join(directory, "root.img");
    writeReadyImage(image);
    const made = join(directory, "rookery", "code");
    // The second run takes what the first has translated, and translates the rest: its bytecode has the functions for both.
    for (const words of [[], ["again"]]) {
      rmSync(made, { recursive: true, force: true });
      const run = runReady(bin, image, directory, words);
      if (run.stdout !== LINE) process.stderr.write(`no bytecode for the command line: ${run.stderr}\n`);
    }
    if (existsSync(made)) cpSync(made, builtFolder(bin), { recursive: true });
    const translations = join(directory, "rookery", "translations");
    if (existsSync(translations)) shipRuntime(translations, builtFolder(bin));
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
