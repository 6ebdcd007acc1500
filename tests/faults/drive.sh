#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Lets the n-th call of every kind fail in every subcommand: drive.sh PEERLAB SHIM [MOST [CASE...]]
# At most MOST calls of a kind are tried in a case, evenly spread; 0 or none = every one; "places" = the
# first and the last call of every kind from each place, which is a chain of callers. Each must
#   end with a status of the program's own, not by a signal, and within a minute;
#   with a failure's status, say why;
#   with status 0, have made what an undisturbed command makes, or say that pictures are missing;
#   leave the command able to do the same, bit for bit, when it is given again.
set -u
here=$(cd "$(dirname "$0")" && pwd)
peerlab=$(realpath "$1") shim=$(realpath "$2") most=${3:-0}
shift 2
[ $# -eq 0 ] || shift
. "$here/../support/checks.sh" || exit 1
. "$here/../support/peerlab.sh" || exit 1
export OMP_WAIT_POLICY=passive OMP_NUM_THREADS=1 LC_ALL=C.UTF-8 TERM=dumb
unset PEER_FAULT PEER_FAULT_COUNT
work=$(mktemp -d -p "$([ -w /dev/shm ] && echo /dev/shm || echo /tmp)")
trap 'rm -rf "$work"' EXIT
kinds="alloc open read write short sync rename close grow folder look"
trials=0

# What the commands start from: text, data, a finished run, a run half done, a sweep.
prepare() {
  mkdir "$work/base" && cd "$work/base" || exit 1
  for i in $(seq 60); do echo "line $i of plain words, to be learned by heart"; done >text.txt
  sed 's/.*/{"text":"&"}/' text.txt >text.jsonl
  gzip -nc text.jsonl >text.jsonl.gz
  "$peerlab" data prepare --bytes --out d text.jsonl >log 2>&1
  cat >run.yaml <<'TEXT'
data: d
model: {width: 8, blocks: 1, ffw: peer, options: {experts: 16, heads: 1, kept: 2, query_width: 4}}
train: {steps: 4, sequences: 2, length: 8, eval_tokens: 32, usage_points: 2, checkpoint_seconds: 0.001}
TEXT
  sed 's/^train: {/tables: mapped\ntrain: {table_optimizer: adagrad, /' run.yaml >mapped.yaml
  sed 's/steps: 4/steps: 200000/' run.yaml >long.yaml
  cat >sweep.yaml <<'TEXT'
name: tiny
data: d
budgets: [2e6, 4e6, 8e6]
sizes: [{width: 4, blocks: 1}, {width: 6, blocks: 1}, {width: 8, blocks: 1}, {width: 12, blocks: 1}]
variants: [{name: dense, ffw: dense}]
seeds: [1]
train: {sequences: 1, length: 8, lr: 0.004, eval_tokens: 16}
TEXT
  sed 's/budgets: .*/budgets: [2e6]/; s/sizes: .*/sizes: [{width: 4, blocks: 1}, {width: 6, blocks: 1}]/' \
    sweep.yaml >small.yaml
  "$peerlab" train run.yaml --out r >>log 2>&1
  "$peerlab" train run.yaml --out r2 >>log 2>&1
  "$peerlab" export r --to split --out weights >>log 2>&1
  "$peerlab" train mapped.yaml --out m >>log 2>&1
  "$peerlab" sweep run sweep.yaml --out s --jobs 1 >>log 2>&1
  rm -f log
}

# A case sets `command`, and `made`: what it makes; "-" = what it prints; and `again`, what is added to
# the command when it is given again.
case_prepare() { command=(data prepare --bytes --out o text.jsonl.gz) made=o; }
case_prepare_over() { cp -a d o; command=(data prepare --bytes --force --out o text.txt) made=o; }
case_pieces() { command=(data prepare --vocab 280 --out o text.jsonl) made=o; }
case_facts() { command=(data facts --out o --people 20 --attributes 1 --values 2) made=o; }
case_data_info() { command=(data info d) made=-; }
case_synthetic() { command=(data synthetic --out o --megabytes 0.01) made=o; }
case_variants() { command=(variants peer) made=-; }
case_info() { command=(info run.yaml --no-estimate) made=-; }
case_estimate() { command=(info run.yaml) made=-; } # which may fail: then info says why
case_train() { command=(train run.yaml --out o) made=o; }
case_mapped() { command=(train mapped.yaml --out o) made=o; }
case_carry_on() { mv r o; rm o/result.json; command=(train run.yaml --out o) made=o; }
case_carry_on_mapped() { mv m o; rm o/result.json; command=(train mapped.yaml --out o) made=o; }
case_eval() { command=(eval r --text text.txt --text lambada:text.jsonl --csv scores.csv --json scores.json --usage o) made=o; }
case_ensemble() { command=(eval --ensemble r r2) made=-; }
case_eval_mapped() { command=(eval m) made=-; }
case_generate() { command=(generate r --prompt line --tokens 5) made=-; }
case_upscale() { command=(upscale r --drop 0 --out o) made=o; }
case_weights() { mkdir o; command=(export r --to pt --out o/weights) made=o; }
case_npy() { command=(export r --to npy --out o) made=o; }
case_import() { command=(import weights --into run.yaml --out o) made=o; }
case_foreign() { (echo "init: weights"; cat run.yaml) >init.yaml; command=(train init.yaml --out o) made=o; }
case_utilization() { command=(utilization r --out o) made=o; }
case_compare() { command=(utilization compare r r2) made=-; }
case_plan() { command=(sweep plan small.yaml --no-estimate) made=-; }
case_sweep() { command=(sweep run small.yaml --out o --jobs 1) made=o again=--retry; }
case_status() { command=(sweep status s) made=-; }
case_export() { command=(sweep export s) made=s/tables; }
case_fits() { command=(sweep fits s) made=-; }
case_report() { command=(sweep report s) made=s/report; }
case_example() { command=(reproduce example) made=-; }
case_study_plan() { command=(reproduce plan --scale demo --data d --out o) made=-; }

# Everything in `made` but times and what differs between machines, for comparison.
shown() {
  if [ "$made" = - ]; then
    grep -avE 'seconds|tokens/s|[0-9] s\b| MiB|memory, |^time, ' said
    return
  fi
  (cd "$made" 2>/dev/null && find . -type f ! -name lock | LC_ALL=C sort) | while read -r file; do
    case $file in
      *.db-wal | *.db-shm | *.log) continue ;;
      *.pdf) echo "$file" ;; # which holds the time
      *.safetensors) printf '%s %s\n' "$file" "$(tensors "$made/$(dirname "$file")" | cksum)" ;;
      *.db) printf '%s %s\n' "$file" "$("$peerlab" sweep status "$made" 2>&1 | sed 's/ *[0-9.]* m\?s$//' | cksum)" ;;
      *) printf '%s %s\n' "$file" "$(grep -avE 'seconds|peak_bytes|created|MiB|^. command |20[0-9][0-9]-[0-9][0-9]-' "$made/$file" | cksum)" ;;
    esac
  done
}

