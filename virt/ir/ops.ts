// SPDX-License-Identifier: Apache-2.0
// The operations of the IR: one table from which the builder, the validator, the printer, the interpreter's
// handlers and the translator's code are made. Meaning: Documentation/design/machine.md.
//
// A row is "operands result code [flags]". Types: i i32, l i64, f f32, d f64, v v128, - none. Code: the
// WebAssembly opcode in hex (fc:xx and fd:xx are the prefixed ones) or @key for an emitter of our own.
// Flags: lane (imm is a lane), shuffle and const128 (imm is an index into the block's pool of 16-byte
// constants), load / store / trap (may leave the block with a fault), read / write (CPU state).
// An operation without a flag is pure. Each record has operands a, b, c and immediates imm, imm2 (int32).
// Source of the numbers: WebAssembly core specification 2.0, appendix "Index of Instructions".

const TABLE = {
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
  // imm: helper number (HELPERS); the types are those of its signature
  call_i32: "*** i @call imm",
  call_i64: "*** l @call imm",
  call_f32: "*** f @call imm",
  call_f64: "*** d @call imm",
  call_v128: "*** v @call imm",
  ext: "- - @ext imm read write trap", // imm: number in the front end's table
  trap_if: "i - @trap_if imm trap", // imm: TRAP_*
  insn: "- - @insn imm imm2", // imm: offset from the block's start, imm2: length
  // i32: WebAssembly's own
  i32_eqz: "i i 45",
  i32_eq: "ii i 46",
  i32_ne: "ii i 47",
  i32_lt_s: "ii i 48",
  i32_lt_u: "ii i 49",
  i32_gt_s: "ii i 4a",
  i32_gt_u: "ii i 4b",
  i32_le_s: "ii i 4c",
  i32_le_u: "ii i 4d",
  i32_ge_s: "ii i 4e",
  i32_ge_u: "ii i 4f",
  i32_clz: "i i 67",
  i32_ctz: "i i 68",
  i32_popcnt: "i i 69",
  i32_add: "ii i 6a",
  i32_sub: "ii i 6b",
  i32_mul: "ii i 6c",
  i32_div_s: "ii i 6d",
  i32_div_u: "ii i 6e",
  i32_rem_s: "ii i 6f",
  i32_rem_u: "ii i 70",
  i32_and: "ii i 71",
  i32_or: "ii i 72",
  i32_xor: "ii i 73",
  i32_shl: "ii i 74",
  i32_shr_s: "ii i 75",
  i32_shr_u: "ii i 76",
  i32_rotl: "ii i 77",
  i32_rotr: "ii i 78",
  // i64: WebAssembly's own
  i64_eqz: "l i 50",
  i64_eq: "ll i 51",
  i64_ne: "ll i 52",
  i64_lt_s: "ll i 53",
  i64_lt_u: "ll i 54",
  i64_gt_s: "ll i 55",
  i64_gt_u: "ll i 56",
  i64_le_s: "ll i 57",
  i64_le_u: "ll i 58",
  i64_ge_s: "ll i 59",
  i64_ge_u: "ll i 5a",
  i64_clz: "l l 79",
  i64_ctz: "l l 7a",
  i64_popcnt: "l l 7b",
  i64_add: "ll l 7c",
  i64_sub: "ll l 7d",
  i64_mul: "ll l 7e",
  i64_div_s: "ll l 7f",
  i64_div_u: "ll l 80",
  i64_rem_s: "ll l 81",
  i64_rem_u: "ll l 82",
  i64_and: "ll l 83",
  i64_or: "ll l 84",
  i64_xor: "ll l 85",
  i64_shl: "ll l 86",
  i64_shr_s: "ll l 87",
  i64_shr_u: "ll l 88",
  i64_rotl: "ll l 89",
  i64_rotr: "ll l 8a",
  // Widths and conversions
  i32_wrap_i64: "l i a7",
  i64_extend_i32_s: "i l ac",
  i64_extend_i32_u: "i l ad",
  i32_extend8_s: "i i c0",
  i32_extend16_s: "i i c1",
  i64_extend8_s: "l l c2",
  i64_extend16_s: "l l c3",
  i64_extend32_s: "l l c4",
  f32_eq: "ff i 5b",
  f32_ne: "ff i 5c",
  f32_lt: "ff i 5d",
  f32_gt: "ff i 5e",
  f32_le: "ff i 5f",
  f32_ge: "ff i 60",
  f64_eq: "dd i 61",
  f64_ne: "dd i 62",
  f64_lt: "dd i 63",
  f64_gt: "dd i 64",
  f64_le: "dd i 65",
  f64_ge: "dd i 66",
  // f32
  f32_abs: "f f 8b",
  f32_neg: "f f 8c",
  f32_ceil: "f f 8d",
  f32_floor: "f f 8e",
  f32_trunc: "f f 8f",
  f32_nearest: "f f 90",
  f32_sqrt: "f f 91",
  f32_add: "ff f 92",
  f32_sub: "ff f 93",
  f32_mul: "ff f 94",
  f32_div: "ff f 95",
  f32_min: "ff f 96",
  f32_max: "ff f 97",
  f32_copysign: "ff f 98",
  // f64
  f64_abs: "d d 99",
  f64_neg: "d d 9a",
  f64_ceil: "d d 9b",
  f64_floor: "d d 9c",
  f64_trunc: "d d 9d",
  f64_nearest: "d d 9e",
  f64_sqrt: "d d 9f",
  f64_add: "dd d a0",
  f64_sub: "dd d a1",
  f64_mul: "dd d a2",
  f64_div: "dd d a3",
  f64_min: "dd d a4",
  f64_max: "dd d a5",
  f64_copysign: "dd d a6",
  // Between integers and floats
  i32_trunc_sat_f32_s: "f i fc:00",
  i32_trunc_sat_f32_u: "f i fc:01",
  i32_trunc_sat_f64_s: "d i fc:02",
  i32_trunc_sat_f64_u: "d i fc:03",
  i64_trunc_sat_f32_s: "f l fc:04",
  i64_trunc_sat_f32_u: "f l fc:05",
  i64_trunc_sat_f64_s: "d l fc:06",
  i64_trunc_sat_f64_u: "d l fc:07",
  f32_convert_i32_s: "i f b2",
  f32_convert_i32_u: "i f b3",
  f32_convert_i64_s: "l f b4",
  f32_convert_i64_u: "l f b5",
  f32_demote_f64: "d f b6",
  f64_convert_i32_s: "i d b7",
  f64_convert_i32_u: "i d b8",
  f64_convert_i64_s: "l d b9",
  f64_convert_i64_u: "l d ba",
  f64_promote_f32: "f d bb",
  i32_reinterpret_f32: "f i bc",
  i64_reinterpret_f64: "d l bd",
  f32_reinterpret_i32: "i f be",
  f64_reinterpret_i64: "l d bf",
  // a when the condition c is not 0, else b
  select_i32: "iii i 1b",
  select_i64: "lli l 1b",
  select_f32: "ffi f 1b",
  select_f64: "ddi d 1b",
  select_v128: "vvi v 1b",
  // v128
  i8x16_shuffle: "vv v fd:0d shuffle",
  i8x16_swizzle: "vv v fd:0e",
  i8x16_splat: "i v fd:0f",
  i16x8_splat: "i v fd:10",
  i32x4_splat: "i v fd:11",
  i64x2_splat: "l v fd:12",
  f32x4_splat: "f v fd:13",
  f64x2_splat: "d v fd:14",
  i8x16_extract_lane_s: "v i fd:15 lane",
  i8x16_extract_lane_u: "v i fd:16 lane",
  i8x16_replace_lane: "vi v fd:17 lane",
  i16x8_extract_lane_s: "v i fd:18 lane",
  i16x8_extract_lane_u: "v i fd:19 lane",
  i16x8_replace_lane: "vi v fd:1a lane",
  i32x4_extract_lane: "v i fd:1b lane",
  i32x4_replace_lane: "vi v fd:1c lane",
  i64x2_extract_lane: "v l fd:1d lane",
  i64x2_replace_lane: "vl v fd:1e lane",
  f32x4_extract_lane: "v f fd:1f lane",
  f32x4_replace_lane: "vf v fd:20 lane",
  f64x2_extract_lane: "v d fd:21 lane",
  f64x2_replace_lane: "vd v fd:22 lane",
  i8x16_eq: "vv v fd:23",
  i8x16_ne: "vv v fd:24",
  i8x16_lt_s: "vv v fd:25",
  i8x16_lt_u: "vv v fd:26",
  i8x16_gt_s: "vv v fd:27",
  i8x16_gt_u: "vv v fd:28",
  i8x16_le_s: "vv v fd:29",
  i8x16_le_u: "vv v fd:2a",
  i8x16_ge_s: "vv v fd:2b",
  i8x16_ge_u: "vv v fd:2c",
  i16x8_eq: "vv v fd:2d",
  i16x8_ne: "vv v fd:2e",
  i16x8_lt_s: "vv v fd:2f",
  i16x8_lt_u: "vv v fd:30",
  i16x8_gt_s: "vv v fd:31",
  i16x8_gt_u: "vv v fd:32",
  i16x8_le_s: "vv v fd:33",
  i16x8_le_u: "vv v fd:34",
  i16x8_ge_s: "vv v fd:35",
  i16x8_ge_u: "vv v fd:36",
  i32x4_eq: "vv v fd:37",
  i32x4_ne: "vv v fd:38",
  i32x4_lt_s: "vv v fd:39",
  i32x4_lt_u: "vv v fd:3a",
  i32x4_gt_s: "vv v fd:3b",
  i32x4_gt_u: "vv v fd:3c",
  i32x4_le_s: "vv v fd:3d",
  i32x4_le_u: "vv v fd:3e",
  i32x4_ge_s: "vv v fd:3f",
  i32x4_ge_u: "vv v fd:40",
  i64x2_eq: "vv v fd:d6",
  i64x2_ne: "vv v fd:d7",
  i64x2_lt_s: "vv v fd:d8",
  i64x2_gt_s: "vv v fd:d9",
  i64x2_le_s: "vv v fd:da",
  i64x2_ge_s: "vv v fd:db",
  f32x4_eq: "vv v fd:41",
  f32x4_ne: "vv v fd:42",
  f32x4_lt: "vv v fd:43",
  f32x4_gt: "vv v fd:44",
  f32x4_le: "vv v fd:45",
  f32x4_ge: "vv v fd:46",
  f64x2_eq: "vv v fd:47",
  f64x2_ne: "vv v fd:48",
  f64x2_lt: "vv v fd:49",
  f64x2_gt: "vv v fd:4a",
  f64x2_le: "vv v fd:4b",
  f64x2_ge: "vv v fd:4c",
  v128_not: "v v fd:4d",
  v128_and: "vv v fd:4e",
  v128_andnot: "vv v fd:4f",
  v128_or: "vv v fd:50",
  v128_xor: "vv v fd:51",
  v128_bitselect: "vvv v fd:52",
  v128_any_true: "v i fd:53",
  f32x4_demote_f64x2_zero: "v v fd:5e",
  f64x2_promote_low_f32x4: "v v fd:5f",
  i8x16_abs: "v v fd:60",
  i8x16_neg: "v v fd:61",
  i8x16_popcnt: "v v fd:62",
  i8x16_all_true: "v i fd:63",
  i8x16_bitmask: "v i fd:64",
  i8x16_narrow_i16x8_s: "vv v fd:65",
  i8x16_narrow_i16x8_u: "vv v fd:66",
  i8x16_shl: "vi v fd:6b",
  i8x16_shr_s: "vi v fd:6c",
  i8x16_shr_u: "vi v fd:6d",
  i8x16_add: "vv v fd:6e",
  i8x16_sub: "vv v fd:71",
  i8x16_add_sat_s: "vv v fd:6f",
  i8x16_add_sat_u: "vv v fd:70",
  i8x16_sub_sat_s: "vv v fd:72",
  i8x16_sub_sat_u: "vv v fd:73",
  i8x16_avgr_u: "vv v fd:7b",
  i8x16_min_s: "vv v fd:76",
  i8x16_min_u: "vv v fd:77",
  i8x16_max_s: "vv v fd:78",
  i8x16_max_u: "vv v fd:79",
  i16x8_abs: "v v fd:80",
  i16x8_neg: "v v fd:81",
  i16x8_q15mulr_sat_s: "vv v fd:82",
  i16x8_all_true: "v i fd:83",
  i16x8_bitmask: "v i fd:84",
  i16x8_narrow_i32x4_s: "vv v fd:85",
  i16x8_narrow_i32x4_u: "vv v fd:86",
  i16x8_extend_low_i8x16_s: "v v fd:87",
  i16x8_extend_high_i8x16_s: "v v fd:88",
  i16x8_extend_low_i8x16_u: "v v fd:89",
  i16x8_extend_high_i8x16_u: "v v fd:8a",
  i16x8_shl: "vi v fd:8b",
  i16x8_shr_s: "vi v fd:8c",
  i16x8_shr_u: "vi v fd:8d",
  i16x8_add: "vv v fd:8e",
  i16x8_sub: "vv v fd:91",
  i16x8_add_sat_s: "vv v fd:8f",
  i16x8_add_sat_u: "vv v fd:90",
  i16x8_sub_sat_s: "vv v fd:92",
  i16x8_sub_sat_u: "vv v fd:93",
  i16x8_avgr_u: "vv v fd:9b",
  i16x8_mul: "vv v fd:95",
  i16x8_min_s: "vv v fd:96",
  i16x8_min_u: "vv v fd:97",
  i16x8_max_s: "vv v fd:98",
  i16x8_max_u: "vv v fd:99",
  i16x8_extmul_low_i8x16_s: "vv v fd:9c",
  i16x8_extmul_high_i8x16_s: "vv v fd:9d",
  i16x8_extmul_low_i8x16_u: "vv v fd:9e",
  i16x8_extmul_high_i8x16_u: "vv v fd:9f",
  i32x4_abs: "v v fd:a0",
  i32x4_neg: "v v fd:a1",
  i32x4_all_true: "v i fd:a3",
  i32x4_bitmask: "v i fd:a4",
  i32x4_extend_low_i16x8_s: "v v fd:a7",
  i32x4_extend_high_i16x8_s: "v v fd:a8",
  i32x4_extend_low_i16x8_u: "v v fd:a9",
  i32x4_extend_high_i16x8_u: "v v fd:aa",
  i32x4_shl: "vi v fd:ab",
  i32x4_shr_s: "vi v fd:ac",
  i32x4_shr_u: "vi v fd:ad",
  i32x4_add: "vv v fd:ae",
  i32x4_sub: "vv v fd:b1",
  i32x4_mul: "vv v fd:b5",
  i32x4_min_s: "vv v fd:b6",
  i32x4_min_u: "vv v fd:b7",
  i32x4_max_s: "vv v fd:b8",
  i32x4_max_u: "vv v fd:b9",
  i32x4_dot_i16x8_s: "vv v fd:ba",
  i32x4_extmul_low_i16x8_s: "vv v fd:bc",
  i32x4_extmul_high_i16x8_s: "vv v fd:bd",
  i32x4_extmul_low_i16x8_u: "vv v fd:be",
  i32x4_extmul_high_i16x8_u: "vv v fd:bf",
  i64x2_abs: "v v fd:c0",
  i64x2_neg: "v v fd:c1",
  i64x2_all_true: "v i fd:c3",
  i64x2_bitmask: "v i fd:c4",
  i64x2_extend_low_i32x4_s: "v v fd:c7",
  i64x2_extend_high_i32x4_s: "v v fd:c8",
  i64x2_extend_low_i32x4_u: "v v fd:c9",
  i64x2_extend_high_i32x4_u: "v v fd:ca",
  i64x2_shl: "vi v fd:cb",
  i64x2_shr_s: "vi v fd:cc",
  i64x2_shr_u: "vi v fd:cd",
  i64x2_add: "vv v fd:ce",
  i64x2_sub: "vv v fd:d1",
  i64x2_mul: "vv v fd:d5",
  i64x2_extmul_low_i32x4_s: "vv v fd:dc",
  i64x2_extmul_high_i32x4_s: "vv v fd:dd",
  i64x2_extmul_low_i32x4_u: "vv v fd:de",
  i64x2_extmul_high_i32x4_u: "vv v fd:df",
  i16x8_extadd_pairwise_i8x16_s: "v v fd:7c",
  i16x8_extadd_pairwise_i8x16_u: "v v fd:7d",
  i32x4_extadd_pairwise_i16x8_s: "v v fd:7e",
  i32x4_extadd_pairwise_i16x8_u: "v v fd:7f",
  f32x4_ceil: "v v fd:67",
  f32x4_floor: "v v fd:68",
  f32x4_trunc: "v v fd:69",
  f32x4_nearest: "v v fd:6a",
  f64x2_ceil: "v v fd:74",
  f64x2_floor: "v v fd:75",
  f64x2_trunc: "v v fd:7a",
  f64x2_nearest: "v v fd:94",
  f32x4_abs: "v v fd:e0",
  f32x4_neg: "v v fd:e1",
  f32x4_sqrt: "v v fd:e3",
  f32x4_add: "vv v fd:e4",
  f32x4_sub: "vv v fd:e5",
  f32x4_mul: "vv v fd:e6",
  f32x4_div: "vv v fd:e7",
  f32x4_min: "vv v fd:e8",
  f32x4_max: "vv v fd:e9",
  f32x4_pmin: "vv v fd:ea",
  f32x4_pmax: "vv v fd:eb",
  f64x2_abs: "v v fd:ec",
  f64x2_neg: "v v fd:ed",
  f64x2_sqrt: "v v fd:ef",
  f64x2_add: "vv v fd:f0",
  f64x2_sub: "vv v fd:f1",
  f64x2_mul: "vv v fd:f2",
  f64x2_div: "vv v fd:f3",
  f64x2_min: "vv v fd:f4",
  f64x2_max: "vv v fd:f5",
  f64x2_pmin: "vv v fd:f6",
  f64x2_pmax: "vv v fd:f7",
  i32x4_trunc_sat_f32x4_s: "v v fd:f8",
  i32x4_trunc_sat_f32x4_u: "v v fd:f9",
  f32x4_convert_i32x4_s: "v v fd:fa",
  f32x4_convert_i32x4_u: "v v fd:fb",
  i32x4_trunc_sat_f64x2_s_zero: "v v fd:fc",
  i32x4_trunc_sat_f64x2_u_zero: "v v fd:fd",
  f64x2_convert_low_i32x4_s: "v v fd:fe",
  f64x2_convert_low_i32x4_u: "v v fd:ff",
} as const;

