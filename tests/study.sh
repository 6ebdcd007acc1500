#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A study from its file to its claims, stopped on the way: study.sh SOURCE BUILD
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

cat >tiny.yaml <<'TEXT'
name: tiny
cut: "a larger budget: it takes longer"
seeds: [1, 2]
model: {context: 32}
train: {sequences: 4, length: 32, lr: 0.02, eval_tokens: 512, checkpoint_seconds: 0.05}
variants:
  - {name: dense, ffw: dense}
  - {name: peer-4, ffw: peer, options: {experts: 16, heads: 2, kept: 2, query_width: 8}}
  - {name: peer-8, ffw: peer, options: {experts: 64, heads: 2, kept: 2, query_width: 8}}
  - {name: peer-8-none, ffw: peer, options: {experts: 64, heads: 2, kept: 2, query_width: 8, query_norm: none}}
  - {name: peer-8-h1k4, ffw: peer, options: {experts: 64, heads: 1, kept: 4, query_width: 8}}
tune: {budgets: [5e7, 1e8], sizes: [{width: 8, blocks: 1}, {width: 16, blocks: 1}], variants: [dense, peer-8], scales: [peer-4, peer-8]}
parts:
  power: {budgets: [2e8], sizes: [{width: 8, blocks: 1}], variants: [dense, peer-8]}
  fig3a: {budgets: [2e8], sizes: [{width: 8, blocks: 1}], variants: [dense, peer-4, peer-8]}
  fig1:
    budgets: [2e8]
    sizes: [{width: 8, blocks: 1}, {width: 16, blocks: 1}, {width: 24, blocks: 1}]
    variants: [dense, peer-8]
  table2: {budgets: [2e8], sizes: [{width: 8, blocks: 1}], variants: [peer-8, peer-8-none]}
  fig3b: {budgets: [2e8], sizes: [{width: 8, blocks: 1}], variants: [peer-8, peer-8-h1k4]}
  capacity:
    budgets: [2e8]
    sizes: [{width: 8, blocks: 1}, {width: 16, blocks: 1}]
    variants: [dense, peer-8]
    facts: {people: 20, attributes: 2, values: 16, exposures: 10}
TEXT
study=(--study tiny.yaml --data data)
runs_done() { # runs_done FOLDER
  "$peerlab" sweep status "$1" | grep -c " done "
}

