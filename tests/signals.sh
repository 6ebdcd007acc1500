#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Signals that stop peerlab, and those that do not: signals.sh SOURCE BUILD
set -u
source=$(cd "$1" && pwd)
peerlab=$(cd "$2" && pwd)/experiments/peerlab
. "$source/tests/support/checks.sh" || exit 1
. "$source/tests/support/peerlab.sh" || exit 1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1

"$peerlab" data synthetic --out text --megabytes 0.05 >log 2>&1 &&
  "$peerlab" data prepare --out data --bytes text >>log 2>&1 || cat log
run_file() { # run_file STEPS
  cat <<TEXT
data: data
model: {width: 16, blocks: 1, context: 32, ffw: peer,
        options: {experts: 64, heads: 2, kept: 4, query_width: 8}}
train: {steps: $1, sequences: 2, length: 32, eval_tokens: 512, usage_points: 2}
TEXT
}
run_file 1000000 >long.yaml

# start FOLDER COMMAND...: a run in the background, once it trains.
start() {
  local out=$1
  shift
  rm -rf "$out"
  "$@" train long.yaml --out "$out" --threads 1 >out 2>err &
  child=$!
  within 30 test -s "$out/curve.csv" || within 30 grep -q . "$out/run.yaml"
}
# Further steps are taken after a signal that is ignored; what is left then stops by TERM.
goes_on() { # goes_on SIGNAL COMMAND...
  local signal=$1 before
  shift
  start ignoring "$@" || return 1
  kill -"$signal" $child
  before=$(wc -l <ignoring/curve.csv)
  within 30 more_rows "$before" || { echo "it does not go on"; cat err; return 1; }
  kill -TERM $child
  wait $child
  [ $? = 3 ] && [ -s ignoring/checkpoint.safetensors ]
}
more_rows() {
  [ "$(wc -l <ignoring/curve.csv)" -gt "$1" ]
}
ignoring() { # ignoring SIGNAL COMMAND...
  local signal=$1
  shift
  exec env --ignore-signal="$signal" "$@"
}
check "under nohup HUP stops nothing" goes_on HUP nohup "$peerlab"
for signal in HUP INT USR1 XCPU; do
  check "an ignored $signal stays ignored" goes_on $signal ignoring $signal "$peerlab"
done

# stops SIGNAL TIMES: as often as a scheduler may say it.
stops() {
  local i
  start stopped hearing "$peerlab" || return 1
  for ((i = 0; i < $2; i++)); do kill -"$1" $child 2>/dev/null; done
  wait $child
  local status=$?
  [ $status = 3 ] && [ -s stopped/checkpoint.safetensors ] && [ ! -e stopped/result.json ] ||
    { echo "status $status"; ls stopped; cat err; return 1; }
}
for signal in INT TERM HUP USR1 XCPU; do
  check "$signal stops a run, with a checkpoint" stops $signal 1
done
for signal in TERM HUP USR1 XCPU; do
  check "$signal again and again loses nothing" stops $signal 20
done

# A sweep and its runs, all told at once and more than once.
cat >sweep.yaml <<'TEXT'
data: data
budgets: [2e12]
sizes: [{width: 8, blocks: 1}, {width: 12, blocks: 1}]
variants: [{name: dense, ffw: dense}]
train: {sequences: 2, length: 32, eval_tokens: 512}
TEXT
sweep_stops() {
  rm -rf sweep
  "$peerlab" sweep run sweep.yaml --out sweep --jobs 2 >out 2>err &
  child=$!
  within 30 test -s sweep/runs/000001/curve.csv && within 30 test -s sweep/runs/000002/curve.csv ||
    return 1
  local runs
  runs=$(grep -l "^PPid:[[:space:]]*$child\$" /proc/[0-9]*/status 2>/dev/null | tr -dc '0-9\n')
  for _ in 1 2 3; do kill -"$1" $child $runs 2>/dev/null; done
  wait $child
  local status=$?
  [ $status = 3 ] && [ -s sweep/runs/000001/checkpoint.safetensors ] &&
    [ -s sweep/runs/000002/checkpoint.safetensors ] &&
    ends 0 "$peerlab" sweep status sweep && grep -q "2 pending" out ||
    { echo "status $status"; cat out err; return 1; }
}
for signal in TERM USR1 XCPU; do
  check "$signal to a sweep and its runs" sweep_stops $signal
done

# gnuplot that does not end by itself, and one that does not even hear SIGTERM.
mkdir slow
cat >slow/gnuplot <<'TEXT'
#!/bin/sh
[ -z "${DEAF-}" ] || trap '' TERM
echo $$ >"$GNUPLOT_PID"
while :; do sleep 0.1; done
TEXT
chmod +x slow/gnuplot
run_file 20 >short.yaml
"$peerlab" train short.yaml --out short >log 2>&1 || cat log
sed 's/2e12/1e8/' sweep.yaml >small.yaml
"$peerlab" sweep run small.yaml --out small >log 2>&1 || cat log
drawing_stops() { # drawing_stops PLACE COMMAND...
  local place=$1
  shift
  rm -f pid
  GNUPLOT_PID=$folder/pid PATH=$folder/slow:$PATH "$@" >out 2>err &
  child=$!
  within 30 test -s pid && kill -TERM $child
  wait $child
  local status=$?
  [ $status = 3 ] && ! kill -0 "$(cat pid)" 2>/dev/null && [ -z "$(find "$place" -name '.new-*')" ] ||
    { echo "status $status"; cat out err; find "$place"; return 1; }
}
check "SIGTERM ends gnuplot of a report" drawing_stops small "$peerlab" sweep report small
check "there is no report then" test ! -e small/report/report.html
check "SIGTERM ends gnuplot of pictures" drawing_stops look "$peerlab" utilization short --out look
check "a gnuplot that ignores SIGTERM is ended" drawing_stops look \
  env DEAF=1 "$peerlab" utilization short --out look

# A reader that goes away.
unread() {
  rm -rf unread
  ("$peerlab" train short.yaml --out unread; echo $? >code) 2>&1 >/dev/full | head -n 0
  [ -s unread/result.json ]
}
check "a reader that goes away costs no result" unread
quiet() {
  { "$peerlab" sweep status small 2>err; echo $? >code; } | head -n 0
  [ ! -s err ] && [ "$(cat code)" = 141 ]
}
check "a pager that is left says nothing" quiet

finish
