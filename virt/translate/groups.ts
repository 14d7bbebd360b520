// SPDX-License-Identifier: Apache-2.0
// Which accesses of a block share one check: those off the same value whose displacements lie close together.
//
// A group whose base is the value that a register has when the block begins belongs to a slot: a register and a range
// of displacements, the same in the whole region (findSlots), so that a check can hold for the blocks that follow. A group
// that writes anywhere is checked in the write TLB.

import { FLAG_WRITE, Op, OPS } from "../ir/ops.ts";
import { PAGE_SIZE } from "../layout.ts";
import { LOADS, STORES } from "../runtime/access.ts";
import type { IrBlock } from "./ir-block.ts";

/** Frames of functions are worth more than other objects: they are used in every block. */
const FRAME_BYTES_MAX = 256;
const OBJECT_BYTES_MAX = 96;
const STACK_POINTER = 4;
const FRAME_POINTER = 5;
/** Stands for the value that accesses to static data are off (code-base.ts), as if it were a register. */
export const CODE_BASE = 16;
const BASES = CODE_BASE + 1;

/** Displacements off a register, [min, end), that are checked together. */
export interface Slot {
  /** Among the region's. */
  index: number;
  readonly register: number;
  /** Accesses to it add an index of their own (tables.ts); others are not its members. */
  readonly isTable: boolean;
  min: number;
  end: number;
  /** i32 local with the host address of register + min, or 0; -1 while nothing wants one. */
  local: number;
}

export interface Group {
  /** Temp whose value the displacements are off, and the register whose value at the block's start that is; or -1. */
  readonly base: number;
  readonly register: number;
  min: number;
  end: number;
  isWrite: boolean;
  members: number;
  /** Whether some member is reached before its instruction acts, so that the check is surely made here. */
  isSure: boolean;
  /** After a call to TypeScript, which may have changed what is mapped. */
  readonly isLate: boolean;
  slot: Slot | undefined;
  /** What earlier blocks say of the slot; decided by facts.ts. */
  known: "no" | "maybe" | "surely";
  /** Whether the local of some slot takes the host address over at the block's end. */
  isPublished: boolean;
  /** It reads what later blocks may write, and is looked for in the write TLB first, so that those need not look again. */
  hopes: boolean;
  /** Where the slot's local is 0 it has a host address of its own: what may only be read is not for those who write. */
  keepsSlot: boolean;
  /** Local with the host address of base + hostMin; -1 before the check. */
  host: number;
  hostMin: number;
  /** Of a group that hopes, once checked: local with the same where it may be written, else 0; or -1. */
  hoped: number;
}

export type SlotsByRegister = readonly (readonly Slot[])[];

export interface Groups {
  readonly all: readonly Group[];
  /** By record: its group. */
  readonly byRecord: readonly (Group | undefined)[];
}

export const NO_GROUPS: Groups = { all: [], byRecord: [] };

/** A member of a group to be. */
interface Access {
  readonly min: number;
  /** As far as the index may lead. */
  readonly end: number;
  readonly isWrite: boolean;
  readonly isTable: boolean;
}

export function isStack(group: Group): boolean {
  return group.register === STACK_POINTER;
}

/** How far a check reaches at most; off CODE_BASE it goes by pages. */
export function bytesMax(register: number): number {
  return register === STACK_POINTER || register === FRAME_POINTER ? FRAME_BYTES_MAX : OBJECT_BYTES_MAX;
}

// By operation, because every record of every block is looked at.
const WIDTHS = Uint8Array.from(OPS, (_, op) => (LOADS.get(op) ?? STORES.get(op))?.bytes ?? 0);
const IS_LOAD = Uint8Array.from(OPS, (_, op) => (LOADS.has(op) ? 1 : 0));
const CHANGES_STATE = Uint8Array.from(
  OPS,
  ({ flags }, op) => ((flags & FLAG_WRITE) !== 0 || STORES.has(op) || op === Op.ext ? 1 : 0),
);

/** Bytes that a record accesses; 0 for others. */
export function accessBytes(ir: IrBlock, i: number): number {
  const op = ir.op[i]!;
  return op === Op.probe_write ? ir.imm2[i]! : WIDTHS[op]!;
}

/** The register whose value at the block's start a temp is, CODE_BASE, or -1. */
export function registerOf(ir: IrBlock, temp: number): number {
  if (temp === ir.codeBase) return CODE_BASE;
  return ir.op[temp] === Op.get_gpr ? ir.imm[temp]! : -1;
}

/** The slots of a region: for each register, clusters of the displacements that any block uses off its first value. */
export function findSlots(irs: readonly IrBlock[]): SlotsByRegister {
  const found: Access[][] = Array.from({ length: BASES }, () => []);
  for (const ir of irs) {
    for (let i = 0; i < ir.length && ir.op[i] !== Op.ext; i++) {
      const bytes = accessBytes(ir, i);
      const register = bytes === 0 ? -1 : registerOf(ir, ir.a[i]!);
      if (register >= 0) found[register]!.push(accessAt(ir, i, bytes));
    }
  }
  const slots = found.map((list, register) =>
    [false, true].flatMap((isTable) => cluster(list, register, isTable))
  );
  slots.flat().forEach((slot, n) => (slot.index = n));
  return slots;
}

