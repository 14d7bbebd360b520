// SPDX-License-Identifier: Apache-2.0
// The runtime module: made once per machine, it holds the TLB's slow half, the helpers, the interpreter and
// the dispatch loop. Regions import its functions.

import { JUMP_CACHE } from "../layout.ts";
import { emitInterpreter } from "../interp/generate.ts";
import { makeHandlers } from "../interp/handlers.ts";
import { emitRareInterpreter } from "../interp/rare.ts";
import { TRAP_PREEMPTED } from "../../include/linux/cpu.ts";
import { PASSED, REGION_PARAMS, REGION_RESULTS } from "../translate/frame.ts";
import { Assembler, type Label } from "../wasm/assembler.ts";
import { WasmModule } from "../wasm/encoder.ts";
import { I32, I64, V128, W } from "../wasm/opcodes.ts";
import { HELPERS, OPS } from "../ir/ops.ts";
import type { QuickExts } from "../frontend.ts";
import { WASM_TYPES } from "./access.ts";
import { addArithFunctions, type ArithFunctions } from "./arith.ts";
import { addFlagFunctions, type FlagFunctions } from "./flags.ts";
import { countUp, emitIsHigh, pushJumpCacheEntry, pushKey } from "./inline.ts";
import { emitGoOn } from "./go-on.ts";
import { emitLink, emitLinkPlace, emitNear, emitPromote, pushProbe } from "./jump-cache.ts";
import {
  COUNT_DISPATCHES,
  COUNT_SLOW,
  LAST_DATA,
  SLOW_CACHE,
  SLOW_CACHE_ENTRIES,
  stateAddress,
  STATUS_MISS,
  STATUS_SLOW,
  STATUS_SLOW_OFTEN,
} from "./status.ts";
import { addTlbFunctions, type TlbFunctions } from "./tlb.ts";

/** Function indexes by name, within the runtime module or as a region imports them. */
export interface RuntimeFunctions extends TlbFunctions, FlagFunctions, ArithFunctions {
  /** (ext number) -> TRAP_* or 0. */
  readonly ext: number;
  /** (guest address, address of a link) -> 1 when the link now leads there, 0 when no region is known. */
  readonly link: number;
  /** The same for the link of a place in memory that says where to. */
  readonly linkPlace: number;
  /** (guest address, its place in the near cache) -> 1 when a region for it is there now, 0 when none is known. */
  readonly near: number;
  /** (guest address, stack pointer, depth, budget) -> as a region: runs on from there until the stack pointer is above that. */
  readonly goOn: number;
  /** By ext number: () -> 1 when all is done that the ext is asked to do. */
  readonly quick: ReadonlyMap<number, number>;
  /** Type of regions' functions. */
  readonly regionType: number;
  /** (what a region takes, its index in the table) -> what it gives; -1 for a module that has the table itself. */
  readonly enter: number;
  readonly hasTailCalls: boolean;
}

/** Calls of regions that may be nested in the host's stack. */
const DEPTH_MAX = 400;

export const MEMORY_PAGES_MAX = 65536;

/** Whether the engine knows return_call_indirect: without it jumps between regions go by the dispatcher. */
export function hasTailCalls(): boolean {
  const f = new Assembler([I32], [I32]);
  f.get(0);
  f.returnCallNamed("itself");
  const module = new WasmModule();
  const index = module.add(f);
  f.resolve(() => index);
  return WebAssembly.validate(module.finish());
}

