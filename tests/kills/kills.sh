#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Kills training runs at random moments, again and again, until they end all the same; they must end
# with the bits of a run that nobody disturbed: kills.sh PEERLAB KILLS [SEED]
# Runs differ in optimizer, in where and how experts are held, and, from kill to kill, in threads.
set -u
here=$(cd "$(dirname "$0")" && pwd)
peerlab=$(realpath "$1") wanted=$2
RANDOM=${3:-1}
. "$here/../support/checks.sh" || exit 1
. "$here/../support/peerlab.sh" || exit 1
export OMP_WAIT_POLICY=passive LC_ALL=C.UTF-8
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

for i in $(seq 200); do echo "line $i of plain words, to be learned by heart"; done >text.txt
"$peerlab" data prepare --bytes --out d text.txt >log 2>&1 || cat log
number=0
setting() { # setting TRAIN OPTIONS [MORE]
  number=$((number + 1))
  cat >run-$number.yaml <<TEXT
data: d
model: {width: 16, blocks: 2, context: 32, ffw: peer,
        options: {experts: 64, heads: 2, kept: 4, query_width: 8$2}}
train: {steps: 150, sequences: 4, length: 32, eval_tokens: 128, usage_points: 3, checkpoint_seconds: 0.02$1}
${3-}
TEXT
}
setting '' ''
setting '' ', table: bf16'
setting ', optimizer: sgd' ', table: bf16'
setting ', table_optimizer: adagrad, accumulate: 2' ''
setting ', optimizer: sgd, table_optimizer: sgd' ', keys_per_head: false'
setting ', table_optimizer: adagrad' '' 'tables: mapped'
setting ', table_optimizer: adagrad' ', table: bf16' 'tables: mapped'
setting ', table_optimizer: sgd' '' 'tables: mapped'
number=$((number + 1))
sed 's/ffw: peer/ffw: pkm/; s/experts:/memories:/' run-6.yaml >run-$number.yaml
number=$((number + 1))
sed 's/ffw: peer/ffw: deepseek/; s/options: {.*}}/options: {experts: 4, kept: 2, hidden: 8}}/; s/tables: mapped//; s/, table_optimizer: adagrad//' \
  run-6.yaml >run-$number.yaml

# What a run leaves, but for times, its own name and a file that was being written when it was killed.
left() {
  (cd "$1" && find . -type f ! -name lock ! -name '*.tmp' | LC_ALL=C sort) | while read -r file; do
    case $file in
      *.safetensors) printf '%s %s\n' "$file" "$(tensors "$1" | cksum)" ;;
      *) printf '%s %s\n' "$file" "$(grep -avE '"(seconds|peak_bytes)"|^\| (seconds|command)' "$1/$file" | cksum)" ;;
    esac
  done
}
now() { # milliseconds
  local seconds=${EPOCHREALTIME/[.,]/}
  echo $((seconds / 1000))
}

kills=0 rounds=0 lasted=()
for ((i = 1; i <= number; i++)); do
  begin=$(now)
  "$peerlab" train run-$i.yaml --out whole-$i --threads 1 >log 2>&1 || check "run $i, undisturbed" cat log
  lasted[i]=$(($(now) - begin))
  left whole-$i >whole-$i.left
done

# One run of setting I, killed on its way to the end.
disturbed() {
  local status=137 most=${lasted[$1]} threads here_kills=0
  rm -rf o
  while [ $status = 137 ]; do
    threads=$((1 + RANDOM % 3))
    # The first may be killed at any moment; the later ones are given longer and longer.
    at=$(((RANDOM * 32768 + RANDOM) % (most + 20) + here_kills * most / 16))
    "$peerlab" train run-$1.yaml --out o --threads $threads >log 2>&1 &
    sleep $((at / 1000)).$(printf %03d $((at % 1000)))
    kill -KILL $! 2>/dev/null
    wait $! 2>/dev/null
    status=$?
    [ $status != 137 ] || here_kills=$((here_kills + 1))
  done
  kills=$((kills + here_kills))
  [ $status = 0 ] || { echo "status $status after $here_kills kills:"; cat log; return 1; }
  left o >o.left
  diff whole-$1.left o.left
}

# In this shell, which counts.
while [ $kills -lt "$wanted" ] && [ $failing = 0 ]; do
  i=$((1 + rounds % number)) rounds=$((rounds + 1))
  if disturbed $i >said 2>&1; then
    passing=$((passing + 1))
  else
    failing=$((failing + 1))
    printf '[FAIL] setting %s, round %s\n' $i $rounds
    cat run-$i.yaml said
  fi
done
echo "$kills kills in $rounds runs of $number settings"
finish
