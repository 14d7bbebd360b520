// SPDX-License-Identifier: Apache-2.0
// The x86-64 decoder: reads one instruction into a reusable record, by flat arrays made from X86_FORMS.
//
// Invariants: no allocation per instruction; every field of Insn that the form uses is set by decode().
// An opcode whose form is unknown is reported before bytes behind it are fetched, as on hardware.
// Source: AMD64 Architecture Programmer's Manual, volume 3, chapter 1.

import type { Fetch } from "../../virt/frontend.ts";
import {
  IMM_16,
  IMM_8S,
  IMM_8U,
  IMM_ENTER,
  IMM_NONE,
  IMM_OFFSET,
  IMM_REL32,
  IMM_V,
  IMM_Z,
  X86_FORMS,
  type X86Form,
} from "./tables/forms.ts";

export const DECODE_OK = 0;
/** #UD. */
export const DECODE_ILLEGAL = 1;
/** Longer than 15 bytes: #GP. */
export const DECODE_TOO_LONG = 2;
/** A byte could not be fetched: Insn.faultPc. */
export const DECODE_FETCH = 3;

export const REP_NONE = 0;
export const REP_F3 = 1;
export const REP_F2 = 2;

export const BASE_NONE = -1;
export const BASE_RIP = -2;
export const SEGMENT_FS = 4;
export const SEGMENT_GS = 5;

const LENGTH_MAX = 15;

/** One decoded instruction. Register numbers include the REX bits. */
export class Insn {
  pc = 0;
  length = 0;
  form: X86Form = X86_FORMS[0]!;
  /** The last opcode byte. */
  opcode = 0;
  /** 2, 4 or 8. */
  opSize = 4;
  rep: number = REP_NONE;
  lock = false;
  has66 = false;
  hasRex = false;
  rexW = false;
  /** 8 when REX.B is set, for registers in the opcode. */
  rexB = 0;
  /** SEGMENT_FS, SEGMENT_GS or 0. */
  segment = 0;
  addr32 = false;
  isReg = false;
  /** The ModRM byte itself, for the x87 opcode that FNSTENV stores. */
  modrm = 0;
  reg = 0;
  rm = 0;
  base: number = BASE_NONE;
  index = -1;
  scale = 0;
  disp = 0;
  /** Immediate, sign- or zero-extended as the form says; immHi counts for 64-bit ones only. */
  imm = 0;
  immHi = 0;
  /** Second immediate of ENTER. */
  imm2 = 0;
  faultPc = 0;
}

// What a byte is as a prefix.
const PLAIN = 0;
const P66 = 1;
const P67 = 2;
const PLOCK = 3;
const PF2 = 4;
const PF3 = 5;
const PIGNORED = 6;
const PFS = 7;
const PGS = 8;
const PREX = 9;

interface Tables {
  readonly prefixKind: Uint8Array;
  /** By map * 256 + opcode: -1, or base * 4 + HAS_MODRM + HAS_RM. */
  readonly info: Int32Array;
  /** By map * 256 + opcode: what may be meant. */
  readonly groups: ReadonlyMap<number, readonly X86Form[]>;
  readonly slotCount: number;
}
const HAS_MODRM = 1;
const HAS_RM = 2;
/** A slot that no one asked for yet. */
const UNKNOWN = -2;

function prefixKinds(): Uint8Array {
  const kinds = new Uint8Array(256);
  kinds[0x66] = P66;
  kinds[0x67] = P67;
  kinds[0xf0] = PLOCK;
  kinds[0xf2] = PF2;
  kinds[0xf3] = PF3;
  for (const byte of [0x26, 0x2e, 0x36, 0x3e]) kinds[byte] = PIGNORED;
  kinds[0x64] = PFS;
  kinds[0x65] = PGS;
  for (let byte = 0x40; byte < 0x50; byte++) kinds[byte] = PREX;
  return kinds;
}

function buildTables(): Tables {
  const groups = new Map<number, X86Form[]>();
  for (const form of X86_FORMS) {
    for (let n = 0; n < form.span; n++) {
      const key = form.map * 256 + form.opcode + n;
      const group = groups.get(key);
      if (group === undefined) groups.set(key, [form]);
      else group.push(form);
    }
  }
  const info = new Int32Array(1024).fill(-1);
  let slotCount = 0;
  for (const [key, forms] of groups) {
    const hasModrm = forms.some((form) => form.hasModrm);
    const hasRm = forms.some((form) => form.rm >= 0);
    info[key] = slotCount * 4 + (hasModrm ? HAS_MODRM : 0) + (hasRm ? HAS_RM : 0);
    slotCount += hasRm ? 512 : hasModrm ? 64 : 4;
  }
  return { prefixKind: prefixKinds(), info, groups, slotCount };
}

