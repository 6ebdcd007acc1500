#!/bin/bash -eu
# SPDX-License-Identifier: MIT
# Builds the fuzzers into $OUT, as OSS-Fuzz wants them.
fuzz=tests/fuzz
options=(-Dtests=false -Dbench=false -Db_lundef=false)

# The program that makes the seeds, without instruments.
env -u CFLAGS -u CXXFLAGS CC=gcc meson setup "$WORK/plain" "${options[@]}"
ninja -C "$WORK/plain" experiments/peerlab

meson setup "$WORK/fuzz" "${options[@]}" -Dfuzz_engine="$LIB_FUZZING_ENGINE"
names=$(cd $fuzz/dict && ls *.dict | sed 's/\.dict$//')
ninja -C "$WORK/fuzz" $(printf "$fuzz/fuzz_%s " $names)
$fuzz/seeds.sh "$WORK/plain/experiments/peerlab" "$WORK/seeds"

mkdir -p "$OUT/lib"
for name in $names; do
  program=$OUT/fuzz_$name
  cp "$WORK/fuzz/$fuzz/fuzz_$name" "$program"
  cp $fuzz/dict/$name.dict "$program.dict"
  [ ! -f $fuzz/options/$name.options ] || cp $fuzz/options/$name.options "$program.options"
  [ ! -d $fuzz/regressions/$name ] || cp $fuzz/regressions/$name/* "$WORK/seeds/$name/"
  (cd "$WORK/seeds/$name" && zip -q "${program}_seed_corpus.zip" *)
  ldd "$program" | awk '$3 ~ /^\// {print $3}' | grep -vE '/lib(c|m|pthread|dl|rt)\.so' |
    xargs -r cp -nLt "$OUT/lib"
  patchelf --set-rpath '$ORIGIN/lib' "$program"
done
