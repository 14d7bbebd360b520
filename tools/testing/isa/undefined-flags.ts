// SPDX-License-Identifier: Apache-2.0
// Which flags an instruction leaves undefined, by mnemonic and operands; the oracle does not compare those.
// Source: AMD64 Architecture Programmer's Manual, volume 3 ("Affected Flags" of each instruction).

const CF = 0x001;
const PF = 0x004;
const AF = 0x010;
const ZF = 0x040;
const SF = 0x080;
const OF = 0x800;
const ALL: number = CF | PF | AF | ZF | SF | OF;

const FIXED: ReadonlyMap<string, number> = new Map([
  ["AND", AF],
  ["OR", AF],
  ["XOR", AF],
  ["TEST", AF],
  ["MUL", SF | ZF | AF | PF],
  ["IMUL", SF | ZF | AF | PF],
  ["IMUL1", SF | ZF | AF | PF],
  ["DIV", ALL],
  ["IDIV", ALL],
  ["BSF", CF | OF | SF | AF | PF],
  ["BSR", CF | OF | SF | AF | PF],
  ["BT", OF | SF | AF | PF],
  ["BTS", OF | SF | AF | PF],
  ["BTR", OF | SF | AF | PF],
  ["BTC", OF | SF | AF | PF],
]);

const ROTATES: ReadonlySet<string> = new Set(["ROL", "ROR", "RCL", "RCR"]);
const SHIFTS: ReadonlySet<string> = new Set(["SHL", "SHR", "SAR", "SHLD", "SHRD"]);

/** What the mask depends on beside the mnemonic. */
export interface ShiftOperands {
  /** Bits of the shifted operand. */
  readonly width: number;
  /** The count before masking. */
  readonly count: number;
}

/** EFLAGS bits that are undefined after the instruction. */
export function undefinedFlags(mnemonic: string, shift: ShiftOperands | undefined): number {
  const fixed = FIXED.get(mnemonic);
  if (fixed !== undefined) return fixed;
  const rotate = ROTATES.has(mnemonic);
  if (shift === undefined || (!rotate && !SHIFTS.has(mnemonic))) return 0;
  const count = shift.count & (shift.width === 64 ? 63 : 31);
  if (count === 0) return 0;
  if (rotate) return count === 1 ? 0 : OF;
  let mask = count === 1 ? AF : AF | OF;
  // A count of the width or more shifts out what no one defines.
  if (count >= shift.width && mnemonic !== "SAR") mask |= CF;
  if (count > shift.width && (mnemonic === "SHLD" || mnemonic === "SHRD")) mask |= ALL;
  return mask;
}

/** Flags that some operands of the instruction leave undefined. */
export function mayLeaveUndefined(mnemonic: string): number {
  const fixed = FIXED.get(mnemonic);
  if (fixed !== undefined) return fixed;
  return SHIFTS.has(mnemonic) ? ALL : ROTATES.has(mnemonic) ? OF : 0;
}

/** True when not even the result is defined: double shifts of 16-bit operands by more than 16. */
export function undefinedResult(mnemonic: string, shift: ShiftOperands | undefined): boolean {
  if (shift === undefined || (mnemonic !== "SHLD" && mnemonic !== "SHRD")) return false;
  return (shift.count & (shift.width === 64 ? 63 : 31)) > shift.width;
}
