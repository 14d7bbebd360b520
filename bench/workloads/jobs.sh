#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What else people run: scripts with processes, threads and sockets, text tools, builds, archives. usage: jobs.sh TIMEIT DATADIR WORKDIR [NAME...]
# Copies the inputs into WORKDIR (memory-backed), then times each job.
export LC_ALL=C HOME=$3 GIT_CONFIG_NOSYSTEM=1 PATH=/usr/bin:/bin
here=$(cd "$(dirname "$0")" && pwd)/jobs; T=$1; D=$2; W=$3; shift 3
want() { [ -z "$names" ] || [[ " $names " == *" $1 "* ]]; }
names="$*"
mkdir -p "$W"; cp -r "$D/." "$W/"; cd "$W" || exit 1
head -c 6000000 text.20m > text.6m
{
  printf 'all: %s\n' "$(seq -s ' ' -f 'o%g' 60)"
  seq -f 'o%g:; @echo $@ > $@' 60
} > makefile
echo start
want pool && $T jobs.pool python3 "$here/pool.py"
want threads && $T jobs.threads python3 "$here/threads.py"
want json && $T jobs.json python3 "$here/json_text.py"
want floats && $T jobs.floats python3 "$here/floats.py"
want children && $T jobs.children python3 "$here/children.py"
want sockets && $T jobs.sockets python3 "$here/sockets.py"
want subshells && $T jobs.subshells bash -c 'x=0; for ((i = 0; i < 300; i++)); do y=$(echo $i); x=$((x + y)); done; echo $x'
want strings && $T jobs.strings bash -c 'for ((i = 0; i < 60000; i++)); do s=${s:0:5}$((i % 10)); [[ $s == *9 ]] && n=$((n + 1)); done; echo $n'
want pipeline && $T jobs.pipeline bash -c 'for i in 1 2 3 4 5 6 7 8; do cat text.6m | tr a-z A-Z | cut -c1-20 | wc -l; done'
want awk && $T jobs.awk awk '{ for (i = 1; i <= NF; i++) n[$i]++ } END { for (w in n) c++; print c }' text.6m
want sed && $T jobs.sed sed -n 's/\([a-z]*\) \([a-z]*\)/\2 \1/p' text.6m
want words && $T jobs.words bash -c 'tr " " "\n" < text.6m | sort | uniq -c | sort -rn | head -5'
want perl_re && $T jobs.perl_re perl -ne 'while (/(\w+)/g) { $n{$1}++ } END { print scalar keys %n }' text.6m
want find && $T jobs.find bash -c 'for i in 1 2 3 4 5; do find /usr -xdev -name "*.so*" | wc -l; done'
want make && $T jobs.make make -s -j4
want bzip2 && $T jobs.bzip2 bzip2 -k -f text.3m
want unxz && $T jobs.unxz bash -c 'xz -1 -c text.3m > t.xz; for i in 1 2 3 4 5 6; do xz -dc t.xz | md5sum; done'
want sums && $T jobs.sums bash -c 'md5sum text.20m; sha1sum text.20m; b2sum text.20m; cksum text.20m'
want cipher && $T jobs.cipher bash -c 'openssl enc -aes-256-cbc -k x -pbkdf2 -in text.20m -out encrypted'
want history && $T jobs.history bash -c 'cd repo && git init -q && git add . && git -c user.name=a -c user.email=a@b.c commit -qm x && git log --stat | wc -l; git gc -q; git grep -c the | wc -l'
want diff && $T jobs.diff bash -c 'tac lines.1m | head -60000 > a; sort a > b; diff a b | wc -l'
want bc && $T jobs.bc bash -c 'echo "scale=600; 4*a(1)" | bc -l | tail -1'
exit 0