export type OpName = keyof typeof TABLE;
export type Type = "i" | "l" | "f" | "d" | "v";

/** Numbers of the operations. */
export const Op: { readonly [Name in OpName]: number } = numberNames(TABLE);

export const FLAG_LOAD = 1;
export const FLAG_STORE = 2;
/** May leave the block: loads and stores too. */
export const FLAG_TRAP = 4;
export const FLAG_READ = 8;
export const FLAG_WRITE = 16;
export const FLAG_LANE = 32;
export const FLAG_SHUFFLE = 64;
export const FLAG_POOL = 128;
export const FLAG_IMM = 256;
export const FLAG_IMM2 = 512;

export interface OpInfo {
  readonly id: number;
  readonly name: OpName;
  /** One letter per operand; "*" takes any type. */
  readonly operands: string;
  readonly result: Type | "";
  /** WebAssembly opcode: prefix * 256 + code, or -1 when `key` names an emitter. */
  readonly opcode: number;
  readonly key: string;
  readonly flags: number;
}

/** Rows by number. */
export const OPS: readonly OpInfo[] = parseTable(TABLE);

/** A function of the runtime module, pure on its arguments. "operands result". */
const HELPER_TABLE = {
  // 128-bit by 64-bit division: (high, low, divisor). The lifter has ruled out division by 0 and overflow.
  udiv128_quotient: "lll l",
  udiv128_remainder: "lll l",
  sdiv128_quotient: "lll l",
  sdiv128_remainder: "lll l",
  /** 1 when the signed quotient does not fit 64 bits; 0 for a divisor of 0. */
  sdiv128_overflows: "lll i",
  /** (ccOp, ccA, ccB): the flags in EFLAGS positions. */
  flags_of: "ill i",
} as const;
export type HelperName = keyof typeof HELPER_TABLE;
export interface HelperInfo {
  readonly id: number;
  readonly name: HelperName;
  readonly operands: string;
  readonly result: Type;
}
export const HELPERS: readonly HelperInfo[] = parseHelpers(HELPER_TABLE);

