#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# As floor.sh, for CPython: workloads/nbody.py. usage: python.sh [WORKDIR]
# The interpreter is built four times, which takes six minutes.
set -e
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "${1:-floor}"; cd "${1:-floor}"
. "$here/ways.sh"
fetch python3.11 Python-3.11.*/
source=$PWD/$(echo Python-3.11.*/)
compile_checks

# DIRECTORY PROGRAM CONFIGURE-ARGUMENT... -- MAKE-ARGUMENT...
build() {
  directory=$1 program=$2 configure=(); shift 2
  while [ "$1" != -- ]; do configure+=("$1"); shift; done; shift
  mkdir -p "$directory"
  (cd "$directory"
  [ -e Makefile ] || "$source/configure" --disable-test-modules --without-ensurepip OPT="-DNDEBUG -fwrapv -O2" "${configure[@]}" > configure.log 2>&1
  : > Modules/Setup.stdlib # nbody.py needs none of them.
  make -s "$program" "$@" > make.log 2>&1)
}
wasi=(--host=wasm32-unknown-wasi --build=x86_64-pc-linux-gnu --with-build-python="$PWD/python-native/python"
  CONFIG_SITE="$source/Tools/wasm/config.site-wasm32-wasi" CC="$clang" CPP="$clang -E" AR=ar RANLIB=ranlib PKG_CONFIG=false)
build python-native python --
build python-native-checks python -- EXTRA_CFLAGS="$native_checks" LDFLAGS_NODIST="$PWD/checks.o"
build python-wasm python.wasm "${wasi[@]}" --
build python-wasm-checks python.wasm "${wasi[@]}" -- EXTRA_CFLAGS="$wasm_checks" LDFLAGS_NODIST="$memory $PWD/checks-wasm.o"
ln -sf python-native/python python; ln -sf python-native-checks/python python-checks
ln -sf python-wasm/python.wasm python.wasm; ln -sf python-wasm-checks/python.wasm python-checks.wasm

export PYTHONPATH; PYTHONPATH=$(echo Python-3.11.*/Lib)
compare python "$here/../workloads/nbody.py" -c "$(cat "$here/python.py")" 60000