export function buildRuntimeModule(quickExts: QuickExts): Uint8Array<ArrayBuffer> {
  const handlers = makeHandlers();
  const module = new WasmModule();
  module.importMemory("memory", 1, MEMORY_PAGES_MAX);
  module.importTable("table");
  const slowExt = module.importFunction("ext", [I32], [I32]);
  const tlb = addTlbFunctions(module);
  const flags = addFlagFunctions(module);
  const arith = addArithFunctions(module, flags.flagsOf);
  const quick = quickExts({
    fillTlb: tlb.fill,
    divide: arith.helpers.get("udiv128_quotient")!,
    mulHigh: arith.mulHiU,
    add: (f) => module.add(f),
  });
  const ext = module.add(emitExt(slowExt, quick));
  const regionType = module.typeIndex(REGION_PARAMS, REGION_RESULTS);
  const promote = module.add(emitPromote());
  const link = module.add(emitLink(promote));
  const linkPlace = module.add(emitLinkPlace(promote));
  const near = module.add(emitNear(promote));
  const runtime: RuntimeFunctions = {
    ext,
    quick,
    ...tlb,
    ...flags,
    ...arith,
    near,
    link,
    linkPlace,
    goOn: -1, // for regions alone: it is made of the interpreter
    regionType,
    enter: module.add(emitEnter(regionType)),
    hasTailCalls: true,
  };
  const rare = module.add(emitRareInterpreter(handlers, runtime));
  const interpret = module.add(emitInterpreter(handlers, runtime, rare));
  const dispatch = module.add(new Dispatcher(regionType, interpret, promote).emit());
  const goOn = module.add(emitGoOn(regionType, interpret, promote));
  module.exportFunction("dispatch", dispatch);
  module.exportFunction("interpret", interpret);
  module.exportFunction("interpretRare", rare);
  module.nameFunction(dispatch, "dispatch");
  module.nameFunction(interpret, "interpret");
  module.nameFunction(rare, "interpret_rare");
  module.exportFunction("flushTlb", tlb.flush);
  module.exportFunction("flushTlbWrites", tlb.flushWrites);
  for (const [name, index] of regionImports({ ...runtime, goOn })) module.exportFunction(name, index);
  return module.finish();
}

/** What a region takes, and its index in the table. */
const ENTER_PARAMS: readonly number[] = [...REGION_PARAMS, I32];

interface Signature {
  readonly params: readonly number[];
  readonly results: readonly number[];
}

const runtimeSignatures: ReadonlyMap<string, Signature> = new Map<string, Signature>([
  ["ext", { params: [I32], results: [I32] }],
  ["fill", { params: [I64, I32], results: [I32] }],
  ["loadSlow", { params: [I64, I32], results: [I32] }],
  ["reach", { params: [I64, I32, I32], results: [I32] }],
  ["reachStack", { params: [I64, I32, I32], results: [I32] }],
  ["reachWindow", { params: [I64, I32, I32, I32], results: [I32] }],
  ["storeSlow", { params: [I64, I64, I32], results: [I32] }],
  ["storeSlow128", { params: [I64, V128], results: [I32] }],
  ["probeSlow", { params: [I64, I32], results: [I32] }],
  ["flagsOf", { params: [I32, I64, I64], results: [I32] }],
  ["enter", { params: ENTER_PARAMS, results: REGION_RESULTS }],
  ["goOn", { params: [I64, I64, I32, I32], results: REGION_RESULTS }],
  ["near", { params: [I64, I32], results: [I32] }],
  ["link", { params: [I64, I32], results: [I32] }],
  ["linkPlace", { params: [I64, I32], results: [I32] }],
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
  ...OPS.filter((info) => info.key.startsWith("raises")).map((info): [string, Signature] => [
    info.key,
    { params: [...info.operands.slice(1), "i"].map((letter) => WASM_TYPES[letter]!), results: [I32] },
  ]),
]);

const QUICK_PREFIX = "quick_";
const QUICK_SIGNATURE: Signature = { params: [], results: [I32] };

/** By which regions import the quick function of an ext. */
export function quickName(id: number): string {
  return QUICK_PREFIX + id;
}

/** Of what regions import, by name. */
export function signatureOf(name: string): Signature | undefined {
  return name.startsWith(QUICK_PREFIX) ? QUICK_SIGNATURE : runtimeSignatures.get(name);
}

