#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a compiler that has the source makes of SQLite and liblzma for WebAssembly, with and without a check of each access to memory, against the same
# natively: what a translator of machine code can hope for at best. usage: floor.sh DATADIR [WORKDIR]
# DATADIR is what workloads/mkdata.sh has made; it takes five minutes, and WORKDIR (./floor) keeps what was fetched and built. Needs tcl and what ways.sh
# needs. The same for GNU sort: sort.sh, for CPython: python.sh, and for clang: clang.sh.
set -e
here=$(cd "$(dirname "$0")" && pwd)
data=$(cd "$1" && pwd)
mkdir -p "${2:-floor}"; cd "${2:-floor}"
. "$here/ways.sh"
ls -d sqlite3-*/ xz-utils-*/ > /dev/null 2>&1 || apt-get source -qq sqlite3 xz-utils

cd sqlite3-*/; [ -e sqlite3.c ] || { ./configure --disable-tcl > /dev/null; make -s sqlite3.c; }; cd ..
sqlite=$(echo sqlite3-*/)
four_ways sqlite -DSQLITE_OS_OTHER=1 -DSQLITE_THREADSAFE=0 -DSQLITE_OMIT_LOAD_EXTENSION -DSQLITE_TEMP_STORE=3 \
  -I"$sqlite" "$here/sqlite.c" "$sqlite/sqlite3.c"

lib=$(echo xz-utils-*/src/liblzma)
encoder="common/common.c common/filter_common.c common/filter_encoder.c common/filter_buffer_encoder.c lz/lz_encoder.c
  lz/lz_encoder_mf.c lzma/lzma_encoder.c lzma/lzma_encoder_optimum_fast.c lzma/lzma_encoder_optimum_normal.c
  lzma/lzma_encoder_presets.c lzma/lzma2_encoder.c lzma/fastpos_table.c rangecoder/price_table.c check/crc32_table.c"
four_ways xz -include "$here/xz-config.h" -I"$lib/api" -I"$lib/common" -I"$lib/check" -I"$lib/lz" -I"$lib/rangecoder" \
  -I"$lib/lzma" -I"$lib/delta" -I"$lib/simple" -I"$lib/../common" "$here/xz.c" $(printf "$lib/%s " $encoder)

compare sqlite "$here/../workloads/work.sql"
compare xz "$data/text.3m"
