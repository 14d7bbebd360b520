// SPDX-License-Identifier: Apache-2.0
// A run of the oracle: batch after batch natively and in each back end, differences collected by form.

import type { CpuOptions } from "../../../virt/cpu.ts";
import { differences } from "./compare.ts";
import type { Case } from "./generate.ts";
import { buildNativeRunner, runNative } from "./native.ts";
import { PER_FORM, planBatch, type PlannedBatch, SEQUENCES, testedForms } from "./plan.ts";
import { FX, FX_MXCSR, type Result } from "./records.ts";
import { hex, type Outcome, RookeryRunner } from "./rookery.ts";

/** The interpreter, the region translator, or one instruction at a time. */
export type Backend = "interp" | "translate" | "step";

export interface OracleOptions {
  readonly instances: number;
  readonly seed: number;
  readonly form: string | undefined;
  readonly backends: readonly Backend[];
  readonly sequences: boolean;
  readonly progress: (line: string) => void;
}

export interface Difference {
  readonly key: string;
  readonly backend: string;
  readonly bytes: string;
  readonly lines: readonly string[];
}

export interface FormCount {
  readonly name: string;
  run: number;
  differing: number;
  /** The first few. */
  readonly examples: Difference[];
}

export interface Summary {
  readonly seed: number;
  readonly instances: number;
  readonly executions: number;
  readonly differing: number;
  /** Instances that differed once, until the processor ran them again: a host may lose a register of a guest on the way. */
  readonly unsteady: number;
  readonly seconds: number;
  readonly backends: readonly string[];
  readonly forms: ReadonlyMap<string, FormCount>;
  /** Tested forms that did not run. */
  readonly missingForms: readonly string[];
}

const EXAMPLES_MAX = 4;
const MXCSR_DEFAULT = 0x1f80;

function cpuOptions(backend: Backend): CpuOptions {
  return backend === "translate" ? { hotEntries: 1, translateOnDemand: true } : { hotEntries: 0 };
}

export function newRunner(backend: Backend): RookeryRunner {
  return new RookeryRunner(cpuOptions(backend), backend === "step");
}

class Collector {
  readonly forms = new Map<string, FormCount>();
  instances = 0;
  executions = 0;
  differing = 0;
  unsteady = 0;

  count(item: Case): FormCount {
    let form = this.forms.get(item.name);
    if (form === undefined) {
      form = { name: item.name, run: 0, differing: 0, examples: [] };
      this.forms.set(item.name, form);
    }
    return form;
  }

  note(item: Case, backend: string, lines: readonly string[]): void {
    this.executions++;
    if (lines.length === 0) return;
    this.differing++;
    const form = this.count(item);
    form.differing++;
    if (form.examples.length < EXAMPLES_MAX) {
      form.examples.push({ key: item.key, backend, bytes: hex(item.bytes), lines });
    }
  }
}

/** Modes to run an instance in: the relaxed one holds only while MXCSR has its default value. */
export function modesOf(item: Case): readonly ("relaxed" | "exact")[] {
  const mxcsr = item.instance.words[FX + FX_MXCSR]!;
  if (mxcsr !== MXCSR_DEFAULT) return ["exact"];
  return touchesVectors(item) ? ["relaxed", "exact"] : ["relaxed"];
}

function touchesVectors(item: Case): boolean {
  if (item.form === undefined) return item.name.startsWith("mixed");
  return item.form.operands.some(({ text }) => "VWU".includes(text.charAt(0)));
}

export function outcomeLines(
  runner: RookeryRunner,
  item: Case,
  native: Result,
  mode: "relaxed" | "exact",
): { lines: string[]; outcome: Outcome | undefined } {
  let outcome: Outcome;
  try {
    outcome = runner.run(item, native, mode === "exact");
  } catch (error) {
    return {
      lines: [`exception ${error instanceof Error ? error.message.split("\n")[0]! : String(error)}`],
      outcome: undefined,
    };
  }
  return { lines: differences(item, native, outcome, mode === "exact"), outcome };
}

/** Instances whose regions are compiled as one module. */
const CHUNK = 500;

