# SPDX-License-Identifier: Apache-2.0
# What floor.sh, sort.sh and python.sh share: how a program is fetched, compiled four ways and measured. They source it with $here set, in their WORKDIR.
# Needs Node 20, the Debian packages gcc, clang, lld and wasi-libc, and a "deb-src" line for apt.

# WASI's headers and libraries without the host's beside them, which configure would find.
mkdir -p wasi/lib
ln -sfn /usr/include/wasm32-wasi wasi/include
ln -sfn /usr/lib/wasm32-wasi wasi/lib/wasm32-wasi

# A check as the compiler puts it in itself, against a shadow of zeros: a shift, a load, a comparison and a branch.
native_checks="-fsanitize=kernel-address --param asan-stack=0 --param asan-globals=0 \
  --param asan-instrumentation-with-call-threshold=100000000 -fasan-shadow-offset=0x100000000000"
wasm_checks="-Xclang -fsanitize=kernel-address -mllvm -asan-stack=0 \
  -mllvm -asan-instrumentation-with-call-threshold=100000000 -mllvm -asan-mapping-offset=0x20000000"
native="gcc -O2"
clang="clang --target=wasm32-wasi --sysroot=$PWD/wasi"
wasm="$clang -O2 -D_WASI_EMULATED_SIGNAL -D_WASI_EMULATED_PROCESS_CLOCKS"
libraries="-lwasi-emulated-signal -lwasi-emulated-process-clocks"
memory="-Wl,--initial-memory=805306368"

compile_checks() {
  gcc -w -O2 -c "$here/checks.c" -o checks.o
  $clang -w -O2 -c "$here/checks.c" -o checks-wasm.o
}

# NAME OPTIONS-AND-SOURCES...
four_ways() {
  name=$1; shift
  compile_checks
  $native -w "$@" -o "$name" -lm
  $native -w $native_checks "$@" checks.o -o "$name-checks" -lm
  $wasm -w "$@" $libraries $memory -o "$name.wasm"
  $wasm -w $wasm_checks "$@" checks-wasm.o $libraries $memory -o "$name-checks.wasm"
}

# PACKAGE DIRECTORY. The original source: what Debian patches is not what is measured.
fetch() {
  [ -e "$2" ] || { apt-get source -qq --download-only "$1" || :; tar xf "${1}"_*.orig.tar.?z; }
}

# NAME FILE ARGUMENT-BEFORE-IT...
compare() { node --no-warnings "$here/floor.mjs" "$@"; }
