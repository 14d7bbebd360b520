#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# As floor.sh, for GNU sort. usage: sort.sh DATADIR [WORKDIR]
# Its checks are in sort's own code and in its memcmp (sort.c), not in the C library's input, output and memchr.
set -e
here=$(cd "$(dirname "$0")" && pwd)
data=$(cd "$1" && pwd)
mkdir -p "${2:-floor}"; cd "${2:-floor}"
. "$here/ways.sh"
fetch coreutils coreutils-*/
source=$PWD/$(echo coreutils-*/)

# WORKDIR CONFIGURE-ARGUMENT...: config.h and gnulib's headers; of the rest nothing is used.
configure() {
  mkdir -p "$1"
  (cd "$1"; shift
  [ -e lib/configmake.h ] && exit
  FORCE_UNSAFE_CONFIGURE=1 fu_cv_sys_mounted_getfsstat=yes "$source/configure" --disable-nls --disable-threads --without-selinux \
    --without-libgmp --without-openssl --disable-acl --disable-libcap --disable-xattr "$@" > configure.log 2>&1
  printf 'headers: $(BUILT_SOURCES) lib/configmake.h\n' > headers.mk
  make -k -s -f Makefile -f headers.mk headers > make.log 2>&1 || :)
}
configure sort-native CFLAGS=-O2
configure sort-wasm --host=wasm32-wasi CC="$clang" CFLAGS="-O2 -w ${wasm#*-O2}" LIBS="$libraries"
mkdir -p sort-wasm/none/sys; : > sort-wasm/none/sys/wait.h

includes() { echo "-I$1 -I$1/lib -I$1/src -I$source -I$source/lib"; }
native="$native -no-pie $(includes sort-native)"
wasm="$wasm -DWORDS $(includes sort-wasm) -idirafter sort-wasm/none -DSIG_BLOCK=0 -DSIG_SETMASK=2 -DWNOHANG=1 -DO_BINARY=0
  -DGNULIB_defined_verify_NSIG_constraint=1"
native_checks="$native_checks -DWORDS"
# gnulib would replace what it can't try out when it's configured for another machine.
for f in close fclose free fstat malloc memchr open realloc stat unlink; do plain="$plain -Drpl_$f=$f"; done
# What this way through sort never calls need not be there.
four_ways sort $plain -Wl,--unresolved-symbols=ignore-all "$here/sort.c" \
  "$source/lib/xmalloc.c" "$source/lib/ialloc.c" "$source/lib/reallocarray.c" "$source/lib/heap.c" "$source/lib/fadvise.c"

compare sort "$data/lines.1m"
