#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Every reader's harness on inputs that once failed, on seeds and on changed copies of both, without
# a fuzzer: fuzz.sh SOURCE BUILD
set -u
source=$(cd "$1" && pwd)
build=$(cd "$2" && pwd)
. "$source/tests/support/checks.sh" || exit 1
folder=$(mktemp -d -p "$([ -w /dev/shm ] && echo /dev/shm || echo /tmp)")
trap 'rm -rf "$folder"' EXIT
export TMPDIR=$folder

check "the program makes seeds" "$source/tests/fuzz/seeds.sh" "$build/experiments/peerlab" "$folder/seeds"
holds() { # holds HARNESS COPIES FOLDER
  [ -n "$(ls "$3")" ] || { echo "$3: nothing there"; return 1; }
  timeout 120 "$build/tests/fuzz/fuzz_$1" -m "$2" "$3" >"$folder/said" 2>&1 ||
    { echo "status $?"; tail -n 30 "$folder/said"; return 1; }
}
for dictionary in "$source"/tests/fuzz/dict/*.dict; do
  name=$(basename "$dictionary" .dict)
  check "$name: seeds" holds "$name" 100 "$folder/seeds/$name"
  [ ! -d "$source/tests/fuzz/regressions/$name" ] ||
    check "$name: what once failed" holds "$name" 20 "$source/tests/fuzz/regressions/$name"
done
a_harness_each() {
  for file in "$source"/tests/fuzz/*.c; do
    name=$(basename "$file" .c)
    case $name in fuzz | main) continue ;; esac
    [ -f "$source/tests/fuzz/dict/$name.dict" ] || echo "no dictionary for $name"
  done | nothing
}
check "every harness has a dictionary" a_harness_each
finish