/** What regions import from the runtime, by name. */
function regionImports(runtime: RuntimeFunctions): Map<string, number> {
  return new Map([
    ["ext", runtime.ext],
    ["fill", runtime.fill],
    ["loadSlow", runtime.loadSlow],
    ["reach", runtime.reach],
    ["reachStack", runtime.reachStack],
    ["reachWindow", runtime.reachWindow],
    ["storeSlow", runtime.storeSlow],
    ["storeSlow128", runtime.storeSlow128],
    ["probeSlow", runtime.probeSlow],
    ["enter", runtime.enter],
    ["goOn", runtime.goOn],
    ["near", runtime.near],
    ["link", runtime.link],
    ["linkPlace", runtime.linkPlace],
    ["flagsOf", runtime.flagsOf],
    ["flags", runtime.flags],
    ["condOf", runtime.condOf],
    ["mulHiU", runtime.mulHiU],
    ["mulHiS", runtime.mulHiS],
    ...[...runtime.quick].map(([id, index]): [string, number] => [quickName(id), index]),
    ...[...runtime.helpers].map(([name, index]): [string, number] => [`helper_${name}`, index]),
    ...runtime.floats,
  ]);
}

/** By which regions enter others whose modules have no table of their own (ModuleInProgress). */
function emitEnter(regionType: number): Assembler {
  const f = new Assembler(ENTER_PARAMS, REGION_RESULTS);
  for (const parameter of ENTER_PARAMS.keys()) f.get(parameter);
  if (hasTailCalls()) f.returnCallIndirect(regionType);
  else f.callIndirect(regionType);
  return f;
}

/** By a quick function where there is one, or else by TypeScript. */
function emitExt(slow: number, quick: ReadonlyMap<number, number>): Assembler {
  const f = new Assembler([I32], [I32]);
  for (const [id, index] of quick) {
    f.get(0);
    f.i32(id);
    f.op(W.i32_eq);
    f.if_();
    f.call(index);
    f.if_();
    f.i32(0);
    f.return_();
    f.end();
    f.end();
  }
  f.get(0);
  f.call(slow);
  return f;
}

/**
 * The loop that finds and runs the code at CPU_STATE.pc. (slow): with 1 the first block is looked up in the slow cache, so
 * that the interpreter makes progress.
 */
class Dispatcher {
  readonly #f = new Assembler([I32], [I32]);
  readonly #pc = this.#f.local(I64);
  readonly #entry = this.#f.local(I32);
  readonly #status = this.#f.local(I32);
  readonly #next = this.#f.local(I64);
  readonly #regionType: number;
  readonly #interpret: number;
  readonly #promote: number;
  #again: Label = 0;

  constructor(regionType: number, interpret: number, promote: number) {
    this.#promote = promote;
    this.#regionType = regionType;
    this.#interpret = interpret;
  }

  emit(): Assembler {
    const f = this.#f;
    this.#loadPc();
    this.#again = f.loop();
    const slowMiss = f.block();
    const miss = f.block();
    f.get(this.#pc);
    emitIsHigh(f);
    f.brIf(miss);
    f.get(0);
    f.if_();
    this.#interpretSlow(slowMiss);
    f.end();
    this.#lookAtBudget();
    pushProbe(f, this.#pc, this.#entry, this.#promote);
    f.brIf(miss);
    this.#enter();
    f.end();
    this.#leave(() => f.i32(STATUS_MISS));
    f.end();
    this.#leave(() => f.i32(STATUS_SLOW));
    f.end();
    f.op(W.unreachable);
    return f;
  }

  #loadPc(): void {
    this.#f.i32(stateAddress("pc"));
    this.#f.memory(W.i64_load, 0);
    this.#f.set(this.#pc);
  }

  #leave(pushStatus: () => void): void {
    const f = this.#f;
    f.i32(stateAddress("pc"));
    f.get(this.#pc);
    f.memory(W.i64_store, 0);
    pushStatus();
    f.return_();
  }

  #lookAtBudget(): void {
    const f = this.#f;
    f.i32(stateAddress("budget"));
    f.memory(W.i32_load, 0);
    f.i32(0);
    f.op(W.i32_le_s);
    f.if_();
    this.#leave(() => f.i32(TRAP_PREEMPTED));
    f.end();
  }

