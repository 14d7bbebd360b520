// SPDX-License-Identifier: Apache-2.0
// The runtime module: made once per machine, it holds the TLB's slow half, the helpers, the interpreter and
// the dispatch loop. Regions import its functions.

import { JUMP_CACHE } from "../layout.ts";
import { emitInterpreter } from "../interp/generate.ts";
import type { Handlers } from "../interp/bytecode.ts";
import { emitRareInterpreter } from "../interp/rare.ts";
import { Assembler } from "../wasm/assembler.ts";
import { WasmModule } from "../wasm/encoder.ts";
import { I32, I64, V128, W } from "../wasm/opcodes.ts";
import { HELPERS, OPS } from "../ir/ops.ts";
import { WASM_TYPES } from "./access.ts";
import { addArithFunctions, type ArithFunctions } from "./arith.ts";
import { addFlagFunctions, type FlagFunctions } from "./flags.ts";
import { pushJumpCacheEntry } from "./inline.ts";
import {
  COUNT_DISPATCHES,
  COUNT_SLOW,
  GROW_REGION,
  REGION_EXITS,
  REGION_EXITS_BYTES,
  SLOW_CACHE,
  SLOW_CACHE_ENTRIES,
  stateAddress,
  STATUS_GROW,
  STATUS_MISS,
  STATUS_SLOW,
  STATUS_SLOW_OFTEN,
} from "./status.ts";
import { addTlbFunctions, type TlbFunctions } from "./tlb.ts";

/** Function indexes by name, within the runtime module or as a region imports them. */
export interface RuntimeFunctions extends TlbFunctions, FlagFunctions, ArithFunctions {
  /** The import: (ext number) -> TRAP_* or 0. */
  readonly ext: number;
}

export const MEMORY_PAGES_MAX = 65536;

/** What the instance exports. */
export interface RuntimeExports {
  /** Runs until a status other than STATUS_CONTINUE. With 1 the first block is taken from the slow cache. */
  readonly dispatch: (slow: number) => number;
  /** Runs the block whose first record is given. Table index 0. */
  readonly interpret: (record: number) => number;
  readonly flushTlb: () => void;
  readonly flushTlbWrites: () => void;
  readonly fillTlb: (va: bigint, access: number) => number;
}

/** The instance whose exports all the machine's code shares. */
export function makeRuntime(
  handlers: Handlers,
  compile: (bytes: Uint8Array<ArrayBuffer>) => WebAssembly.Module,
  imports: Record<string, unknown>,
): RuntimeExports {
  const instance = new WebAssembly.Instance(compile(buildRuntimeModule(handlers)), { m: imports });
  // The module is generated right here with these exports.
  return instance.exports as unknown as RuntimeExports;
}

export function buildRuntimeModule(handlers: Handlers): Uint8Array<ArrayBuffer> {
  const module = new WasmModule();
  module.importMemory("memory", 1, MEMORY_PAGES_MAX);
  module.importTable("table");
  const ext = module.importFunction("ext", [I32], [I32]);
  const tlb = addTlbFunctions(module);
  const flags = addFlagFunctions(module);
  const arith = addArithFunctions(module, flags.flagsOf);
  const runtime: RuntimeFunctions = { ext, ...tlb, ...flags, ...arith };
  const rare = module.add(emitRareInterpreter(handlers, runtime));
  const interpret = module.add(emitInterpreter(handlers, runtime, rare));
  const dispatch = module.add(emitDispatch(module.typeIndex([I32], [I32]), interpret));
  module.exportFunction("dispatch", dispatch);
  module.exportFunction("interpret", interpret);
  module.exportFunction("flushTlb", tlb.flush);
  module.exportFunction("flushTlbWrites", tlb.flushWrites);
  for (const [name, index] of regionImports(runtime)) module.exportFunction(name, index);
  return module.finish();
}

interface Signature {
  readonly params: readonly number[];
  readonly results: readonly number[];
}

/** Types of what regions import, by name. */
export const runtimeSignatures: ReadonlyMap<string, Signature> = new Map<string, Signature>([
  ["ext", { params: [I32], results: [I32] }],
  ["fill", { params: [I64, I32], results: [I32] }],
  ["loadSlow", { params: [I64, I32], results: [I32] }],
  ["storeSlow", { params: [I64, I64, I32], results: [I32] }],
  ["storeSlow128", { params: [I64, V128], results: [I32] }],
  ["probeSlow", { params: [I64, I32], results: [I32] }],
  ["flagsOf", { params: [I32, I64, I64], results: [I32] }],
  ["flags", { params: [], results: [I32] }],
  ["condOf", { params: [I32, I32], results: [I32] }],
  ["mulHiU", { params: [I64, I64], results: [I64] }],
  ["mulHiS", { params: [I64, I64], results: [I64] }],
  ...HELPERS.map((helper): [string, Signature] => [
    `helper_${helper.name}`,
    {
      params: [...helper.operands].map((letter) => WASM_TYPES[letter]!),
      results: [WASM_TYPES[helper.result]!],
    },
  ]),
  ...OPS.filter((info) => info.key.includes("_nan")).map((info): [string, Signature] => [
    info.key,
    { params: [...info.operands].map((letter) => WASM_TYPES[letter]!), results: [WASM_TYPES[info.result]!] },
  ]),
]);

