#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Runs the fuzzers in turn: run.sh BUILD PEERLAB SECONDS [HARNESS...]
# Corpora grow in BUILD/fuzz/HARNESS, findings are kept in BUILD/fuzz/findings. SECONDS is for all.
set -u
here=$(cd "$(dirname "$0")" && pwd)
build=$(realpath "$1") peerlab=$(realpath "$2") seconds=$3
shift 3
[ $# -gt 0 ] || set -- $(cd "$here/dict" && ls -- *.dict | sed 's/\.dict$//')
out=$build/fuzz
mkdir -p "$out/findings" "$out/logs"
memory=$(mktemp -d -p "$([ -w /dev/shm ] && echo /dev/shm || echo /tmp)")
trap 'rm -rf "$memory"' EXIT
"$here/seeds.sh" "$peerlab" "$memory/seeds" || exit 1
share=$((seconds / $#))
[ "$share" -gt 0 ] || share=1
total=0 found=0
printf '%-12s %12s %10s %8s  %s\n' harness inputs inputs/s seconds findings
for name in "$@"; do
  mkdir -p "$out/$name"
  log=$out/logs/$name.log
  : >"$log"
  folders=("$out/$name" "$memory/seeds/$name")
  [ ! -d "$here/regressions/$name" ] || folders+=("$here/regressions/$name")
  longest=$(sed -n 's/^max_len = //p' "$here/options/$name.options" 2>/dev/null)
  left=$share inputs=0 here_found=0
  while [ "$left" -gt 0 ] && [ "$here_found" -lt 20 ]; do # after a finding it goes on
    begin=$(date +%s)
    TMPDIR=$memory OMP_NUM_THREADS=1 ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1 \
      "$build/tests/fuzz/fuzz_$name" -dict="$here/dict/$name.dict" -max_len="${longest:-4096}" \
      -max_total_time="$left" -timeout=10 -rss_limit_mb=2048 -malloc_limit_mb=512 \
      -print_final_stats=1 -verbosity=0 -artifact_prefix="$out/findings/$name-" "${folders[@]}" >"$log.part" 2>&1
    status=$?
    cat "$log.part" >>"$log"
    inputs=$((inputs + $(sed -n 's/^stat::number_of_executed_units: *//p' "$log.part" | tail -n 1 | grep . || echo 0)))
    left=$((left - ($(date +%s) - begin)))
    [ $status = 0 ] && break
    here_found=$((here_found + 1))
  done
  rm -f "$log.part"
  took=$((share - left))
  [ "$took" -gt 0 ] || took=1
  printf '%-12s %12d %10d %8d  %d\n' "$name" "$inputs" $((inputs / took)) "$took" "$here_found"
  total=$((total + inputs)) found=$((found + here_found))
done
echo "$total inputs, $found findings"
[ "$found" = 0 ] || echo "They are in $out/findings; what was said of them in $out/logs."
[ "$found" = 0 ]
