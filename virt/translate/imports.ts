// SPDX-License-Identifier: Apache-2.0
// The runtime's functions as a module of regions imports them: each when its code first names it.

import { quickName, type RuntimeFunctions, signatureOf } from "../runtime/module.ts";
import type { WasmModule } from "../wasm/encoder.ts";
import { REGION_PARAMS, REGION_RESULTS } from "./frame.ts";

/** `hasTable`: the module has imported the table of regions. */
export function importOnUse(module: WasmModule, hasTailCalls: boolean, hasTable: boolean): RuntimeFunctions {
  const known = new Map<string, number>();
  const index = (name: string): number => {
    let at = known.get(name);
    if (at === undefined) {
      const signature = signatureOf(name);
      if (signature === undefined) throw new Error(`runtime has no ${name}`);
      at = module.importFunction(name, signature.params, signature.results);
      known.set(name, at);
    }
    return at;
  };
  const named = (prefix: string): ReadonlyMap<string, number> =>
    new ImportMap((name: string) => index(prefix + name));
  return {
    get ext(): number {
      return index("ext");
    },
    get fill(): number {
      return index("fill");
    },
    get loadSlow(): number {
      return index("loadSlow");
    },
    get reach(): number {
      return index("reach");
    },
    get reachStack(): number {
      return index("reachStack");
    },
    get reachWindow(): number {
      return index("reachWindow");
    },
    get storeSlow(): number {
      return index("storeSlow");
    },
    get storeSlow128(): number {
      return index("storeSlow128");
    },
    get probeSlow(): number {
      return index("probeSlow");
    },
    get flagsOf(): number {
      return index("flagsOf");
    },
    get flags(): number {
      return index("flags");
    },
    get condOf(): number {
      return index("condOf");
    },
    get mulHiU(): number {
      return index("mulHiU");
    },
    get mulHiS(): number {
      return index("mulHiS");
    },
    get goOn(): number {
      return index("goOn");
    },
    get enter(): number {
      return hasTable ? -1 : index("enter");
    },
    get near(): number {
      return index("near");
    },
    get link(): number {
      return index("link");
    },
    get linkPlace(): number {
      return index("linkPlace");
    },
    flush: -1,
    flushWrites: -1,
    quick: new ImportMap((id: number) => index(quickName(id))),
    helpers: named("helper_"),
    floats: named(""),
    regionType: module.typeIndex(REGION_PARAMS, REGION_RESULTS),
    hasTailCalls,
  };
}

/** Makes up an entry for every name that is asked for. */
class ImportMap<Name> extends Map<Name, number> {
  readonly #index: (name: Name) => number;

  constructor(index: (name: Name) => number) {
    super();
    this.#index = index;
  }

  override get(name: Name): number {
    return this.#index(name);
  }
}
