#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Runs that explode, alone and in sweeps; and what is said of accumulated passes: diverged.sh SOURCE BUILD
set -u
source=$(cd "$1" && pwd)
peerlab=$(cd "$2" && pwd)/experiments/peerlab
. "$source/tests/support/checks.sh" || exit 1
. "$source/tests/support/peerlab.sh" || exit 1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1

prepared() {
  ends 0 "$peerlab" data synthetic --out text --megabytes 0.2 &&
    ends 0 "$peerlab" data prepare --out data --vocab 400 text
}
check "text" prepared

# A decay of 10 at a rate of 1 multiplies weights by -9 in every step: no float holds them for long.
explodes='steps: 60, sequences: 2, length: 32, lr: 1, warmup: 0, final_lr: 1, weight_decay: 10, eval_tokens: 512'
run() { # run FILE FFW TRAIN: writes a run file
  printf 'data: data\nmodel: {width: 16, blocks: 2, ffw: %s}\ntrain: {%s}\n' "$2" "$3" >"$1"
}

tells_step='diverged after [0-9]* tokens: step [0-9]*: '
explodes() { # explodes NAME FFW [OPTIONS]
  run "$1.yaml" "$2" "$explodes${3:-}"
  ends_saying 4 "$tells_step" "$peerlab" train "$1.yaml" --out "$1" &&
    grep -q '"state": "diverged"' "$1/result.json" && grep -q '"message": "step ' "$1/result.json" &&
    grep -q '"nats": null' "$1/result.json"
}
for ffw in dense peer switch; do
  check "an exploding run of $ffw" explodes "$ffw" $ffw
done
check "without clipping" explodes unclipped dense ', clip: 0'
again() {
  cp dense/result.json before && ends_saying 4 "$tells_step" "$peerlab" train dense.yaml --out dense &&
    cmp before dense/result.json
}
check "the same command again" again
check "for programs" ends 4 "$peerlab" train dense.yaml --out machine --machine

# A checkpoint is written now and then: what is left of it is good.
keeps_the_last() {
  explodes kept dense ', checkpoint_seconds: 0.001' && { [ ! -e kept/checkpoint.safetensors ] ||
    { ends_saying 0 "^data" "$peerlab" eval kept && ! grep -i nan out; }; }
}
check "its checkpoint" keeps_the_last

gives_up() {
  run skips.yaml dense "$explodes, nonfinite: skip"
  ends_saying 4 "[0-9] steps were skipped: their loss or gradient" "$peerlab" train skips.yaml --out skips ||
    return 1
  run long.yaml dense "${explodes/steps: 60/steps: 400}, nonfinite: skip"
  ends_saying 4 "100 steps in a row are not finite" "$peerlab" train long.yaml --out long
}
check "skipping for ever" gives_up
run word.yaml dense "$explodes, nonfinite: sometimes"
check "a word that is no choice" ends_saying 1 "nonfinite" "$peerlab" train word.yaml --out word
run skip.yaml dense 'steps: 3, sequences: 2, length: 32, eval_tokens: 512, nonfinite: skip'
run stop.yaml dense 'steps: 3, sequences: 2, length: 32, eval_tokens: 512, nonfinite: stop'
same_when_good() {
  ends 0 "$peerlab" train skip.yaml --out skip && ends 0 "$peerlab" train stop.yaml --out stop &&
    cmp <(tensors skip) <(tensors stop) && grep -q "nonfinite: skip" skip/run.yaml &&
    ! grep nonfinite stop/run.yaml && ! grep skipped skip/result.json
}
check "a good run skips nothing" same_when_good

# In a sweep they are results, and count nowhere.
cat >sweep.yaml <<EOF
name: exploding
data: data
budgets: [2e8]
sizes: [{width: 8, blocks: 1}, {width: 12, blocks: 1}, {width: 16, blocks: 1}]
variants: [{name: dense, ffw: dense}]
seeds: [1]
train: {sequences: 2, length: 32, lr: 1, warmup: 0, final_lr: 1, weight_decay: 10, eval_tokens: 512}
EOF
check "a sweep of them" ends_saying 0 "^3 runs done, 0 failed, 0 left.*3 of those done diverged" \
  "$peerlab" sweep run sweep.yaml --out sweep
check "its status" ends_saying 0 "diverged .*step [0-9]*: " "$peerlab" sweep status sweep
check "its fits" ends_saying 0 "^Left out: 3 runs (3 diverged)" "$peerlab" sweep fits sweep
check "its report" ends 0 "$peerlab" sweep report sweep

# Passes of their own.
warned() { # warned TIMES FFW OPTIONS ACCUMULATE
  printf 'data: data\nmodel: {width: 16, blocks: 1, ffw: %s, options: {%s}}\ntrain: {%s, accumulate: %s}\n' \
    "$2" "$3" "steps: 2, sequences: 4, length: 32, eval_tokens: 512" "$4" >passes.yaml
  rm -rf passes
  ends 0 "$peerlab" train passes.yaml --out passes && [ "$(grep -c "warning: accumulate: $4" err)" = "$1" ] ||
    { cat err; return 1; }
}
small='experts: 64, heads: 2, kept: 4'
loss_free='experts: 4, kept: 2, hidden: 8, shared: 0, loss_free: true'
check "batch norm in passes" warned 1 peer "$small" 4
check "batch norm in one" warned 0 peer "$small" 1
check "another norm in passes" warned 0 peer "$small, query_norm: rms" 4
check "loss_free in passes" warned 0 deepseek "$loss_free" 2
check "dense in passes" warned 0 dense "hidden: 16" 4
sed -e 's/ffw: dense}/ffw: pkm, options: {memories: 64, heads: 1, kept: 4}}/' -e 's/lr: 1,/lr: 0.01, accumulate: 2,/' \
  -e 's/weight_decay: 10/weight_decay: 0/' sweep.yaml >passes_sweep.yaml
warned_once() {
  ends 0 "$peerlab" sweep "$@" && [ "$(grep -c "warning: accumulate: 2" err)" = 1 ] || { cat out err; return 1; }
}
check "a plan in passes" warned_once plan passes_sweep.yaml
check "a sweep in passes" warned_once run passes_sweep.yaml --out passes_sweep
finish