/** What regions import from the runtime, by name. `ext` they import from TypeScript. */
export function regionImports(runtime: RuntimeFunctions): Map<string, number> {
  return new Map([
    ["fill", runtime.fill],
    ["loadSlow", runtime.loadSlow],
    ["storeSlow", runtime.storeSlow],
    ["storeSlow128", runtime.storeSlow128],
    ["probeSlow", runtime.probeSlow],
    ["flagsOf", runtime.flagsOf],
    ["flags", runtime.flags],
    ["condOf", runtime.condOf],
    ["mulHiU", runtime.mulHiU],
    ["mulHiS", runtime.mulHiS],
    ...[...runtime.helpers].map(([name, index]): [string, number] => [`helper_${name}`, index]),
    ...runtime.nans,
  ]);
}

/** (slow): with 1 the first block is looked up in the slow cache, so that the interpreter makes progress. */
function emitDispatch(entryType: number, interpret: number): Assembler {
  const f = new Assembler([I32], [I32]);
  const pc = f.local(I64);
  const entry = f.local(I32);
  const status = f.local(I32);
  const index = f.local(I32);
  const before = f.local(I32); // table index of what was left last, 0 when that was the interpreter
  const again = f.loop();
  const slowMiss = f.block();
  const miss = f.block();
  f.i32(stateAddress("pc"));
  f.memory(W.i64_load, 0);
  f.tee(pc);
  f.i64(47);
  f.op(W.i64_shr_u);
  f.op(W.i64_eqz);
  f.op(W.i32_eqz);
  f.brIf(miss);
  f.get(0);
  f.if_();
  // key of the slow cache: the same, with fewer entries
  pushJumpCacheEntry(f, () => f.get(pc));
  f.i32((SLOW_CACHE_ENTRIES - 1) << 4);
  f.op(W.i32_and);
  f.tee(entry);
  f.memory(W.i64_load, SLOW_CACHE);
  pushKey(f, pc);
  f.op(W.i64_ne);
  f.brIf(slowMiss);
  f.get(entry);
  f.memory(W.i32_load, SLOW_CACHE + 8);
  f.call(interpret);
  f.set(status);
  f.i32(0);
  f.set(0);
  f.i32(0);
  f.set(before);
  f.else_();
  pushJumpCacheEntry(f, () => f.get(pc));
  f.tee(entry);
  f.memory(W.i64_load, JUMP_CACHE);
  pushKey(f, pc);
  f.op(W.i64_ne);
  f.brIf(miss);
  f.get(entry);
  f.memory(W.i32_load, JUMP_CACHE + 8);
  f.set(index);
  emitExitCount(f, before, pc);
  f.get(index);
  f.set(before);
  f.get(entry);
  f.memory(W.i32_load, JUMP_CACHE + 12);
  f.get(index);
  f.callIndirect(entryType);
  f.set(status);
  f.end();
  f.get(status);
  f.op(W.i32_eqz);
  f.brIf(again);
  f.get(status);
  f.i32(STATUS_SLOW);
  f.op(W.i32_eq);
  f.if_();
  f.i32(COUNT_SLOW);
  f.i32(COUNT_SLOW);
  f.memory(W.i32_load, 0);
  f.i32(1);
  f.op(W.i32_add);
  f.memory(W.i32_store, 0);
  f.i32(1);
  f.set(0);
  f.get(index);
  f.i32(REGION_EXITS_BYTES);
  f.op(W.i32_mul);
  f.tee(entry);
  f.get(entry);
  f.memory(W.i32_load, REGION_EXITS + 4);
  f.i32(1);
  f.op(W.i32_sub);
  f.tee(status);
  f.memory(W.i32_store, REGION_EXITS + 4);
  f.get(status);
  f.brIf(again);
  f.i32(GROW_REGION);
  f.get(index);
  f.memory(W.i32_store, 0);
  f.i32(STATUS_SLOW_OFTEN);
  f.return_();
  f.end();
  f.get(status);
  f.return_();
  f.end();
  f.i32(STATUS_MISS);
  f.return_();
  f.end();
  f.i32(STATUS_SLOW);
  f.return_();
  f.end();
  f.op(W.unreachable);
  return f;
}

/** A region was left for other code: notes where it went, and asks for growth when that has happened often. */
function emitExitCount(f: Assembler, before: number, pc: number): void {
  const increment = (address: number): void => {
    f.i32(address);
    f.i32(address);
    f.memory(W.i32_load, 0);
    f.i32(1);
    f.op(W.i32_add);
    f.memory(W.i32_store, 0);
  };
  const slot = f.local(I32);
  const left = f.local(I32);
  increment(COUNT_DISPATCHES);
  f.get(before);
  f.if_();
  f.get(before);
  f.i32(REGION_EXITS_BYTES);
  f.op(W.i32_mul);
  f.tee(slot);
  f.get(pc);
  f.i64(4);
  f.op(W.i64_shr_u);
  f.op(W.i32_wrap_i64);
  f.i32(7);
  f.op(W.i32_and);
  f.i32(3);
  f.op(W.i32_shl);
  f.op(W.i32_add);
  f.get(pc);
  f.memory(W.i64_store, REGION_EXITS + 64);
  f.get(slot);
  f.get(slot);
  f.memory(W.i32_load, REGION_EXITS);
  f.i32(1);
  f.op(W.i32_sub);
  f.tee(left);
  f.memory(W.i32_store, REGION_EXITS);
  f.get(left);
  f.op(W.i32_eqz);
  f.if_();
  f.i32(GROW_REGION);
  f.get(before);
  f.memory(W.i32_store, 0);
  f.i32(STATUS_GROW);
  f.return_();
  f.end();
  f.end();
}

/** pc xor the tag of the address space. */
function pushKey(f: Assembler, pc: number): void {
  f.get(pc);
  f.i32(stateAddress("addressSpaceTag"));
  f.memory(W.i64_load, 0);
  f.op(W.i64_xor);
}
