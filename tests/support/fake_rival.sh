#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A rival for test_rival: keeps the protocol of bench/rival.h, or breaks it in the way of its
# argument. It computes the sum of its options, and hands out the last array it got.
set -u
way=$1
case $way in
  silent) exit 3 ;;
  missing) echo "missing No module named 'torch'"; exit ;;
  babbling) echo "welcome" ;;
  deaf) echo "hello deaf"; exec sleep 1000 ;;
esac
echo "hello fake 1.0, OMP_NUM_THREADS=${OMP_NUM_THREADS:-}"
sum=0
while read -r word name rest; do
  case $word in
    option) sum=$((sum + rest)) ;;
    tensor)
      shape=${rest#* } kind=${rest%% *} count=1
      for n in $shape; do count=$((count * n)); done
      bytes=$(head -c $((4 * count)) | od -An -v -tx1 | tr -d '\n' | sed 's/ /\\x/g') ;;
    ready) echo ready ;;
    run)
      [ "$way" != crashing ] || kill -SEGV $$
      [ "$way" != failing ] || { echo "failed ValueError: too many experts"; exit; }
      [ "$way" != instant ] || sum=0
      echo "seconds $sum" ;;
    get)
      [ "$way" != short ] || { printf 'tensor %s %s %s\nxy' "$name" "$kind" "$shape"; exit; }
      printf 'tensor %s %s %s\n' "$name" "$kind" "$shape"
      printf '%b' "$bytes" ;;
  esac
done
