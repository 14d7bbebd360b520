// SPDX-License-Identifier: Apache-2.0
// The runtime module once it is code: what its instance exports.

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
export function instantiate(module: WebAssembly.Module, imports: Record<string, unknown>): RuntimeExports {
  const instance = new WebAssembly.Instance(module, { m: imports });
  // The module is generated in module.ts with these exports.
  return instance.exports as unknown as RuntimeExports;
}