/** Ends of a block. */
export const TERM_NONE = 0;
export const TERM_JUMP = 1;
export const TERM_BRANCH = 2;
export const TERM_INDIRECT = 3;
export const TERM_SYSCALL = 4;
export const TERM_TRAP = 5;

export const JUMP_PLAIN = 0;
export const JUMP_CALL = 1;
export const JUMP_RETURN = 2;

function numberNames<Name extends string>(
  table: { readonly [K in Name]: string },
): { readonly [K in Name]: number } {
  const numbers = {} as { [K in Name]: number }; // filled right below for every key
  let id = 0;
  for (const name in table) numbers[name] = id++;
  return numbers;
}

function isType(text: string): text is Type {
  return text.length === 1 && "ilfdv".includes(text);
}

function parseTable(table: { readonly [K in OpName]: string }): OpInfo[] {
  const rows: OpInfo[] = [];
  for (const name in table) {
    const key = name as OpName; // for-in over the table's own keys
    const [operands = "", result = "", code = "", ...words] = table[key].split(" ");
    let flags = 0;
    for (const word of words) flags |= flagOf(word);
    const parts = code.split(":");
    rows.push({
      id: rows.length,
      name: key,
      operands: operands === "-" ? "" : operands,
      result: isType(result) ? result : "",
      opcode: code.startsWith("@") ? -1 : parts.reduce((sum, part) => sum * 256 + parseInt(part, 16), 0),
      key: code.startsWith("@") ? code.slice(1) : "",
      flags,
    });
  }
  return rows;
}

function flagOf(word: string): number {
  switch (word) {
    case "load":
      return FLAG_LOAD | FLAG_TRAP;
    case "store":
      return FLAG_STORE | FLAG_TRAP;
    case "trap":
      return FLAG_TRAP;
    case "read":
      return FLAG_READ;
    case "write":
      return FLAG_WRITE;
    case "lane":
      return FLAG_LANE;
    case "shuffle":
      return FLAG_SHUFFLE | FLAG_POOL;
    case "const128":
      return FLAG_POOL;
    case "imm":
      return FLAG_IMM;
    case "imm2":
      return FLAG_IMM | FLAG_IMM2;
    default:
      throw new Error(`ops: unknown flag ${word}`);
  }
}

function parseHelpers(table: { readonly [K in HelperName]: string }): HelperInfo[] {
  const rows: HelperInfo[] = [];
  for (const name in table) {
    const key = name as HelperName; // for-in over the table's own keys
    const [operands = "", result = ""] = table[key].split(" ");
    if (!isType(result)) throw new Error(`ops: bad helper ${name}`);
    rows.push({ id: rows.length, name: key, operands, result });
  }
  return rows;
}