  /** The first block from the slow cache: the same key, with fewer entries. */
  #interpretSlow(slowMiss: Label): void {
    const f = this.#f;
    pushJumpCacheEntry(f, () => f.get(this.#pc));
    f.i32((SLOW_CACHE_ENTRIES - 1) << 4);
    f.op(W.i32_and);
    f.tee(this.#entry);
    f.memory(W.i64_load, SLOW_CACHE);
    pushKey(f, this.#pc);
    f.op(W.i64_ne);
    f.brIf(slowMiss);
    f.i32(0);
    f.set(0);
    this.#storePc();
    f.get(this.#entry);
    f.memory(W.i32_load, SLOW_CACHE + 8);
    this.#interpretRecord();
  }

  #storePc(): void {
    this.#f.i32(stateAddress("pc"));
    this.#f.get(this.#pc);
    this.#f.memory(W.i64_store, 0);
  }

  /** The record is on the stack. */
  #interpretRecord(): void {
    const f = this.#f;
    f.call(this.#interpret);
    f.tee(this.#status);
    f.if_();
    f.get(this.#status);
    f.return_();
    f.end();
    this.#loadPc();
    f.br(this.#again);
  }

  /** The entry of the jump cache is for pc: a block of bytecode or a region. */
  #enter(): void {
    const f = this.#f;
    countUp(f, COUNT_DISPATCHES);
    f.get(this.#entry);
    f.memory(W.i32_load, JUMP_CACHE + 8);
    f.op(W.i32_eqz);
    f.if_();
    this.#storePc();
    f.get(this.#entry);
    f.memory(W.i32_load, JUMP_CACHE + 12);
    this.#interpretRecord();
    f.end();
    f.get(this.#pc);
    f.get(this.#entry);
    f.memory(W.i32_load, JUMP_CACHE + 12);
    f.i32(DEPTH_MAX);
    f.i32(stateAddress("budget"));
    f.memory(W.i32_load, 0);
    for (const register of PASSED.keys()) {
      f.i32(stateAddress("gpr"));
      f.memory(W.i64_load, register * 8);
    }
    f.get(this.#entry);
    f.memory(W.i32_load, JUMP_CACHE + 8);
    f.callIndirect(this.#regionType);
    f.set(this.#status);
    f.tee(this.#next);
    f.set(this.#pc);
    f.i32(stateAddress("budget"));
    f.get(this.#status);
    f.op(W.i64_extend_i32_s);
    f.memory(W.i64_store, 0);
    f.get(this.#next);
    f.i64(48);
    f.op(W.i64_shr_s);
    f.i64(1);
    f.op(W.i64_ne);
    f.brIf(this.#again);
    this.#takeStatus();
  }

  /** The region left with a status, with everything in memory. */
  #takeStatus(): void {
    const f = this.#f;
    this.#loadPc();
    f.get(this.#next);
    f.op(W.i32_wrap_i64);
    f.tee(this.#status);
    f.i32(STATUS_SLOW);
    f.op(W.i32_ne);
    f.if_();
    f.get(this.#status);
    f.return_();
    f.end();
    countUp(f, COUNT_SLOW);
    f.i32(1);
    f.set(0);
    f.i32(LAST_DATA);
    f.memory(W.i32_load, 0);
    f.tee(this.#entry);
    f.get(this.#entry);
    f.memory(W.i32_load, 0);
    f.i32(1);
    f.op(W.i32_sub);
    f.tee(this.#status);
    f.memory(W.i32_store, 0);
    f.get(this.#status);
    f.brIf(this.#again);
    f.i32(STATUS_SLOW_OFTEN);
    f.return_();
  }
}
