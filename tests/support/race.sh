#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Trains, carries on, evaluates and generates with four threads, every variant and kind of table, with
# a program that looks for races itself: race.sh PEERLAB. (Criterion does not start under
# ThreadSanitizer, whose memory lies where Criterion's should.)
set -u
here=$(cd "$(dirname "$0")" && pwd)
peerlab=$(realpath "$1")
. "$here/checks.sh" || exit 1
. "$here/peerlab.sh" || exit 1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
export OMP_NUM_THREADS=4
for i in $(seq 400); do echo "line $i of plain words, to be learned by heart"; done >text.txt
check "data" ends 0 "$peerlab" data prepare --bytes --out d text.txt
run() { # run NAME FFW OPTIONS [TRAIN [MORE]]
  cat >$1.yaml <<TEXT
data: d
model: {width: 32, blocks: 2, context: 64, ffw: $2, options: {$3}}
train: {steps: 12, sequences: 8, length: 64, eval_tokens: 1024, checkpoint_seconds: 0.01, eval_every: 4${4-}}
${5-}
TEXT
  check "$1: train" ends 0 "$peerlab" train $1.yaml --out $1 --threads 4
  check "$1: eval" ends 0 "$peerlab" eval $1 --text text.txt
  check "$1: generate" ends 0 "$peerlab" generate $1 --prompt line --tokens 4
}
experts='experts: 1024, heads: 2, kept: 4, query_width: 16'
memories='memories: 1024, heads: 2, kept: 4, query_width: 16'
run dense dense ''
run peer peer "$experts" ', usage_points: 2'
run peer-bf16 peer "$experts, table: bf16"
run peer-sgd peer "$experts" ', optimizer: sgd, accumulate: 2'
run peer-mapped peer "$experts" ', table_optimizer: adagrad' 'tables: mapped'
run pkm pkm "$memories"
run pkm-gated pkm "$memories, gated: true, table: bf16"
for variant in soft_gate noisy_topk gshard switch expert_choice mixtral deepseek dropless soft_moe; do
  run $variant $variant 'experts: 8, hidden: 32' ', usage_points: 2'
done
check "ensemble" ends 0 "$peerlab" eval --ensemble peer pkm
finish
