#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A directory of the host as a contender's programs see it. usage: volume.sh TIMEIT DATADIR WORKDIR [NAME...]
# Copies, lists and reads 2,000 small files, reads a large one, and starts a program that lies there.
export LC_ALL=C PATH=/usr/bin:/bin
T=$1; D=$2; W=$3; shift 3
want() { [ -z "$names" ] || [[ " $names " == *" $1 "* ]]; }
names="$*"
mkdir -p "$W"; cd "$W" || exit 1
echo start
want copy && $T volume.copy cp -r "$D/tree" copied
want find && $T volume.find find "$D/tree" -type f -size +1k
want small && $T volume.small grep -rc a "$D/tree"
want large && $T volume.large cksum "$D/text.20m"
want exec && $T volume.exec bash -c "for ((i = 0; i < 50; i++)); do $T exec /bin/true; done"
exit 0
