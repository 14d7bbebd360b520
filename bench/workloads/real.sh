#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Real programs. usage: real.sh TIMEIT DATADIR WORKDIR [NAME...]
# Copies the inputs into WORKDIR (memory-backed), then times each program.
export LC_ALL=C HOME=$3 GIT_CONFIG_NOSYSTEM=1 PATH=/usr/bin:/bin
here=$(cd "$(dirname "$0")" && pwd); T=$1; D=$2; W=$3; shift 3
want() { [ $# -eq 1 ] && [ -z "$names" ] || [[ " $names " == *" $1 "* ]]; }
names="$*"
mkdir -p "$W"; cp -r "$D/." "$W/"; cd "$W" || exit 1
echo start
want hello && $T real.hello /bin/echo hi
want py_start && $T real.py_start /usr/bin/python3 -c 'print(1)'
want python && $T real.python /usr/bin/python3 "$here/nbody.py" 60000
want perl && $T real.perl perl "$here/loop.pl" 400000
want sqlite && $T real.sqlite sqlite3 :memory: ".read $here/work.sql"
want gzip && $T real.gzip gzip -6 -k -f text.20m
want xz && $T real.xz xz -1 -T1 -k -f text.3m
want sha256 && $T real.sha256 openssl dgst -sha256 text.20m text.20m text.20m text.20m text.20m text.20m text.20m text.20m text.20m text.20m
want gcc && $T real.gcc gcc -O2 -c big.c -o big.o
want bash && $T real.bash bash -c 'for ((i = 0; i < 500; i++)); do /bin/true; done'
want tar && $T real.tar bash -c 'for i in 1 2; do tar cf t.tar tree && mkdir -p x && tar xf t.tar -C x && rm -rf x; done'
want sort && $T real.sort sort --parallel=1 -S 256M lines.1m -o sorted
if want git; then
  $T real.git bash -c 'cd repo && git init -q && git add . && git -c user.name=a -c user.email=a@b.c -c gc.auto=0 commit -q -m one && git status -s'
  rm -rf repo/.git
fi
exit 0
