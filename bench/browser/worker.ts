// SPDX-License-Identifier: Apache-2.0
// Runs a workload in a Worker: `{ image, programs, argv }` comes as a message, output goes back as text, the exit code
// last.

import { httpDisk, Machine, memoryDirectory, opfsTranslations } from "../../virt/host/browser/index.ts";

export interface WorkloadRequest {
  /** URL of the root image. */
  readonly image: string;
  /** Names in /bench to the URLs of the programs. */
  readonly programs: Readonly<Record<string, string>>;
  readonly argv: readonly string[];
}

async function bytesAt(url: string): Promise<Uint8Array> {
  return new Uint8Array(await (await fetch(url)).arrayBuffer());
}

async function run(request: WorkloadRequest): Promise<number> {
  const files = await Promise.all(
    Object.entries(request.programs).map(async ([name, url]) => [name, await bytesAt(url)] as const),
  );
  using translations = await opfsTranslations();
  await using machine = await Machine.boot({
    root: httpDisk(request.image),
    memory: "2GiB",
    translations,
    mounts: { "/bench": memoryDirectory(Object.fromEntries(files), { mode: "ro" }) },
  });
  const [command = "", ...args] = request.argv;
  const child = machine.spawn(command, args);
  void child.stderr.pipeThrough(new TextDecoderStream()).pipeTo(posted());
  await child.stdout.pipeThrough(new TextDecoderStream()).pipeTo(posted());
  return (await child.exited).exitCode;
}

function posted(): WritableStream<string> {
  return new WritableStream({ write: (text) => postMessage(text) });
}

onmessage = ({ data }: MessageEvent<WorkloadRequest>): void => {
  run(data).then(
    (exitCode) => postMessage(exitCode),
    (error: unknown) => postMessage(`FAILED ${String(error)}\n`),
  );
};