/** The row for a slot: the one with the most specific prefix and the narrowest opcode span. */
function bestForm(forms: readonly X86Form[], slot: number, hasModrm: boolean, hasRm: boolean): number {
  const rm = hasRm ? slot & 7 : -1;
  const key = hasRm ? slot >> 3 : slot;
  const prefix = hasModrm ? key >> 4 : key;
  const isReg = (key & 8) !== 0;
  let best: X86Form | undefined;
  for (const form of forms) {
    if (form.prefix >= 0 && form.prefix !== prefix) continue;
    if (hasModrm && form.digit >= 0 && form.digit !== (key & 7)) continue;
    if (hasModrm && form.mod !== "any" && (form.mod === "reg") !== isReg) continue;
    if (form.rm >= 0 && form.rm !== rm) continue;
    if (best === undefined || rank(form) > rank(best)) best = form;
  }
  return best === undefined ? -1 : best.id;
}

function rank(form: X86Form): number {
  return (form.prefix >= 0 ? 2 : 0) + (form.span === 1 ? 1 : 0) + (form.rm >= 0 ? 4 : 0);
}

const TABLES: Tables = buildTables();

/** Decodes instructions of one address space. */
export class Decoder {
  readonly insn: Insn = new Insn();
  /** Form ids, -1 for none, or UNKNOWN: few of the many are ever asked for. */
  readonly #slots: Int16Array = new Int16Array(TABLES.slotCount).fill(UNKNOWN);
  #fetch: Fetch | undefined;
  #at = 0;
  #end = 0;
  #status = DECODE_OK;

  /** Decodes the instruction at `pc` into `insn`. Returns a DECODE_*. */
  decode(fetch: Fetch, pc: number): number {
    const insn = this.insn;
    this.#fetch = fetch;
    this.#at = pc;
    this.#end = pc + LENGTH_MAX;
    this.#status = DECODE_OK;
    insn.pc = pc;
    insn.rep = REP_NONE;
    insn.lock = false;
    insn.has66 = false;
    insn.segment = 0;
    insn.addr32 = false;
    let byte = this.#byte();
    let rex = 0;
    for (;;) {
      const kind = TABLES.prefixKind[byte]!;
      if (kind === PLAIN || this.#status !== DECODE_OK) break;
      rex = 0;
      if (kind === PREX) rex = byte;
      else this.#prefix(kind);
      byte = this.#byte();
    }
    return this.#opcode(byte, rex);
  }

  #prefix(kind: number): void {
    const insn = this.insn;
    switch (kind) {
      case P66:
        insn.has66 = true;
        break;
      case P67:
        insn.addr32 = true;
        break;
      case PLOCK:
        insn.lock = true;
        break;
      case PF2:
        insn.rep = REP_F2;
        break;
      case PF3:
        insn.rep = REP_F3;
        break;
      case PFS:
        insn.segment = SEGMENT_FS;
        break;
      case PGS:
        insn.segment = SEGMENT_GS;
        break;
    }
  }