class BatchRun {
  readonly #runners: Map<Backend, RookeryRunner>;
  readonly #batch: PlannedBatch;
  /** What the processor did, the second time where that differed the first time. */
  readonly #natives: Result[];
  /** Those that ran twice. */
  readonly #isAgain = new Set<number>();
  readonly #native: string;
  readonly #into: Collector;

  constructor(
    runners: Map<Backend, RookeryRunner>,
    batch: PlannedBatch,
    native: string,
    into: Collector,
  ) {
    this.#runners = runners;
    this.#batch = batch;
    this.#native = native;
    this.#natives = runNative(native, batch);
    this.#into = into;
  }

  run(): void {
    for (const item of this.#batch.cases) {
      this.#into.instances++;
      this.#into.count(item).run++;
    }
    for (const backend of this.#runners.keys()) {
      this.#runners.get(backend)!.load(this.#batch);
      if (backend === "translate") this.#translated();
      else this.#batch.cases.forEach((_, n) => this.#one(backend, n, undefined));
    }
  }

  /** Runs a chunk in the interpreter, so that its blocks are known, translates it, and runs it again. */
  #translated(): void {
    for (let start = 0; start < this.#batch.cases.length; start += CHUNK) {
      const end = Math.min(start + CHUNK, this.#batch.cases.length);
      for (const mode of ["relaxed", "exact"] as const) {
        const each = (): void => {
          for (let n = start; n < end; n++) this.#one("translate", n, mode);
        };
        each();
        this.#runners.get("translate")!.cpu.translateHot();
        each();
        this.#runners.get("translate")!.forgetCode(this.#batch);
      }
    }
  }

  /** Runs instance `n` in one mode, or in all that it has. */
  #one(backend: Backend, n: number, only: "relaxed" | "exact" | undefined): void {
    const item = this.#batch.cases[n]!;
    for (const mode of modesOf(item)) {
      if (only !== undefined && mode !== only) continue;
      const runner = this.#runners.get(backend)!;
      let { lines, outcome } = outcomeLines(runner, item, this.#natives[n]!, mode);
      if (lines.length > 0 && outcome !== undefined && !this.#isAgain.has(n)) {
        this.#isAgain.add(n);
        this.#natives[n] = runNative(this.#native, { ...this.#batch, instances: [item.instance] })[0]!;
        ({ lines, outcome } = outcomeLines(runner, item, this.#natives[n], mode));
        if (lines.length === 0) this.#into.unsteady++;
      }
      this.#into.note(item, `${backend} ${mode}`, lines);
      if (outcome !== undefined) continue;
      const fresh = newRunner(backend);
      fresh.load(this.#batch);
      this.#runners.set(backend, fresh);
    }
  }
}

export function runOracle(options: OracleOptions): Summary {
  const started = performance.now();
  const native = buildNativeRunner();
  const forms = testedForms(options.form);
  const sequences = options.sequences ? SEQUENCES : 0;
  const newRunners = (): Map<Backend, RookeryRunner> =>
    new Map(options.backends.map((backend) => [backend, newRunner(backend)]));
  let runners = newRunners();
  const into = new Collector();
  const perBatch = forms.length * PER_FORM + sequences;
  const batches = Math.max(1, Math.ceil(options.instances / perBatch));
  for (let n = 0; n < batches; n++) {
    const batch = planBatch(options.seed, n, forms, sequences);
    new BatchRun(runners, batch, native, into).run();
    const seconds = (performance.now() - started) / 1000;
    if (n % 8 === 7) {
      // An engine keeps what was ever compiled for a table as long as that.
      runners = newRunners();
      options.progress(`${into.instances} instances, ${into.differing} differing, ${seconds.toFixed(0)} s`);
    }
  }
  return {
    seed: options.seed,
    instances: into.instances,
    executions: into.executions,
    differing: into.differing,
    unsteady: into.unsteady,
    seconds: (performance.now() - started) / 1000,
    backends: options.backends,
    forms: into.forms,
    missingForms: forms.filter((form) => !into.forms.has(form.name)).map((form) => form.name),
  };
}
