#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Sweeps from their file to their report, stopped and killed on the way: sweep.sh SOURCE BUILD
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

sweep_file() { # sweep_file BUDGETS SIZES
  cat <<TEXT
name: tiny
data: data
budgets: [$1]
sizes: [$2]
variants:
  - {name: dense, ffw: dense}
  - {name: pkm-64, ffw: pkm, options: {memories: 64, heads: 2, kept: 4, query_width: 8}}
  - {name: peer-64, ffw: peer, options: {experts: 64, heads: 2, kept: 4, query_width: 8}}
model: {context: 32}
train: {sequences: 4, length: 32, eval_tokens: 512, checkpoint_seconds: 0.05}
TEXT
}
# What every run came to, without what differs between moments.
results() { # results FOLDER
  "$peerlab" sweep export "$1" >/dev/null && cut -d, -f 2-8,11,18 "$1/tables/runs.csv" | sort
}
count_state() { # count_state STATE FOLDER
  "$peerlab" sweep status "$2" | grep -c " $1 "
}

# From the file to the report.
sweep_file 3e8,6e8 '{width: 8, blocks: 1}, {width: 16, blocks: 2}, {width: 32, blocks: 2}' >small.yaml
planned() {
  ends_saying 0 "^18 runs, 8.08G FLOPs in all" "$peerlab" sweep plan small.yaml &&
    [ "$(grep -c '^peer-64 ' out)" = 6 ] && [ ! -e small ]
}
check "plan" planned
plan_times() { # every row has one, and the sum is above zero
  ends 0 "$peerlab" sweep plan small.yaml && [ "$(grep -c "MiB\|KiB" out)" = 18 ] &&
    ! grep "MiB\|KiB" out | grep -vqE "[KM]iB +[0-9].* (ms|s)$" &&
    grep -q "^time of training, estimated: [0-9].* in all, [0-9].* at once$" out &&
    grep -q "^  6 models were timed now" out && cut -c 1-94 out | grep "iB" >rows && [ ! -e small ] &&
    ends 0 "$peerlab" sweep plan small.yaml --no-estimate && ! grep -q "time" out &&
    diff rows <(grep "iB" out)
}
check "plan estimates times" plan_times
check "run" ends_saying 0 "^18 runs done, 0 failed, 0 left" "$peerlab" sweep run small.yaml --out small
check "status" ends_saying 0 "^18 runs: 18 done" "$peerlab" sweep status small
nothing_left() {
  cp small/sweep.db before.db && ends_saying 0 "^18 runs done" "$peerlab" sweep run small.yaml \
    --out small && [ "$(count_state done small)" = 18 ]
}
check "run again has nothing to do" nothing_left
exported() {
  ends_saying 0 "^small/tables$" "$peerlab" sweep export small &&
    [ "$(wc -l <small/tables/runs.csv)" = 19 ] && [ "$(wc -l <small/tables/utilization.csv)" = 13 ] &&
    [ -s small/tables/minima.csv ] && [ "$(wc -l <small/tables/fits.csv)" = 7 ]
}
check "export" exported
fits() {
  ends 0 "$peerlab" sweep fits small && grep -q "^peer-64  *600M  *3/3  *3 .*fewer than 5 sizes" out &&
    grep -q "^no joint law, 2 budgets.*: dense, peer-64, pkm-64$" out && ! grep -q "Left out" out
}
check "fits, of too few budgets for a law" fits
reported() {
  ends_saying 0 "^small/report/report.html$" "$peerlab" sweep report small &&
    grep -q peer-64 small/report/report.html && [ -s small/report/tables/usage_maps.csv ] || return 1
  ! command -v gnuplot >/dev/null ||
    { grep -q "<svg" small/report/report.html && grep -q "</svg>" small/report/figures/usage-maps.svg; }
}
check "report" reported
tracked() {
  local page=tracked/report/report.html tables=tracked/report/tables
  sweep_file 3e8 '{width: 16, blocks: 2}' | sed 's/eval_tokens: 512/&, usage_points: 4/' >tracked.yaml &&
    "$peerlab" sweep run tracked.yaml --out tracked >out 2>err &&
    ends_saying 0 "^$page$" "$peerlab" sweep report tracked &&
    [ "$(wc -l <$tables/usage_timeline.csv)" = 9 ] && [ "$(wc -l <$tables/usage_steps.csv)" = 9 ] || return 1
  ! command -v gnuplot >/dev/null ||
    { grep -q "Utilization over the training" $page && [ -s tracked/report/figures/usage-steps.pdf ] &&
      grep -q "</svg>" tracked/report/figures/usage-timeline.svg; }
}
check "utilization over the training" tracked
extended() {
  local before after
  before=$(ls -l --time-style=full-iso small/runs/*/result.json) &&
    sweep_file 3e8,6e8,9e8 '{width: 8, blocks: 1}, {width: 16, blocks: 2}' >more.yaml &&
    ends_saying 0 "^18 runs done" "$peerlab" sweep run more.yaml --out small &&
    after=$(ls -l --time-style=full-iso small/runs/0000{0?,1[0-8]}/result.json) &&
    [ "$before" = "$after" ] && [ "$(count_state done small)" = 24 ]
}
check "another budget adds only its runs" extended
laws() {
  ends 0 "$peerlab" sweep fits small && grep -q "^dense: joint law, N = active$" out &&
    grep -q "^dense: joint law, N = active without embedding$" out &&
    grep -q "^  8 runs in 8 settings at 3 budgets" out && "$peerlab" sweep export small >/dev/null &&
    grep -q "^dense,joint,active,alpha,,," small/tables/fits.csv
}
check "fits, of three budgets" laws

# Stopped and killed.
sweep_file 2e10 '{width: 32, blocks: 2}, {width: 48, blocks: 2}' >long.yaml
check "a sweep left alone" ends_saying 0 "^6 runs done" "$peerlab" sweep run long.yaml --out whole
# start FILE FOLDER: a sweep in the background; the files pid and status tell of it.
start() {
  rm -f pid status
  {
    hearing "$peerlab" sweep run "$1" --out "$2" --jobs 2 >sweep.out 2>sweep.err </dev/null &
    echo $! >pid
    wait $! 2>/dev/null
    echo $? >status
  } 2>/dev/null &
  within 10 test -s pid
}
ended() { # ended STATUS
  within 60 test -s status && [ "$(cat status)" = "$1" ] ||
    { echo "status $(cat status), expected $1"; cat sweep.out sweep.err; return 1; }
}
# The runs' processes, which the sweep has started.
children() {
  grep -l "^PPid:[[:space:]]*$(cat pid)\$" /proc/[0-9]*/status 2>/dev/null | tr -dc '0-9\n' | grep .
}
# Runs without an end that have a checkpoint.
begun() { # begun NUMBER
  local run number=0
  for run in broken/runs/*/checkpoint.safetensors; do
    [ ! -s "$run" ] || [ -e "${run%/*}/result.json" ] || number=$((number + 1))
  done
  [ $number -ge "$1" ]
}
interrupted() {
  within 60 begun 2 && kill -INT "$(cat pid)" && ended 3 && begun 2 &&
    grep -q "stopped; the same command carries on" sweep.err &&
    [ "$(count_state running broken)" = 0 ] && [ "$(count_state pending broken)" -ge 2 ]
}
busy() {
  within 60 children && ends_saying 1 "broken: another sweep is at work in this folder" \
    "$peerlab" sweep run long.yaml --out broken &&
    [ "$(count_state running broken)" -ge 1 ]
}
killed() {
  kill -9 "$(cat pid)" && ended 137 && [ "$(count_state running broken)" -ge 1 ]
}
start long.yaml broken
check "Ctrl-C stops a sweep with status 3" interrupted
start long.yaml broken
check "a second sweep in the folder is refused, its status is shown" busy
check "kill -9 ends a sweep" killed
# At once: the runs of the sweep that was killed are still saving their work.
check "the same command carries on" ends_saying 0 "^6 runs done, 0 failed, 0 left" \
  "$peerlab" sweep run long.yaml --out broken
same_results() {
  results whole >whole.csv && results broken >broken.csv && [ "$(wc -l <whole.csv)" = 7 ] &&
    diff whole.csv broken.csv
}
check "stopped and killed it ends with the same losses, bit for bit" same_results

# The store is deleted while the sweep is at work: said at the end, and made again from the folders.
lost() {
  within 60 children && rm lost/sweep.db* && ended 1 &&
    grep -q "lost/sweep.db was deleted or replaced while the sweep was at work" sweep.err
}
start long.yaml lost
check "a store that is deleted is missed" lost
found() {
  ends_saying 0 "^6 runs done, 0 failed, 0 left" "$peerlab" sweep run long.yaml --out lost &&
    grep -q "finished runs taken in: 6" err && results lost >lost.csv && diff whole.csv lost.csv
}
check "the next run takes in what the folders hold" found
wider() { # other runs come first in the plan
  rm -f lost/sweep.db* && sed 's/budgets: .*/budgets: [2e10, 1e8]/' long.yaml >wider.yaml &&
    ends_saying 0 "^12 runs done, 0 failed, 0 left" "$peerlab" sweep run wider.yaml --out lost &&
    grep -q "finished runs taken in: 6" err
}
check "under the numbers that they had" wider

# Settings that were edited are not seeds, and a reader needs no right to write.
edited() {
  sed 's/6e8/3e8/; s/^budgets.*/budgets: [3e8]/' small.yaml >slow.yaml && cp slow.yaml fast.yaml &&
    sed -i 's/train: {/&lr: 0.0005, /' slow.yaml &&
    "$peerlab" sweep run fast.yaml --out edited >out 2>err &&
    "$peerlab" sweep run slow.yaml --out edited >out 2>err &&
    ends_saying 0 "dense (lr 0.0005) " "$peerlab" sweep status edited &&
    ends_saying 0 "^dense (lr 0.0005) .* 3/3 " "$peerlab" sweep fits edited &&
    "$peerlab" sweep export edited >/dev/null &&
    [ "$(grep -c '^[0-9]*,dense (lr 0.0005),' edited/tables/runs.csv)" = 3 ]
}
check "an edited rate is another variant" edited
nobody=$(pwd)/read
as_nobody() {
  if [ "$(id -u)" = 0 ]; then
    setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
  else
    "$@"
  fi
}
read_only() {
  local folder=$nobody/small action reader=$nobody/peerlab
  mkdir -p "$nobody/out" && chmod 777 "$nobody/out" && cp -r small "$nobody" && cp "$peerlab" "$reader" &&
    rm -rf "$folder/tables" "$folder/report" && chmod -R a-w "$folder" && chmod a+rx . "$nobody" || return 1
  for action in status fits; do
    ends 0 as_nobody "$reader" sweep $action "$folder" || return 1
  done
  for action in export report; do
    ends_saying 1 "cannot be written: .*; --out FOLDER writes elsewhere" as_nobody "$reader" sweep $action "$folder" &&
      ends 0 as_nobody "$reader" sweep $action "$folder" --out "$nobody/out/$action" || return 1
  done
  [ -s "$nobody/out/export/runs.csv" ] && [ -s "$nobody/out/report/report.html" ] &&
    [ "$(ls "$folder")" = "$(ls small | grep -v 'tables\|report')" ]
}
check "a sweep that may not be written is read" read_only
chmod -R u+w "$nobody" 2>/dev/null

# A run that is killed alone.
sweep_file 4e10 '{width: 32, blocks: 2}' >short.yaml
child_killed() {
  within 60 children && kill -9 "$(children | head -n 1)" && ended 1 &&
    grep -q "1 runs failed" sweep.err && ends_saying 0 " failed .*killed by signal 9" \
      "$peerlab" sweep status one
}
start short.yaml one
check "a run that is killed is shown with the reason" child_killed
check "fits name the run that failed" ends_saying 0 "^  run [1-3] (.*failed: killed by signal 9" \
  "$peerlab" sweep fits one
check "a failed run is not run again unasked" ends_saying 1 "^2 runs done, 1 failed, 0 left" \
  "$peerlab" sweep run short.yaml --out one
check "--retry runs it" ends_saying 0 "^3 runs done, 0 failed, 0 left" \
  "$peerlab" sweep run short.yaml --out one --retry

# Full disks.
sweep_file 6e8 '{width: 16, blocks: 2}, {width: 64, blocks: 4}' >wide.yaml
checkpoints_too_large() { # those of width 64 have over 2 MB
  (ulimit -f 1500 && ends_saying 1 "^3 runs done, 3 failed" "$peerlab" sweep run wide.yaml --out "it's full") &&
    grep -q "^peerlab sweep status .* says why" out && # and a shell understands it
    (eval "$(sed -n "s|^peerlab \(sweep status .*\) says why.*|'$peerlab' \1|p" out)") >said &&
    grep -q "checkpoint.safetensors.*File too large" said &&
    ends_saying 0 "^6 runs done, 0 failed" "$peerlab" sweep run wide.yaml --out "it's full" --retry
}
check "runs whose disk is full fail, and go on when it is not" checkpoints_too_large
store_too_large() {
  results small >before.csv &&
    (ulimit -f 8 && ends_saying 1 "small/sweep.db: .*: File too large" "$peerlab" sweep run long.yaml --out small) &&
    results small >after.csv && diff <(grep done before.csv) <(grep done after.csv)
}
check "a store that may not grow keeps what it has" store_too_large

# Frozen parts, from one run's weights.
cat >start.yaml <<TEXT
data: data
model: {width: 16, blocks: 1, context: 32, ffw: mixtral, options: {experts: 4, hidden: 8}}
train: {steps: 20, sequences: 4, length: 32}
TEXT
check "a run to start from" ends_saying 0 "tokens in" "$peerlab" train start.yaml --out start
cat >frozen.yaml <<TEXT
data: data
init: start
budgets: [1e8]
sizes: [{width: 16, blocks: 1}]
variants:
$(for part in none router experts mixture rest; do
  echo "  - {name: $part, ffw: mixtral, options: {experts: 4, hidden: 8}, freeze: $part}"
done)
model: {context: 32}
train: {sequences: 4, length: 32}
TEXT
frozen() {
  ends_saying 0 "^5 runs done, 0 failed" "$peerlab" sweep run frozen.yaml --out frozen &&
    [ "$(cat frozen/runs/*/result.json | grep '"freeze"' | sort -u | wc -l)" = 5 ] &&
    [ "$(cat frozen/runs/*/result.json | grep '^  "tokens"' | sort -u | wc -l)" = 1 ] &&
    [ "$(cat frozen/runs/*/result.json | grep '"nats"' | sort -u | wc -l)" = 5 ]
}
check "a sweep over what is frozen" frozen

# What else may go wrong.
check "no store" ends_saying 1 "data/sweep.db: no sweep is kept here" "$peerlab" sweep status data
check "fits of no store" ends_saying 1 "data/sweep.db: no sweep is kept here" "$peerlab" sweep fits data
newer() {
  mkdir -p newer && cp small/sweep.db newer && printf '\0\0\0\7' |
    dd of=newer/sweep.db bs=1 seek=60 conv=notrunc 2>/dev/null && cp newer/sweep.db newer.db &&
    ends_saying 1 "written by a newer peerlab (store version 7" \
      "$peerlab" sweep run small.yaml --out newer && cmp newer/sweep.db newer.db
}
check "a store of a newer version is left alone" newer
check "too small a budget" ends_saying 1 \
  ':3:11: budgets\[0\]: expected at least .* one step of dense' \
  "$peerlab" sweep plan <(sweep_file 1e3 '{width: 8, blocks: 1}')
check "a size that does not fit" ends_saying 1 "width = 9, heads = 1, expected" \
  "$peerlab" sweep plan <(sweep_file 1e9 '{width: 9, blocks: 1}')
"$peerlab" sweep example | sed 's|data/books *|data |' >example.yaml
check "the example is a sweep" ends_saying 0 "^60 runs" "$peerlab" sweep plan example.yaml --no-estimate
sweep_file 1e13 '{width: 2048, blocks: 60}' >huge.yaml
check "plan says what is not timed" ends_saying 0 "^time of training: not estimated: .* at width 2048: " \
  "$peerlab" sweep plan huge.yaml
check "more memory than allowed" ends_saying 1 "^0 runs done, 3 failed" \
  "$peerlab" sweep run huge.yaml --out deep/huge --memory 1
check "fits of failed runs alone" ends_saying 0 "^no joint law, no finished run: dense, peer-64, pkm-64" \
  "$peerlab" sweep fits deep/huge
check "the reason is kept" ends_saying 0 "needs about .* GiB, more than the 1.00 GiB allowed" \
  "$peerlab" sweep status deep/huge

finish