  #opcode(first: number, rex: number): number {
    const insn = this.insn;
    let map = 0;
    let opcode = first;
    if (first === 0x0f) {
      opcode = this.#byte();
      map = 256;
      if (opcode === 0x38 || opcode === 0x3a) {
        map = opcode === 0x38 ? 512 : 768;
        opcode = this.#byte();
      }
    }
    insn.hasRex = rex !== 0;
    insn.rexW = (rex & 8) !== 0;
    insn.rexB = (rex & 1) << 3;
    insn.opcode = opcode;
    if (this.#status !== DECODE_OK) return this.#finish();
    const info = TABLES.info[map + opcode]!;
    if (info < 0) return this.#illegal();
    const prefix = insn.rep === REP_NONE ? (insn.has66 ? 1 : 0) : insn.rep + 1;
    let slot = (info >> 2) + prefix;
    let modrm = 0;
    if ((info & HAS_MODRM) !== 0) {
      modrm = this.#byte();
      if (this.#status !== DECODE_OK) return this.#finish();
      const key = prefix * 16 + (modrm >= 0xc0 ? 8 : 0) + ((modrm >> 3) & 7);
      slot = (info >> 2) + ((info & HAS_RM) !== 0 ? key * 8 + (modrm & 7) : key);
    }
    let id = this.#slots[slot]!;
    if (id === UNKNOWN) {
      const forms = TABLES.groups.get(map + opcode)!;
      id = bestForm(forms, slot - (info >> 2), (info & HAS_MODRM) !== 0, (info & HAS_RM) !== 0);
      this.#slots[slot] = id;
    }
    if (id < 0) return this.#illegal();
    const form = X86_FORMS[id]!;
    insn.form = form;
    insn.opSize = insn.rexW ? 8 : insn.has66 ? 2 : 4;
    if (form.operandSize !== "") insn.opSize = insn.has66 && !insn.rexW && form.operandSize === "d64" ? 2 : 8;
    if ((info & HAS_MODRM) !== 0) this.#modrm(modrm, rex);
    else insn.isReg = true;
    if (insn.lock && (!form.lock || insn.isReg) && !form.lockAnywhere) return this.#illegal();
    if (form.imm !== IMM_NONE) this.#immediate(form.imm);
    return this.#finish();
  }

  #modrm(modrm: number, rex: number): void {
    const insn = this.insn;
    insn.modrm = modrm;
    insn.reg = ((modrm >> 3) & 7) | ((rex & 4) << 1);
    const low = modrm & 7;
    const mod = modrm >> 6;
    insn.rm = low | insn.rexB;
    insn.isReg = mod === 3;
    if (mod === 3) return;
    insn.disp = 0;
    insn.index = -1;
    insn.base = low | insn.rexB;
    let baseBits = low;
    if (low === 4) {
      const sib = this.#byte();
      const index = ((sib >> 3) & 7) | ((rex & 2) << 2);
      insn.index = index === 4 ? -1 : index;
      insn.scale = sib >> 6;
      baseBits = sib & 7;
      insn.base = baseBits | insn.rexB;
      if (mod === 0 && baseBits === 5) {
        insn.base = BASE_NONE;
        insn.disp = this.#int32();
        return;
      }
    } else if (mod === 0 && low === 5) {
      insn.base = BASE_RIP;
      insn.disp = this.#int32();
      return;
    }
    if (mod === 1) insn.disp = (this.#byte() << 24) >> 24;
    else if (mod === 2) insn.disp = this.#int32();
  }

  #immediate(kind: number): void {
    const insn = this.insn;
    switch (kind) {
      case IMM_8U:
        insn.imm = this.#byte();
        break;
      case IMM_8S:
        insn.imm = (this.#byte() << 24) >> 24;
        break;
      case IMM_16:
        insn.imm = this.#byte() | (this.#byte() << 8);
        break;
      case IMM_Z:
      case IMM_REL32:
        insn.imm = kind === IMM_Z && insn.opSize === 2 ? this.#int16() : this.#int32();
        break;
      case IMM_V:
        insn.imm = insn.opSize === 2 ? this.#int16() : this.#int32();
        insn.immHi = insn.opSize === 8 ? this.#int32() : 0;
        break;
      case IMM_ENTER:
        insn.imm = this.#byte() | (this.#byte() << 8);
        insn.imm2 = this.#byte();
        break;
      case IMM_OFFSET:
        insn.imm = this.#int32();
        insn.immHi = insn.addr32 ? 0 : this.#int32();
        break;
    }
  }

  /** The next byte; 0 once something has gone wrong. */
  #byte(): number {
    if (this.#status !== DECODE_OK) return 0;
    if (this.#at >= this.#end) {
      this.#status = DECODE_TOO_LONG;
      return 0;
    }
    const byte = this.#fetch!.byte(this.#at);
    if (byte < 0) {
      this.#status = DECODE_FETCH;
      this.insn.faultPc = this.#at;
      return 0;
    }
    this.#at++;
    return byte;
  }

  #int16(): number {
    const lo = this.#byte();
    return ((lo | (this.#byte() << 8)) << 16) >> 16;
  }

  #int32(): number {
    const b0 = this.#byte();
    const b1 = this.#byte();
    const b2 = this.#byte();
    return b0 | (b1 << 8) | (b2 << 16) | (this.#byte() << 24);
  }

  #illegal(): number {
    this.insn.length = this.#at - this.insn.pc;
    return DECODE_ILLEGAL;
  }

  #finish(): number {
    this.insn.length = this.#at - this.insn.pc;
    return this.#status;
  }
}
