#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What clang takes as WebAssembly to compile a file of C, against Debian's clang of the same series: the nearest there is to a floor for gcc.
# usage: clang.sh DATADIR [WORKDIR]
# Both get the same options and the same preprocessed text, and both compile to WebAssembly, which is all that the one that is WebAssembly can do: the code
# that comes out is compared. That one was built with assertions, so its figure is above the floor. Needs Node 20, npm, and Debian's clang-22 and wasi-libc.
set -e
here=$(cd "$(dirname "$0")" && pwd)
data=$(cd "$1" && pwd)
mkdir -p "${2:-floor}"; cd "${2:-floor}"
[ -e node_modules/@yowasp/clang ] || npm install --silent --no-save --prefix . @yowasp/clang@22.0.0-git20542-10
clang-22 --target=wasm32-wasip1 -I/usr/include/wasm32-wasi -E "$data/big.c" -o big.i
node --no-warnings "$here/clang.mjs"