fresh() { # fresh CASE: a copy of the base, in which the case is set up
  again=
  cd "$work" && rm -rf trial && cp -a base trial && cd trial && "case_$1"
}
run_command() { # under what stands in PEER_FAULT
  timeout -k 5 60 setarch -R env ${PEER_FAULT:+LD_PRELOAD="$shim"} "$peerlab" "${command[@]}" "$@" >said 2>why </dev/null
}
calls() {
  od -An -t u8 "$work/count" | tr -d ' '
}

# Without some pictures, which was said, all is as it should be.
only_pictures_missing() {
  grep -qsiE 'no picture|could not draw' said why "./$made/report.html" &&
    cmp -s <(grep -vE '\.(svg|pdf)|report\.html ' "$work/now") \
      <(grep -vE '\.(svg|pdf)|report\.html ' "$work/whole.$current")
}

# A row of the curve that could not be written ends a run, and is not to be had any more.
try() { # try CASE KIND N
  local status
  fresh "$1"
  head -c 8 /dev/zero >"$work/count"
  PEER_FAULT=$2:$3 PEER_FAULT_COUNT=$work/count run_command
  status=$?
  [ "$(calls)" -ge "$3" ] || return 0 # it was not reached
  if [ $status -ge 124 ]; then
    echo "ended with status $status"; tail -n 5 why; return 1
  elif [ $status -ne 0 ]; then
    [ -s why ] || { echo "status $status, and nothing was said"; return 1; }
    cp why first
    if [ "$made" != - ]; then # what failed may have been to say that it is done
      shown >"$work/now"
      cmp -s "$work/now" "$work/whole.$1" && return 0
    fi
    run_command $again || { echo "after \"$(tail -n 1 first)\", given again: $(tail -n 1 why)"; return 1; }
  fi
  shown >"$work/now"
  if [ $status = 0 ] && grep -q 'cannot be removed' why; then # which is left, and was said
    sed -i '/^\.\/\.new-/d' "$work/now"
  fi
  [ $status = 0 ] && only_pictures_missing && return 0
  cmp -s "$work/now" "$work/whole.$1" || {
    echo "status $status made something else: $(tail -n 1 first 2>/dev/null)"
    diff "$work/whole.$1" "$work/now" | head -n 6
    return 1
  }
}

chosen_calls() { # chosen_calls TOTAL: the numbers of those that are to fail
  local step=1 n
  if [ "$most" = places ]; then
    od -An -v -w8 -t x8 "$work/places" |
      awk '!($1 in first) { first[$1] = NR } { last[$1] = NR }
        END { for (place in first) { print first[place]; print last[place] } }' | sort -nu
    return
  fi
  [ "$most" -eq 0 ] || step=$((($1 + most - 1) / most))
  [ "$step" -gt 0 ] || step=1
  for ((n = 1 + (step - 1) / 2; n <= $1; n += step)); do echo $n; done
}

try_kind() { # try_kind CASE KIND
  local total n before=$trials
  fresh "$1"
  head -c 8 /dev/zero >"$work/count"
  : >"$work/places"
  [ "$most" != places ] || export PEER_FAULT_PLACES=$work/places
  PEER_FAULT=$2:0 PEER_FAULT_COUNT=$work/count run_command ||
    { echo "undisturbed: $(tail -n 1 why)"; return 1; }
  unset PEER_FAULT_PLACES
  total=$(calls)
  for n in $(chosen_calls "$total"); do
    trials=$((trials + 1))
    check "$1: $2 $n of $total" try "$1" "$2" "$n"
  done
  counted+=" $2 $((trials - before))/$total"
}

prepare
[ $# -gt 0 ] || set -- $(declare -F | sed -n 's/^declare -f case_//p')
command -v spm_train >/dev/null || set -- $(printf '%s\n' "$@" | grep -v pieces)
for current in "$@"; do
  begin=$(date +%s) before=$trials counted=
  fresh "$current"
  run_command && shown >"$work/whole.$current" ||
    { check "$current, undisturbed" cat why; continue; }
  [ -s "$work/whole.$current" ] || check "$current makes something" false
  for kind in $kinds; do try_kind "$current" "$kind"; done
  echo "$current: $((trials - before)) calls failed in $(($(date +%s) - begin)) s, of all made:$counted"
done
echo "$trials calls failed in $# commands"
finish
