#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# usage: mkdata.sh DIR   writes the deterministic inputs of real.sh into DIR.
set -e
D=$1; mkdir -p "$D"; cd "$D"
perl -e '
  my $s = 12345; sub r { $s = ($s * 1103515245 + 12345) & 0x7fffffff; ($s >> 8) % $_[0] }
  my @w = map { join "", map { chr(97 + r(26)) } 1 .. 2 + r(8) } 1 .. 4000;
  open F, ">text.20m"; my $n = 0;
  while ($n < 20e6) { my $l = join(" ", map { $w[r(r(4000) + 1)] } 1 .. 5 + r(10)) . "\n"; print F $l; $n += length $l }
  close F;
  open F, ">lines.1m"; printf F "%08x %s\n", r(1 << 22) * 997 & 0xffffffff, $w[r(4000)] for 1 .. 1e6; close F;
  mkdir "tree"; mkdir "repo";
  for my $i (0 .. 1999) {
    my $d = sprintf "tree/d%02d", $i / 50; mkdir $d;
    open F, sprintf(">%s/f%04d.txt", $d, $i); print F join(" ", map { $w[r(4000)] } 1 .. 50 + r(600)), "\n"; close F;
  }
  for my $i (0 .. 499) {
    my $d = sprintf "repo/d%02d", $i / 25; mkdir $d;
    open F, sprintf(">%s/f%03d.c", $d, $i); print F join("\n", map { $w[r(4000)] . " " . r(99999) } 1 .. 20 + r(150)), "\n"; close F;
  }
  open F, ">big.c";
  print F "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n";
  for my $i (0 .. 49) {
    print F "struct s$i { int a, b; double d[8]; struct s$i *next; };\n",
      "int f$i(struct s$i *p, int n) {\n  int t = ", r(1000), ";\n",
      "  for (int i = 0; i < n; i++) {\n    if (p->a > ", r(99), ") t += p->b * ", r(99), "; else t ^= (t << ", 1 + r(9), ") + i;\n",
      "    switch (t & 7) { case 1: p->d[i & 7] *= 1.", r(99), "; break; case 2: t -= (int)p->d[t & 7]; break; case 5: p = p->next ? p->next : p; break; default: p->a = t % ", 2 + r(50), "; }\n  }\n",
      ($i ? "  return t + f" . r($i) . "((void *)p, n - 1);\n" : "  return t;\n"), "}\n";
  }
  print F "int main(int c, char **v) { struct s49 *p = calloc(1, sizeof *p); printf(\"%d\\n\", f49(p, c > 1 ? atoi(v[1]) : 3)); }\n";
  close F;'
head -c 3000000 text.20m > text.3m