# A study done by its lists of jobs: rates, noise, the rest.
jobs() {
  [ "$(sed -n 's/.*jobs.txt: the \([0-9]*\) that can start.*/\1/p' out)" = "$(wc -l <planned/jobs.txt)" ] &&
    sort -u planned/jobs.txt | cmp -s - <(sort planned/jobs.txt)
}
planned() {
  local i PATH=$(dirname "$peerlab"):$PATH
  for i in $(seq 20); do
    "$peerlab" reproduce plan "${study[@]}" --out planned >out 2>err && jobs || return 1
    [ -s planned/jobs.txt ] || break
    . planned/jobs.txt >log 2>&1
  done
  [ "$i" -lt 20 ] && ends_saying 0 "^fig3a: 6 runs done, 0 failed or diverged, 0 missing" \
    "$peerlab" reproduce show "${study[@]}" --out planned && ! grep -q "[1-9][0-9]* missing" out
}
check "planned, and done job by job" planned
check "rates" ends_saying 0 "^  peer-8 .* r = " "$peerlab" tune "${study[@]}" --out one
part() {
  local before
  ends_saying 0 "^fig3a: 6 runs done, 0 failed or diverged, 0 missing" \
    "$peerlab" reproduce fig3a "${study[@]}" --out one || return 1
  before=$(runs_done one)
  ends_saying 0 "^fig3a: 6 runs done" "$peerlab" reproduce fig3a "${study[@]}" --out one &&
    [ "$(runs_done one)" = "$before" ]
}
check "a part, and again without training" part
all() {
  ends_saying 0 "^capacity: 8 runs done, 0 failed or diverged, 0 missing" \
    "$peerlab" reproduce all "${study[@]}" --out one && cp out whole &&
    grep -q "query BatchNorm lowers unevenness" whole && ! grep -q "[1-9][0-9]* missing" whole
}
check "all parts, what is there extended" all
reported() { # with what is missing named where it is, and no number that is none
  grep -q "The claims, judged" one/report/report.html && [ -s one/report/results/capacity.csv ] &&
    grep -q "missing; a larger budget: it" one/report/RESULTS.md &&
    grep -q "0 of [0-9]* planned runs are missing" one/report/RESULTS.md && ! grep -qw "nan" one/report/RESULTS.md
}
check "a report of all parts" reported
claims_drawn() { # a row for each effect, none for what nothing measured
  command -v gnuplot >/dev/null || return 0
  mkdir -p some && { head -n 1 one/report/results/claims.csv &&
    grep -m 2 "reproduced\|contradicted\|not at this scale" one/report/results/claims.csv &&
    printf '%s\n' '"no one measured this",below zero,nats,,,,2,not measured,,'; } >some/claims.csv || return 1
  ends 0 "$peerlab" plot study-claims.gp --tables some --out some/claims.svg && ! grep -q "no one measured" some/claims.svg &&
    grep -q "reproduced\|contradicted\|not at this scale" some/claims.svg
}
check "claims that nothing measured have no row" claims_drawn
# A study that is killed once a second ends with the same numbers.
killed() {
  local i
  for i in $(seq 12); do
    timeout -s KILL 1 "$peerlab" reproduce all "${study[@]}" --out two >/dev/null 2>&1 && break
  done
  "$peerlab" reproduce all "${study[@]}" --out two >out 2>err && cmp -s <(sed '/cores. time/d; /^$/d; s,two/report,one/report,' out) <(sed '/cores. time/d; /^$/d' whole)
}
check "killed every second, it comes to the same" killed
check "shown without training" ends_saying 0 "^claims of the paper" "$peerlab" reproduce show "${study[@]}" --out one
recalled() { # by the words of its last training
  cp out shown && ends_saying 0 "^claims of the paper" "$peerlab" reproduce show --out one && cmp -s out shown &&
    grep -q "peerlab reproduce all --study tiny.yaml --data data --out one" one/report/RESULTS.md
}
check "shown without naming it" recalled
from_elsewhere() { # with the text where it was called, or else told where that is
  mkdir -p elsewhere && cd elsewhere || return 1
  ends_saying 1 "sweep.db: its text data is not there from this folder; show it in $folder, where" \
    "$peerlab" reproduce show --out ../one || return 1
  ln -s ../data data && ends_saying 0 "^capacity: 8 runs done" "$peerlab" reproduce show --out ../one &&
    diff <(grep -v "^report:" out) <(grep -v "^report:" ../shown)
}
check "shown from another folder" from_elsewhere
linked_report() { # what another put there is not written through
  mv one/report kept_report && mkdir victim && ln -s ../victim one/report || return 1
  ends_saying 1 "one/report" "$peerlab" reproduce show --out one && [ -z "$(ls -A victim)" ] &&
    rm one/report && mv kept_report one/report
}
check "a report's folder that is a link" linked_report
warned_once() {
  sed 's/lr: 0.02,/lr: 0.02, accumulate: 2,/' tiny.yaml >passes.yaml
  "$@" --study passes.yaml --data data --out passes >out 2>err && [ "$(grep -c "warning: accumulate: 2" err)" = 1 ]
}
check "passes of their own: plan" warned_once "$peerlab" reproduce plan
check "passes of their own: tune" warned_once "$peerlab" tune
check "passes of their own: reproduce" warned_once "$peerlab" reproduce fig3a
on_texts() { # both models on both texts, and again from what is kept
  ends_saying 0 "dense .* tiny.yaml  *plain " \
    "$peerlab" reproduce table1 "${study[@]}" --out one --text plain:tiny.yaml || return 1
  rm one/runs/*/checkpoint.safetensors && grep -c "tiny.yaml\|held-out" out >rows &&
    ends_saying 0 "peer-8 .* tiny.yaml  *plain " \
      "$peerlab" reproduce table1 "${study[@]}" --out one --text plain:tiny.yaml && [ "$(cat rows)" = 4 ] &&
    [ -z "$(find one/runs -name checkpoint.safetensors)" ]
}
again() { # checkpoints that are gone are made again, for a text that is new
  cp tiny.yaml other.txt
  ends_saying 0 "peer-8 .* other.txt  *plain " \
    "$peerlab" reproduce table1 "${study[@]}" --out one --text plain:other.txt &&
    [ "$(find one/runs -name checkpoint.safetensors | wc -l)" = 2 ] && [ -z "$(find one/runs -name again)" ]
}
beside() { # a study at work can be looked at, once its store is there
  local status=1
  "$peerlab" reproduce all "${study[@]}" --out three >/dev/null 2>&1 &
  for _ in $(seq 50); do
    sleep 0.2
    ends_saying 0 "^claims of the paper" "$peerlab" reproduce show "${study[@]}" --out three >/dev/null 2>&1 &&
      status=0 && break
  done
  wait
  return $status
}
check "shown while it goes on" beside
check "nothing to show" ends_saying 1 "no sweep is kept here" "$peerlab" reproduce show "${study[@]}" --out nowhere
kept() { # of every variant of fig1 one checkpoint, none of any other run
  [ "$(find one/runs -name checkpoint.safetensors | wc -l)" = 2 ]
}
check "checkpoints of the best runs only" kept
check "the best models on several texts" on_texts
check "trained again for a text that is new" again
check "an example" ends_saying 0 "^parts:" "$peerlab" reproduce example --scale desk
check "no part of that name" ends_saying 1 'this study has no part "fig9"' \
  "$peerlab" reproduce fig9 "${study[@]}" --out one
check "no text" ends_saying 1 "no text: give --data" "$peerlab" reproduce all --study tiny.yaml --out none
check "no such scale" ends_saying 1 'no scale "night": expected demo, desk or paper' \
  "$peerlab" reproduce all --scale night --out none
scales() {
  local scale
  for scale in demo desk; do
    "$peerlab" reproduce plan --scale $scale --data data --out plan-$scale >out 2>err || return 1
  done
  ends_saying 0 "^[0-9]* jobs" "$peerlab" reproduce plan --scale paper --out plan-paper
}
check "the scales that come with it" scales

finish
