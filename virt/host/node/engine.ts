// SPDX-License-Identifier: Apache-2.0
// Settings of V8 that programs in WebAssembly and short runs profit from.
//
// V8 keeps code (of modules, of scripts) together with a hash of all its settings and refuses it under others. So
// whatever keeps or loads code does it under the usual settings here, whichever are in force at the time.
// Source: node --v8-options.

import { setFlagsFromString } from "node:v8";

const VERSION = Number.parseInt(process.versions.v8, 10);
/** The branch hints of WebAssembly modules are read; a later engine does that anyhow, or has another name for it. */
const HINTS = "--experimental-wasm-branch-hinting";
const HAS_HINTS_FLAG = VERSION >= 11 && VERSION <= 13;
/** V8 11 allocates registers with less care in functions of more than 8,192 values: the interpreter and large regions. */
const CARE = "--no-turbo-use-mid-tier-regalloc-for-huge-functions";
const HAS_CARE_FLAG = VERSION === 11;
/**
 * V8 11 looks whether to optimise a function after 66 KB of its bytecode were run, and most of what it optimises in a run of seconds is not run often enough to be
 * worth that: two rounds of tar took 0.67 s in the kernel and 0.6 s in the compiler's threads; with eight times the patience 0.79 and 0.22.
 * Later engines count otherwise and have a compiler in between.
 */
const IS_HASTY = VERSION === 11;
const PATIENT = "--interrupt-budget=540000";
const USUAL = "--interrupt-budget=67584";

/**
 * Otherwise V8 forgets the bytecode of functions that have not run for some collections, such as the one that a bundle is: what a long run wrote down for
 * the next ones lacked it, and each of them compiled it anew, 60 ms.
 */
const KEEP_BYTECODE = "--no-flush-bytecode";

/**
 * A collection of all garbage comes when four times as much is alive as after the one before. V8 waits for less while a program is young, and reads all that the kernel
 * knows of files and code to find that nearly all of it is still in use: 40 ms of its threads in two rounds of tar.
 */
const RARE_COLLECTIONS = "--heap-growing-percent=300";

/** Settings are the process's, and so is what is known of them: the command line is two bundles with a copy of this each. */
interface Settings {
  isTuned: boolean;
  isPatient: boolean;
}
const KEY = Symbol.for("rookery.engine");
const shared = globalThis as { [KEY]?: Settings };
const settings: Settings = (shared[KEY] ??= { isTuned: false, isPatient: false });

/** Settings for good; call it before code is loaded that was kept. */
export function tuneEngine(): void {
  if (settings.isTuned) return;
  settings.isTuned = true;
  if (HAS_HINTS_FLAG) setFlagsFromString(HINTS);
  if (HAS_CARE_FLAG) setFlagsFromString(CARE);
  setFlagsFromString(KEEP_BYTECODE);
  setFlagsFromString(RARE_COLLECTIONS);
}

/** Whether functions are to wait long before they are optimised. */
export function setPatience(patient: boolean): void {
  if (!IS_HASTY || patient === settings.isPatient) return;
  settings.isPatient = patient;
  setFlagsFromString(patient ? PATIENT : USUAL);
}

/** Under these a module is compiled as a whole when it is made, by the optimising compiler, with as many threads as the engine has. */
const WHOLE = ["--no-wasm-dynamic-tiering", "--no-wasm-lazy-compilation", "--no-liftoff"];
/** The usual ones again. Each may change one of those before it, so the order is the other way round. */
const LAZY = ["--liftoff", "--wasm-lazy-compilation", "--wasm-dynamic-tiering"];
/** Later engines may call them otherwise. */
const KNOWS_WHOLE = VERSION >= 11 && VERSION <= 13;

/** Makes a module that is optimised as a whole; undefined where the engine cannot be asked for one. */
export function optimisedWhole(make: () => WebAssembly.Module): WebAssembly.Module | undefined {
  if (!KNOWS_WHOLE) return undefined;
  WHOLE.forEach((setting) => setFlagsFromString(setting));
  try {
    return make();
  } finally {
    LAZY.forEach((setting) => setFlagsFromString(setting));
  }
}

/** Does something with code that is kept, under the settings that all kept code is made for. */
export function underUsualSettings<T>(act: () => T): T {
  const patient = settings.isPatient;
  tuneEngine();
  setPatience(false);
  try {
    return act();
  } finally {
    setPatience(patient);
  }
}