function accessAt(ir: IrBlock, i: number, bytes: number): Access {
  const min = ir.imm[i]!;
  const index = ir.indexes?.get(i);
  return {
    min,
    end: min + bytes + (index?.max ?? 0),
    isWrite: IS_LOAD[ir.op[i]!] === 0,
    isTable: index !== undefined,
  };
}

function cluster(accesses: readonly Access[], register: number, isTable: boolean): Slot[] {
  const slots: Slot[] = [];
  const ordered = accesses.filter((access) => access.isTable === isTable).toSorted((a, b) =>
    a.min - b.min || a.end - b.end
  );
  for (const { min, end } of ordered) {
    const last = slots.at(-1);
    const all = Math.max(end, last?.end ?? 0);
    if (last !== undefined && (isTable ? isOneTable(last, min, all) : mayShare(register, last.min, all))) {
      last.end = all;
    } else {
      slots.push({ index: 0, register, isTable, min, end, local: -1 });
    }
  }
  return slots;
}

/** Whether [min, end) is of the same table as a slot, which begins before it. */
function isOneTable(slot: Slot, min: number, end: number): boolean {
  return min < slot.end && end - slot.min <= PAGE_SIZE;
}

/** Whether accesses to [min, end) off a register may have one check. */
function mayShare(register: number, min: number, end: number): boolean {
  return register === CODE_BASE
    ? Math.floor(min / PAGE_SIZE) === Math.floor((end - 1) / PAGE_SIZE)
    : end - min <= bytesMax(register);
}

/** Whether a block has one of the instructions at some guest addresses: its accesses share no checks then. */
export function isApart({ op, imm, length, basePc }: IrBlock, apart: ReadonlySet<number>): boolean {
  if (apart.size === 0) return false;
  for (let i = 0; i < length; i++) if (op[i] === Op.insn && apart.has(basePc + imm[i]!)) return true;
  return false;
}

/** The groups of a block. Without `slots` only those off the stack pointer, each access for itself. */
export function findGroups(ir: IrBlock, slots: SlotsByRegister | undefined): Groups {
  const all: Group[] = [];
  const byRecord: (Group | undefined)[] = [];
  /** Groups from here on are open. */
  let open = 0;
  let isLate = false;
  // Whether the instruction may have changed state before, as the emitter will see it or more often.
  let isDirty = false;
  for (let i = 0; i < ir.length; i++) {
    const op = ir.op[i]!;
    if (op === Op.insn) isDirty = false;
    const wasDirty = isDirty;
    if (CHANGES_STATE[op] === 1) isDirty = true;
    if (op === Op.ext) {
      open = all.length;
      isLate = true;
    }
    const bytes = accessBytes(ir, i);
    if (bytes === 0) continue;
    const base = ir.a[i]!;
    const access = accessAt(ir, i, bytes);
    const register = registerOf(ir, base);
    if (slots === undefined) {
      if (register !== STACK_POINTER) continue;
      byRecord[i] = newGroup(base, register, access, undefined, isLate);
      all.push(byRecord[i]!);
      continue;
    }
    const slot = isLate || register < 0 ? undefined : slotOf(slots[register]!, access);
    if (access.isTable && slot === undefined) continue;
    let group: Group | undefined;
    for (let n = open; n < all.length && group === undefined; n++) {
      if (all[n]!.base === base && takes(all[n]!, access, slot)) group = all[n]!;
    }
    if (group === undefined) {
      group = newGroup(base, register, access, slot, isLate);
      all.push(group);
    }
    group.min = Math.min(group.min, access.min);
    group.end = Math.max(group.end, access.end);
    group.isWrite ||= access.isWrite;
    group.members++;
    group.isSure ||= !wasDirty;
    byRecord[i] = group;
  }
  return { all, byRecord };
}

function slotOf(slots: readonly Slot[], { min, end, isTable }: Access): Slot | undefined {
  for (const slot of slots) if (slot.isTable === isTable && slot.min <= min && end <= slot.end) return slot;
  return undefined;
}

function newGroup(
  base: number,
  register: number,
  access: Access,
  slot: Slot | undefined,
  isLate: boolean,
): Group {
  const { min, end, isWrite } = access;
  return {
    base,
    register,
    min,
    end,
    isWrite,
    members: 0,
    isSure: false,
    isLate,
    slot,
    known: "no",
    isPublished: false,
    hopes: false,
    keepsSlot: false,
    host: -1,
    hostMin: 0,
    hoped: -1,
  };
}

function takes(group: Group, access: Access, slot: Slot | undefined): boolean {
  if (slot !== undefined || group.slot !== undefined) return group.slot === slot;
  return mayShare(group.register, Math.min(group.min, access.min), Math.max(group.end, access.end));
}
