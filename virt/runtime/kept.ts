// SPDX-License-Identifier: Apache-2.0
// The runtime module from one run to the next: it is the same for all runs of a build, and with the engine's machine code
// for it the interpreter is fast from its first block.

import type { StoredRuntime, TranslationStore } from "../../include/host/translations.ts";
import type { QuickExts } from "../frontend.ts";
import { instantiate, type RuntimeExports } from "./instance.ts";
import { buildRuntimeModule } from "./module.ts";

export interface Runtime {
  readonly exports: RuntimeExports;
  /** Leaves the module to the store. `isEnd`: as for WasmCpu.saveTranslations. */
  readonly save: (isEnd: boolean) => void;
}

/** Makes the runtime out of the store where that has it. */
export function makeRuntime(
  quickExts: QuickExts,
  compile: (bytes: Uint8Array<ArrayBuffer>) => WebAssembly.Module,
  imports: Record<string, unknown>,
  store: TranslationStore | undefined,
): Runtime {
  const { from, bytes, module } = find(store?.runtime()) ?? build(quickExts, compile);
  const exports = instantiate(module, imports);
  return {
    exports,
    save: (isEnd) => {
      if (isEnd || from === undefined) {
        store?.saveRuntime({ bytes, module, functions: Object.values(exports) }, from);
      }
    },
  };
}

interface Found {
  readonly from: StoredRuntime | undefined;
  readonly bytes: Uint8Array<ArrayBuffer> | undefined;
  readonly module: WebAssembly.Module;
}

function find(from: StoredRuntime | undefined): Found | undefined {
  const module = from?.compile();
  return module === undefined ? undefined : { from, bytes: undefined, module };
}

function build(
  quickExts: QuickExts,
  compile: (bytes: Uint8Array<ArrayBuffer>) => WebAssembly.Module,
): Found {
  const bytes = buildRuntimeModule(quickExts);
  return { from: undefined, bytes, module: compile(bytes) };
}
