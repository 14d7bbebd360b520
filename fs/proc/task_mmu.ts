// SPDX-License-Identifier: Apache-2.0
// /proc/PID/maps, smaps, smaps_rollup. Source: proc_pid_maps(5), proc_pid_smaps(5).

import type { Task } from "../../include/linux/sched.ts";
import { PROT_EXEC, PROT_READ, PROT_WRITE } from "../../include/uapi/mman.ts";
import { majorOf, minorOf } from "../../include/uapi/stat.ts";
import { mmStruct, type ProcessMm } from "../../mm/mm.ts";
import { frameOf, PTE_FILE } from "../../mm/pgtable.ts";
import type { VmaArea } from "../../mm/vma.ts";
import { PTE_DIRTY } from "../../virt/layout.ts";

/** Column at which the name of a mapping starts. */
const NAME_COLUMN = 73;

export function isAnonymousArea(area: VmaArea): boolean {
  return area.file === undefined || area.file.path === undefined;
}
export function isExecutableFile(area: VmaArea): boolean {
  return area.file !== undefined && (area.prot & PROT_EXEC) !== 0;
}

function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, "0");
}

function mapsLine(reader: Task, mm: ProcessMm, area: VmaArea): string {
  const inode = area.mapping?.inode ?? area.file?.inode;
  const rights = `${(area.prot & PROT_READ) !== 0 ? "r" : "-"}${(area.prot & PROT_WRITE) !== 0 ? "w" : "-"}`
    + `${(area.prot & PROT_EXEC) !== 0 ? "x" : "-"}${area.isShared ? "s" : "p"}`;
  const isFile = area.file !== undefined;
  const shown = isFile ? area.file?.inode ?? inode : undefined;
  const dev = shown?.superBlock.dev ?? 0;
  const line = `${hex(area.start, 8)}-${hex(area.end, 8)} ${rights} ${hex(isFile ? area.offset : 0, 8)} `
    + `${hex(majorOf(dev), 2)}:${hex(minorOf(dev), 2)} ${shown?.ino ?? 0}`;
  const name = nameOf(reader, mm, area);
  return name === "" ? `${line} \n` : `${line.padEnd(NAME_COLUMN)}${name}\n`;
}

function nameOf(reader: Task, mm: ProcessMm, area: VmaArea): string {
  const { file } = area;
  if (file !== undefined) {
    const path = file.path === undefined ? file.anonymousName : reader.kernel.vfs.pathName(reader, file.path);
    return path.replaceAll("\n", "\\012");
  }
  if (area.name !== undefined) return area.name;
  if (mm.startStack >= area.start && mm.startStack < area.end) return "[stack]";
  return "";
}

export function showMaps(reader: Task, task: Task): string {
  if (task.mm === undefined) return "";
  const mm = mmStruct(task.mm);
  let text = "";
  for (const area of mm.areas) text += mapsLine(reader, mm, area);
  return text;
}

interface PageCounts {
  resident: number;
  proportional: number;
  proportionalDirty: number;
  sharedClean: number;
  sharedDirty: number;
  privateClean: number;
  privateDirty: number;
  anonymous: number;
}

function countPages(mm: ProcessMm, area: VmaArea): PageCounts {
  const counts = {
    resident: 0,
    proportional: 0,
    proportionalDirty: 0,
    sharedClean: 0,
    sharedDirty: 0,
    privateClean: 0,
    privateDirty: 0,
    anonymous: 0,
  };
  const { frames, ram } = mm.kernel;
  mm.eachTable(area.start, area.end, (table, from, to) => {
    for (let i = table + from; i < table + to; i++) {
      const entry = ram.u32[i]!;
      const frame = frameOf(entry);
      if (entry === 0 || frame === mm.memory.zeroFrame) continue;
      const isFile = (entry & PTE_FILE) !== 0;
      // A page cache holds one of the references.
      const users = Math.max(1, frames.references(frame) - (isFile ? 1 : 0));
      counts.resident++;
      counts.proportional += 1 / users;
      if (!isFile) counts.anonymous++;
      const isDirty = !isFile || (entry & PTE_DIRTY) !== 0;
      if (isDirty) counts.proportionalDirty += 1 / users;
      if (users > 1) counts[isDirty ? "sharedDirty" : "sharedClean"]++;
      else counts[isDirty ? "privateDirty" : "privateClean"]++;
    }
  });
  return counts;
}

function line(name: string, pages: number): string {
  return `${`${name}:`.padEnd(16)}${String(Math.floor(pages * 4)).padStart(8)} kB\n`;
}

function countLines(counts: PageCounts): string {
  return line("Rss", counts.resident) + line("Pss", counts.proportional)
    + line("Pss_Dirty", counts.proportionalDirty)
    + line("Shared_Clean", counts.sharedClean) + line("Shared_Dirty", counts.sharedDirty)
    + line("Private_Clean", counts.privateClean) + line("Private_Dirty", counts.privateDirty)
    + line("Referenced", counts.resident) + line("Anonymous", counts.anonymous) + line("KSM", 0)
    + line("LazyFree", 0) + line("AnonHugePages", 0) + line("ShmemPmdMapped", 0) + line("FilePmdMapped", 0)
    + line("Shared_Hugetlb", 0) + line("Private_Hugetlb", 0) + line("Swap", 0) + line("SwapPss", 0)
    + line("Locked", 0);
}

export function showSmaps(reader: Task, task: Task): string {
  if (task.mm === undefined) return "";
  const mm = mmStruct(task.mm);
  let text = "";
  for (const area of mm.areas) {
    text += mapsLine(reader, mm, area) + line("Size", area.pages) + line("KernelPageSize", 1)
      + line("MMUPageSize", 1)
      + countLines(countPages(mm, area)) + `THPeligible:           0\nVmFlags: ${vmFlags(area)} \n`;
  }
  return text;
}

function vmFlags(area: VmaArea): string {
  const flags: string[] = [];
  if ((area.prot & PROT_READ) !== 0) flags.push("rd");
  if ((area.prot & PROT_WRITE) !== 0) flags.push("wr");
  if ((area.prot & PROT_EXEC) !== 0) flags.push("ex");
  if (area.isShared) flags.push("sh");
  flags.push("mr", "mw", "me");
  if (area.isStack) flags.push("gd");
  if (area.isAccounted) flags.push("ac");
  return flags.join(" ");
}

export function showSmapsRollup(task: Task): string {
  if (task.mm === undefined) return "";
  const mm = mmStruct(task.mm);
  const sum: PageCounts = {
    resident: 0,
    proportional: 0,
    proportionalDirty: 0,
    sharedClean: 0,
    sharedDirty: 0,
    privateClean: 0,
    privateDirty: 0,
    anonymous: 0,
  };
  let start = 0;
  let end = 0;
  for (const area of mm.areas) {
    if (start === 0) ({ start } = area);
    ({ end } = area);
    const counts = countPages(mm, area);
    sum.resident += counts.resident;
    sum.proportional += counts.proportional;
    sum.proportionalDirty += counts.proportionalDirty;
    sum.sharedClean += counts.sharedClean;
    sum.sharedDirty += counts.sharedDirty;
    sum.privateClean += counts.privateClean;
    sum.privateDirty += counts.privateDirty;
    sum.anonymous += counts.anonymous;
  }
  return `${`${hex(start, 8)}-${hex(end, 8)} ---p 00000000 00:00 0`.padEnd(NAME_COLUMN)}[rollup]\n${
    countLines(sum)
  }`;
}
