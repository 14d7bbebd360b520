// SPDX-License-Identifier: Apache-2.0
// Operations that WebAssembly has none for: constants, the guest's registers and memory, helpers, what ends in a trap.
// A row is what ../ops.ts says it is. Numbers go by the order of rows, and some are compared as ranges.

export const MACHINE_OPS = {
  // Constants and addresses
  const32: "- i @const32 imm",
  const64: "- l @const64 imm2",
  const128: "- v @const128 const128",
  pc_const: "- l @pc_const imm2", // imm, imm2: offset from the block's start, low and high half
  // Guest state. imm: register number, or offset in CPU_STATE
  get_gpr: "- l @get_gpr imm read",
  set_gpr: "l - @set_gpr imm write",
  get_xmm: "- v @get_xmm imm read",
  set_xmm: "v - @set_xmm imm write",
  get_state32: "- i @get_state32 imm read",
  get_state64: "- l @get_state64 imm read",
  get_statef32: "- f @get_statef32 imm read",
  get_statef64: "- d @get_statef64 imm read",
  get_state128: "- v @get_state128 imm read",
  set_state32: "i - @set_state32 imm write",
  set_state64: "l - @set_state64 imm write",
  set_statef32: "f - @set_statef32 imm write",
  set_statef64: "d - @set_statef64 imm write",
  set_state128: "v - @set_state128 imm write",
  set_cc: "ll - @set_cc imm write", // imm: ccOp
  set_cc_dynamic: "ill - @set_cc_dynamic write",
  get_cc_op: "- i @get_cc_op read",
  get_cc_a: "- l @get_cc_a read",
  get_cc_b: "- l @get_cc_b read",
  cc_cond: "- i @cc_cond imm read", // imm: x86 condition code 0..15
  cc_flags: "- i @cc_flags read",
  // Guest memory. imm: displacement
  load8_u: "l i @load imm load",
  load8_s: "l i @load imm load",
  load16_u: "l i @load imm load",
  load16_s: "l i @load imm load",
  load32: "l i @load imm load",
  load8_u_64: "l l @load imm load",
  load8_s_64: "l l @load imm load",
  load16_u_64: "l l @load imm load",
  load16_s_64: "l l @load imm load",
  load32_u_64: "l l @load imm load",
  load32_s_64: "l l @load imm load",
  load64: "l l @load imm load",
  loadf32: "l f @load imm load",
  loadf64: "l d @load imm load",
  load128: "l v @load imm load",
  store8: "li - @store imm store",
  store16: "li - @store imm store",
  store32: "li - @store imm store",
  store64: "ll - @store imm store",
  storef32: "lf - @store imm store",
  storef64: "ld - @store imm store",
  store128: "lv - @store imm store",
  probe_write: "l - @probe_write imm imm2 trap", // imm: displacement, imm2: bytes
  // Integer operations that WebAssembly lacks
  scaled_add: "ll l @scaled_add imm", // a + (b << imm)
  mul_hi_u64: "ll l @mul_hi_u64",
  mul_hi_s64: "ll l @mul_hi_s64",
  insert8: "li l @insert8", // low byte of b into a
  insert8h: "li l @insert8h", // low byte of b into bits 8..15 of a
  insert16: "li l @insert16",
  // The result a of a float operation on b (and c); a NaN becomes the one x86 gives
  f32_nan1: "ff f @f32_nan1",
  f32_nan2: "fff f @f32_nan2",
  f64_nan1: "dd d @f64_nan1",
  f64_nan2: "ddd d @f64_nan2",
  f32x4_nan1: "vv v @f32x4_nan1",
  f32x4_nan2: "vvv v @f32x4_nan2",
  f64x2_nan1: "vv v @f64x2_nan1",
  f64x2_nan2: "vvv v @f64x2_nan2",
  // a is 0 for plain numbers: else whether an operation (imm: a FLOAT) on b and c would set flags that are not set; 0 when it is. It counts as pure
  // though it reads them: an ext alone clears any, behind which no operand is the same temp.
  raises_f32: "iff i @raises_f32 imm",
  raises_f64: "idd i @raises_f64 imm",
  raises_f32x4: "ivv i @raises_f32x4 imm",
  raises_f64x2: "ivv i @raises_f64x2 imm",
  // imm: helper number (HELPERS); the types are those of its signature
  call_i32: "*** i @call imm",
  call_i64: "*** l @call imm",
  call_f32: "*** f @call imm",
  call_f64: "*** d @call imm",
  call_v128: "*** v @call imm",
  ext: "- - @ext imm read write trap", // imm: number in the front end's table
  ext_state: "- - @ext_state imm read write trap", // the same; neither sees nor changes registers and flags, and has a quick function
  trap_if: "i - @trap_if imm trap", // imm: TRAP_*
  insn: "- - @insn imm imm2", // imm: offset from the block's start, imm2: length
} as const;
