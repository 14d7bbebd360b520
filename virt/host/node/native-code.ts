// SPDX-License-Identifier: Apache-2.0
// The machine code that V8 has made of a WebAssembly module, to be kept and used again.
//
// V8 has these as functions for its own tests; Node lets a program reach them by a flag. They check what they are given
// against the engine's version, flags and processor. Where they are missing or behave otherwise, there is no native
// code, and modules are compiled as usual: nothing else depends on it.

import { setFlagsFromString } from "node:v8";
import { runInThisContext } from "node:vm";

import { optimisedWhole, tuneEngine, underUsualSettings } from "./engine.ts";

export interface NativeCode {
  /** Code of the functions that are optimised. The engine aborts when there is none: `trifle`, one of them, becomes it. */
  take(module: WebAssembly.Module, trifle: unknown): Uint8Array<ArrayBuffer>;
  /** Undefined when the engine does not accept it. */
  give(code: Uint8Array<ArrayBuffer>, bytes: Uint8Array<ArrayBuffer>): WebAssembly.Module | undefined;
  /** Optimises exported functions, one after the other. */
  optimise(functions: readonly unknown[]): void;
  /** A module all of whose functions are optimised, by several threads; undefined where that cannot be had. Throws what a module throws. */
  compileOptimised(bytes: Uint8Array<ArrayBuffer>): WebAssembly.Module | undefined;
}

/** Undefined where the engine has nothing of the kind. */
export function nativeCode(): NativeCode | undefined {
  tuneEngine();
  try {
    const take = engineFunction("module", "%SerializeWasmModule(module)");
    const give = engineFunction("code, bytes", "%DeserializeWasmModule(code, bytes)");
    const optimise = engineFunction("target", "%WasmTierUpFunction(target)");
    const native: NativeCode = {
      take(module, trifle) {
        optimise(trifle);
        const code = underUsualSettings(() => take(module));
        return code instanceof ArrayBuffer ? new Uint8Array(code) : new Uint8Array();
      },
      give(code, bytes) {
        const module = underUsualSettings(() => give(code.buffer, bytes));
        return module instanceof WebAssembly.Module ? module : undefined;
      },
      optimise(functions) {
        for (const target of functions) optimise(target);
      },
      compileOptimised: (bytes) => optimisedWhole(() => new WebAssembly.Module(bytes)),
    };
    return works(native) ? native : undefined;
  } catch {
    return undefined;
  }
}

/**
 * A function whose body names one of the engine's own, which it can only be compiled with while their syntax is allowed.
 * An engine forgets the bytecode of functions that are not called for a while: then it is compiled anew.
 */
function engineFunction(parameters: string, body: string): (...values: unknown[]) => unknown {
  let known = compileWithNatives(parameters, body);
  return (...values) => {
    try {
      return known(...values);
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      known = compileWithNatives(parameters, body);
      return known(...values);
    }
  };
}

/** The parentheses make the engine compile the function at once, and not when it is called first. */
function compileWithNatives(parameters: string, body: string): (...values: unknown[]) => unknown {
  setFlagsFromString("--allow-natives-syntax");
  try {
    // The text is one of the three above, and evaluates to a function.
    return runInThisContext(`(function (${parameters}) { return ${body}; })`) as (
      ...values: unknown[]
    ) => unknown;
  } finally {
    setFlagsFromString("--no-allow-natives-syntax");
  }
}

/** (module (func (export "f"))) */
const TRIAL = Uint8Array.of(
  ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
  ...[0x01, 0x04, 0x01, 0x60, 0x00, 0x00],
  ...[0x03, 0x02, 0x01, 0x00],
  ...[0x07, 0x05, 0x01, 0x01, 0x66, 0x00, 0x00],
  ...[0x0a, 0x04, 0x01, 0x02, 0x00, 0x0b],
);

/** The code of a small module goes there and back. */
function works(native: NativeCode): boolean {
  const module = new WebAssembly.Module(TRIAL);
  const code = native.take(module, new WebAssembly.Instance(module).exports["f"]);
  return code.length > 0 && native.give(code, TRIAL) !== undefined;
}
