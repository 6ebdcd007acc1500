#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The command line of peerlab: help, usage, info, one run and what may go wrong with it: cli.sh SOURCE BUILD
set -u
source=$(cd "$1" && pwd)
peerlab=$(cd "$2" && pwd)/experiments/peerlab
. "$source/tests/support/checks.sh" || exit 1
. "$source/tests/support/peerlab.sh" || exit 1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1

# Help and usage.
explains() { # explains COMMAND...
  ends 0 "$peerlab" "$@" --help && grep -q "^Usage: peerlab $1" out && [ ! -s err ]
}
for command in data train eval utilization generate upscale export import info variants sweep plot; do
  check "$command --help" explains "$command"
done
for command in prepare corpus synthetic facts info; do
  check "data $command --help" explains data "$command"
done
check "-h is --help" explains sweep -h
# Each action apart: its own usage, its paragraph, the options that it takes and no others.
explains_apart() { # explains_apart COMMAND ACTION OPTION|- OTHER-OPTION
  ends 0 "$peerlab" "$1" "$2" --help && grep -q "^Usage: peerlab $1 .*$2" out && grep -q "^  $2 " out &&
    { [ "$3" = - ] || grep -q "^  --$3" out; } && ! grep -q "^  --$4" out
}
for action in plan status fits example; do
  check "sweep $action --help" explains_apart sweep $action - out
done
check "sweep run --help" explains_apart sweep run retry text
check "sweep export --help" explains_apart sweep export out retry
check "sweep report --help" explains_apart sweep report out jobs
check "utilization compare --help" explains_apart utilization compare against nothing
for action in fig1 table1 fig3a all; do
  check "reproduce $action --help" explains_apart reproduce $action scale nothing
done
check "reproduce show --help" explains_apart reproduce show out jobs
check "reproduce plan --help" explains_apart reproduce plan scale jobs
of_a_list() { ends 0 "$peerlab" reproduce fig4 --help && grep -q "^Usage: .*|all" out && grep -q "^  fig4 " out; }
check "reproduce fig4 --help" of_a_list
names_commands() {
  ends 0 "$peerlab" --help && for name in data variants info train eval utilization generate upscale export import sweep plot; do
    grep -q "^  $name " out || return 1
  done
}
check "--help names every command" names_commands
check "--version" ends 0 "$peerlab" --version
check "no command" ends_saying 2 "Usage: peerlab COMMAND" "$peerlab"
check "unknown command" ends_saying 2 'no command "trian"' "$peerlab" trian
check "unknown option" ends_saying 2 'no option "--outt"' "$peerlab" train x.yaml --outt y
check "option without value" ends_saying 2 '--out needs a value' "$peerlab" train x.yaml --out
check "option out of range" ends_saying 2 '--threads: expected an integer from 1 to 1024, got "0"' \
  "$peerlab" train x.yaml --out y --threads 0
check "train without a file" ends_saying 2 "expected one run file" "$peerlab" train --out y
check "train without --out" ends_saying 2 "--out FOLDER" "$peerlab" train x.yaml
check "eval without a checkpoint" ends_saying 2 "expected one checkpoint" "$peerlab" eval
check "generate without a checkpoint" ends_saying 2 "expected one checkpoint" "$peerlab" generate
check "generate, too cold" ends_saying 2 "--temperature: expected a number" \
  "$peerlab" generate x --temperature -1
check "info of two files" ends_saying 2 "expected one run file" "$peerlab" info a b
check "unknown variant" ends_saying 2 'no variant "pear"' "$peerlab" variants pear
check "sweep without an action" ends_saying 2 "expected an action" "$peerlab" sweep
check "unknown action" ends_saying 2 'no action "runn"' "$peerlab" sweep runn x
check "sweep run without --out" ends_saying 2 "run needs --out" "$peerlab" sweep run x.yaml
check "PEER_CPU" ends_saying 1 'PEER_CPU is "z80", expected' \
  env PEER_CPU=z80 "$peerlab" train x.yaml --out y
check "output to a full disk" full_disk "$peerlab" sweep example
check "help to a full disk" full_disk "$peerlab" --help
check "file missing" ends_saying 1 "x.yaml: No such file or directory" \
  "$peerlab" train x.yaml --out y
variants_teach() {
  ends 0 "$peerlab" variants && for name in dense pkm peer; do
    grep -q "^$name$" out && "$peerlab" variants $name | grep -q "Source: " || return 1
  done
}
check "variants" variants_teach

# Dense, D = 8, L = 1, V = 11, F = 32, S = 9, per token, with 2 FLOPs a multiply-add:
#   FFW         2 * (8 * 32 + 32 * 8)                                  = 1024
#   attention   2 * (8 * 24 + 8 * 8) + 2 * 2 * 8 * (9 + 1) / 2         =  672
#   vocabulary  2 * 8 * 11                                             =  176
#   forward 1872, backward twice that, 5616 to train; 5 steps of 2 * 9 tokens: 90 * 5616 = 505440.
# Parameters: embedding 88; norms 8 + 8 + 8; attention 192 + 64; FFW 512; in all 880, all active.
# Memory of AdamW: two floats each, 7040 bytes = 6.875 KiB.
cat >info.yaml <<'TEXT'
data: nowhere
model: {width: 8, blocks: 1, vocab: 11, context: 9}
train: {steps: 5, sequences: 2}
TEXT
hand_worked() {
  ends 0 "$peerlab" info info.yaml &&
    tr -s ' ' <out >lines && for line in "dense 1024 2048" "attention 672 1344" \
      "vocabulary 176 352" "sum 1872 3744 " "parameters, total 880" \
      "parameters, active 880 per token" "read, forward 3.44 KiB" \
      "memory, optimizer 6.88 KiB" "tokens 90" "FLOPs 505k to train"; do
      grep -q "^$line" lines || { echo "no line: $line"; cat lines; return 1; }
    done
}
check "info agrees with numbers worked out by hand" hand_worked

# Folders come with their parents.
check "data synthetic makes parents" ends_saying 0 "bits per byte" \
  "$peerlab" data synthetic --out deep/er/text --megabytes 0.01

# Two vectors of 8 values of two bytes.
cat >narrow.yaml <<'TEXT'
data: nowhere
model: {width: 8, blocks: 1, vocab: 11, ffw: peer, options: {experts: 16, heads: 1, kept: 2, table: bf16}}
train: {steps: 5, sequences: 2}
TEXT
check "info of experts in bf16" ends_saying 0 "^memory, expert  *32 B " "$peerlab" info narrow.yaml

# One run.
"$peerlab" data synthetic --out text --megabytes 0.05 >log 2>&1 &&
  "$peerlab" data prepare --out data --bytes text >>log 2>&1 || cat log
run_file() { # run_file STEPS [MORE]
  cat <<TEXT
data: data
model: {width: 16, blocks: 2, context: 32, ffw: peer,
        options: {experts: 64, heads: 2, kept: 4, query_width: 8}}
train: {steps: $1, sequences: 4, length: 32, checkpoint_seconds: 0.05, eval_tokens: 512${2-}}
TEXT
}
# What training would refuse, info refuses in the same words, and nothing is left behind.
refused() { # refused TEXT MODEL [TRAIN [WIDTH [LENGTH]]]
  cat >refused.yaml <<TEXT
data: data
model: {width: ${4-16}, blocks: 2, ffw: peer, $2}
train: {steps: 5, sequences: 2, length: ${5-32}${3-}}
TEXT
  ends_saying 1 "$1" "$peerlab" info refused.yaml && mv err said &&
    ends_saying 1 "$1" "$peerlab" train refused.yaml --out refused && cmp said err && [ ! -e refused/run.yaml ]
}
check "experts of each token beyond any count" refused "1024 \* 2147395600 = 2198933094400 keys for each token" \
  "options: {experts: 2147395600, heads: 1024, kept: 2147395600}"
check "a table of int8 to be trained" refused "table = int8 where the table trains" "options: {table: int8}"
check "catching up on bf16" refused "deferred_adamw and a table of bf16" "options: {table: bf16}" \
  ", table_optimizer: deferred_adamw"
check "catching up that never fades" refused "expected at most 0.98" "" \
  ", table_optimizer: deferred_adamw, beta1: 0.999"
check "another vocabulary" refused "its vocabulary is 257, the run's 400" "vocab: 400"
check "too short a text" refused "training tokens do not make one sequence of 60000" \
  "context: 60000" "" 16 60000
check "memory that no machine has" refused "need .* TiB of memory, this machine has" \
  "options: {experts: 2147395600, heads: 1}" "" 16384
info_says_short() {
  ends 1 "$peerlab" info refused.yaml && grep -q "exceeds the memory of this machine" out
}
check "info says that memory is short" info_says_short
check "info of data to come" ends_saying 0 "nowhere is not there yet" "$peerlab" info info.yaml

# Time is estimated by training, of which nothing stays; everything else stays as it is without.
estimated() { # estimated FILE WHAT...
  ls -a >before && ends 0 "$peerlab" info "$1" && cp out with && ls -a >after &&
    diff <(grep -v "^after$\|^with$" before) <(grep -v "^after$\|^with$" after) &&
    [ "$(grep -c "^time, training  *[0-9].* estimated, [0-9.e-]* s a step: [1-9]" with)" = 1 ] &&
    awk '/^time, training/ { exit !($3 + 0 > 0) }' with &&
    ends 0 "$peerlab" info "$1" --no-estimate && ! grep -q "^time" out &&
    diff <(grep -v "^memory, free\|^time, training" with) <(grep -v "^memory, free" out)
}
run_file 1500 >run.yaml
check "info estimates time" estimated run.yaml
mkdir -p foldered && cp run.yaml foldered
check "info reads the run of a folder" estimated foldered
rm foldered/run.yaml
check "info of a folder without one says what to name" ends_saying 1 \
  "is a folder without run.yaml; name the file of the run" "$peerlab" info foldered
rmdir foldered
check "info estimates time without data" estimated info.yaml
check "made-up ids are said to be" grep -q "^time, .* on made-up ids" with
check "made-up ids lie where TMPDIR says" ends_saying 0 \
  "^time, training  *not estimated: .*/nowhere-at-all/peerlab-.*: cannot create: No such file" \
  env TMPDIR="$folder/nowhere-at-all" "$peerlab" info info.yaml
sed 's/checkpoint_seconds/accumulate: 2, table_optimizer: sgd, checkpoint_seconds/' run.yaml >passes.yaml
check "info estimates steps of several passes" estimated passes.yaml
sed '$ a tables: mapped' passes.yaml >mapped.yaml
check "info does not time tables on the disk" ends_saying 0 "^time, training  *not estimated: tables on the disk" \
  "$peerlab" info mapped.yaml
check "train" ends_saying 0 "block 0: .* of 64 experts used" "$peerlab" train run.yaml --out whole
check "a run's folder" test -s whole/result.json -a -s whole/curve.csv -a -s whole/usage-0.txt \
  -a -s whole/run.yaml
check "a finished run is not run again" ends_saying 0 " 192000 tokens" \
  "$peerlab" train run.yaml --out whole
evaluated() { # a line each 500 steps on stdout, also where that is no terminal; the same in curve.csv
  run_file 1500 ", eval_every: 500" >every.yaml
  ends 0 "$peerlab" train every.yaml --out every && cmp <(result whole) <(result every) || return 1
  for step in 500 1000 1500; do
    loss=$(sed -n "s/^$step,.*,\([0-9.]*\)\$/\1/p" every/curve.csv)
    grep -q "^step $step/1500: train loss [0-9.]*, validation loss $(printf %.4f "$loss"), lr [0-9.e-]*, .* tokens/s" out ||
      { echo "no line of $step: $loss"; cat out every/curve.csv; return 1; }
  done
  [ "$(grep -c "^step" out)" = 3 ]
}
check "eval_every: a line and a cell for each" evaluated
# Every field that a run's own file has stands in the help, which is made from the same tables.
teaches_fields() {
  ends 0 "$peerlab" train --help && mv out help || return 1
  for field in $(sed -n 's/^ *\([a-z_0-9]*\):.*/\1/p' whole/run.yaml) sparse_at freeze tables init vocab; do
    grep -q "^  $field " help || grep -q "^$field:" help || grep -q "^model: $field:" help ||
      "$peerlab" variants peer | grep -q "^  $field " || { echo "no field: $field"; return 1; }
  done
  grep -q "^  lr  *0.003  *peak learning rate: a number from 1e-09 to 1" help
}
check "train --help names every field" teaches_fields
trains_example() {
  ends 0 "$peerlab" train example && mv out example.yaml && grep -q "#" example.yaml &&
    sed -i 's,data/mine,data,; s/steps: 2000/steps: 3/; s/eval_every: 200/eval_every: 1/; s/65536/600/' example.yaml &&
    ends 0 "$peerlab" train example.yaml --out example && [ -s example/result.json ]
}
check "train example can be trained from" trains_example
chosen_heads() {
  sed 's/width: 16/width: 130/' run.yaml >wide.yaml && ends 0 "$peerlab" info wide.yaml &&
    grep -q "^attention: 5 heads of width 26, the default for this width" out &&
    grep -q "^peer in block 0 of 0 to 1, the middle one" out
}
check "info says what was chosen" chosen_heads
discarded() {
  ends 0 "$peerlab" train run.yaml --out bare --discard && [ ! -e bare/checkpoint.safetensors ] &&
    cmp <(result whole) <(result bare)
}

interrupted() { # interrupted FOLDER SIGNAL STATUS
  hearing "$peerlab" train run.yaml --out "$1" --threads 1 >out 2>err &
  local child=$!
  within 30 test -s "$1/checkpoint.safetensors" && kill -"$2" $child
  wait $child 2>/dev/null
  local status=$?
  [ $status = "$3" ] && [ ! -e "$1/result.json" ] ||
    { echo "status $status, expected $3"; cat err; return 1; }
}
resumed() { # resumed FOLDER
  ends 0 "$peerlab" train run.yaml --out "$1" --threads 2 && same_end whole "$1"
}
check "without a checkpoint it ends with the same bits" discarded
check "Ctrl-C stops a run with status 3" interrupted stopped INT 3
check "carried on it ends with the same bits" resumed stopped
check "kill -9 ends a run" interrupted killed KILL 137
check "carried on after kill -9 it ends with the same bits" resumed killed

run_file 1501 >other.yaml
check "a folder of another run" ends_saying 1 "whole/run.yaml: the folder holds another run" \
  "$peerlab" train other.yaml --out whole
damaged() {
  mkdir -p cut && cp killed/run.yaml cut &&
    head -c 5000 killed/checkpoint.safetensors >cut/checkpoint.safetensors &&
    ends_saying 1 "cut/checkpoint.safetensors" "$peerlab" train run.yaml --out cut &&
    [ "$(wc -c <cut/checkpoint.safetensors)" = 5000 ]
}
check "a checkpoint that is cut" damaged
small_disk() { # the checkpoint has about 100 kB
  (ulimit -f 40 && ends_saying 1 "checkpoint.safetensors.*File too large" \
    "$peerlab" train run.yaml --out small) && [ ! -e small/result.json ] &&
    resumed small
}
check "a full disk ends a run with a reason, room lets it go on" small_disk
check "an unwritable place" ends_saying 1 "/proc/nowhere: .*No such file" \
  "$peerlab" train run.yaml --out /proc/nowhere
run_file 3 ", lr: fast" >typo.yaml
check "a field's complaint" ends_saying 1 'typo.yaml:4:.*train.lr: expected a number' \
  "$peerlab" train typo.yaml --out typo
sed 's/data: data/data: nowhere/' run.yaml >nowhere.yaml
check "data missing" ends_saying 1 "nowhere" "$peerlab" train nowhere.yaml --out nowhere

# Evaluation and generation.
evaluates() {
  ends 0 "$peerlab" eval whole --usage usage && grep -q "bits/byte" out &&
    grep -q "block 0: 64 experts" out && head -n 1 usage/utilization.csv | grep -q "^block,experts" &&
    [ "$(wc -l <usage/usage-0.txt)" = 8 ]
}
check "eval" evaluates
if command -v gnuplot >/dev/null; then
  check "eval draws a map" grep -q "</svg>" usage/usage-0.svg
fi
without_gnuplot() {
  mkdir -p empty && ends_saying 0 "no pictures: gnuplot" env PATH="$folder/empty" "$peerlab" \
    eval whole --usage plain && [ -s plain/usage-0.txt ] && [ ! -e plain/usage-0.svg ]
}
check "eval without gnuplot writes texts and says so" without_gnuplot
echo "A cat sat on the mat. It was not the same cat that sat on the mat before." >some.txt
check "eval of any text" ends_saying 0 "^some.txt plain  *74  *74 " \
  "$peerlab" eval whole/checkpoint.safetensors --data data --text some.txt
check "eval of too long a window" ends_saying 1 "--length 33: the context of whole/.* is 32" \
  "$peerlab" eval whole --length 33
line_nats() { # line_nats [MODEL]: the nats of held-out text in out, where models have a column
  sed -n "s/^data  *held-out  *${1:+$1  *}[0-9]*  *[0-9]*  *\([0-9.]*\) .*/\1/p" out
}
# Rounded weights change the loss by less than a hundredth of a nat here.
other_tables() {
  ends 0 "$peerlab" eval whole --table f32 && local exact && exact=$(line_nats) &&
    ends 0 "$peerlab" eval whole && [ "$(line_nats)" = "$exact" ] &&
    ends 0 "$peerlab" eval whole --table int8 &&
    awk -v a="$exact" -v b="$(line_nats)" 'BEGIN { d = a - b; exit !(d * d < 1e-4 && b > 0) }' &&
    ends 0 "$peerlab" eval --ensemble whole whole --table bf16 &&
    ends_saying 1 "table = f16, expected one of: f32, bf16, int8" "$peerlab" eval whole --table f16
}
check "eval with tables of another type" other_tables
trains_bf16() {
  sed -e 's/options: {/options: {table: bf16, /' -e 's/steps: 1500/steps: 20/' run.yaml >half.yaml &&
    ends 0 "$peerlab" train half.yaml --out half && ends 0 "$peerlab" eval half &&
    grep -qa '"dtype":"BF16"' half/checkpoint.safetensors &&
    sed -i 's/bf16/int8/' half.yaml &&
    ends_saying 1 "table = int8 where the table trains" "$peerlab" train half.yaml --out quarter
}
check "tables of bf16 train, of int8 do not" trains_bf16
ensemble_of_twins() {
  ends 0 "$peerlab" eval whole && local alone && alone=$(line_nats) &&
    ends 0 "$peerlab" eval --ensemble whole killed && [ -n "$alone" ] &&
    [ "$(line_nats "mean of 2")" = "$alone" ] && [ "$(line_nats killed)" = "$alone" ] &&
    [ "$(grep -c "^data  *held-out " out)" = 3 ]
}
check "an ensemble of a model with its copy is the model" ensemble_of_twins
check "ensemble with usage" ends_saying 2 "--usage is of one model" \
  "$peerlab" eval --ensemble whole killed --usage x
check "ensemble of none" ends_saying 2 "expected the checkpoints" "$peerlab" eval --ensemble
check "ensemble, a window too long" ends_saying 1 "--length 33: the context of killed/.* is 32" \
  "$peerlab" eval --ensemble killed whole --length 33
other_vocabulary() {
  mkdir -p bare && cp data/*.bin bare &&
    sed -e 's/data: data/data: bare/' -e 's/{width/{vocab: 300, width/' -e 's/steps: 1500/steps: 2/' \
      run.yaml >wide.yaml && ends 0 "$peerlab" train wide.yaml --out wide &&
    ends_saying 1 "wide/checkpoint.safetensors: vocabulary 300, that of whole/.* is 257" \
      "$peerlab" eval --ensemble whole wide
}
check "ensemble of two vocabularies" other_vocabulary

# Utilization over a training, and of two models.
shows_utilization() {
  run_file 60 ", usage_points: 4" | sed 's/ffw: peer/&, sparse_at: [0, 1]/' >tracked.yaml &&
    ends 0 "$peerlab" train tracked.yaml --out tracked &&
    ends 0 "$peerlab" utilization tracked whole && grep -q "tracked, block 1: 64 experts" out &&
    grep -q "^ *60 *7680 .*%" out && grep -q "whole, block 0" out && grep -q "not tracked" out &&
    ends 0 "$peerlab" utilization tracked whole --csv && [ "$(wc -l <out)" = 9 ] &&
    [ "$(cut -d, -f 3 out | tr '\n' ' ')" = "step 0 1 8 60 0 1 8 60 " ] &&
    ends 0 "$peerlab" utilization tracked --json && python3 -c '
import json
run, = json.load(open("out"))
block = run["blocks"][1]
assert [point["step"] for point in block["timeline"]] == [0, 1, 8, 60]
last, end = block["timeline"][-1], block["end"]
for name in "count_used", "score_unevenness_nats", "top1_used", "head_overlap":
    assert abs(last[name] - end[name]) < 1e-9, name'
}
check "utilization of runs" shows_utilization
compares_utilization() {
  ends 0 "$peerlab" utilization compare tracked whole && grep -q "^B  whole, block 0" out &&
    [ "$(grep -c "rank correlation" out)" = 1 ] &&
    ends 0 "$peerlab" utilization compare tracked --block 0 --against 1 --csv &&
    grep -q "^tracked,0,64,tracked,1,64,count_used,[01]" out &&
    ends 0 "$peerlab" utilization compare whole killed/checkpoint.safetensors --json \
      --data data --tokens 300 && python3 -c '
import json
pair, = json.load(open("out"))
assert pair["a"]["measures"] == pair["b"]["measures"] and 0 < pair["a"]["tokens"] <= 300
for by in "by_gate", "by_retrieval":
    assert pair[by]["jaccard"] == 1 and pair[by]["distance"] == 0, pair[by]
    assert abs(pair[by]["spearman"] - 1) < 1e-9'
}
check "utilization compare" compares_utilization
draws_utilization() {
  ends 0 "$peerlab" utilization compare tracked --block 0 --against 1 --out look &&
    [ "$(wc -l <look/tables/usage_lorenz.csv)" = 203 ] && [ -s look/tables/usage_timeline.csv ] || return 1
  ! command -v gnuplot >/dev/null || { grep -q "</svg>" look/lorenz.svg && grep -q "</svg>" look/maps.svg &&
    grep -q "</svg>" look/steps.svg && grep -q "</svg>" look/timeline.svg; }
}
check "utilization draws" draws_utilization
check "utilization of nothing" ends_saying 2 "expected run folders" "$peerlab" utilization
check "utilization of no run" ends_saying 1 "usage: neither a finished run nor one that tracks" \
  "$peerlab" utilization usage
check "utilization, a block that does not route" ends_saying 1 \
  "whole: block 1 does not route; these do: 0" "$peerlab" utilization compare tracked whole --block 1
check "utilization against itself" ends_saying 2 "needs --block I and --against J" \
  "$peerlab" utilization compare whole
check "utilization, block out of range" ends_saying 2 "--block: expected an integer from 0 to 255" \
  "$peerlab" utilization compare whole --block 256
damaged_counts() {
  cp -r tracked torn && echo 1 2 3 >torn/usage-1.txt &&
    ends_saying 1 "torn/usage-1.txt: 3 numbers, expected those of 64 experts" \
      "$peerlab" utilization torn && cp tracked/usage-1.txt torn && echo oops >>torn/usage-1.csv &&
    ends_saying 1 "torn/usage-1.csv:6: expected" "$peerlab" utilization torn
}
check "utilization of damaged files" damaged_counts

# Several texts in several forms, and what is learnt by heart.
echo '{"text": "A cat sat on the mat."}' >passages.jsonl
echo ' a @-@ b , c ' >wiki.tokens
several_texts() {
  ends 0 "$peerlab" eval --ensemble whole killed --held-out --text some.txt --text wiki.tokens \
    --text detok:wiki.tokens --text lambada:passages.jsonl --csv scores.csv --json scores.json &&
    [ "$(grep -c "mean of 2" out)" = 5 ] && [ "$(wc -l <scores.csv)" = 16 ] &&
    grep -q '^mean of 2,wiki.tokens,detok,1,0,8,14,.*,6,' scores.csv &&
    grep -q '"text": "passages.jsonl"' scores.json &&
    ends 0 "$peerlab" eval whole --text wiki.tokens --csv - && [ "$(wc -l <out)" = 2 ]
}
check "eval of several texts by several models" several_texts
check "usage over several texts" ends_saying 0 "64 experts, 88 tokens" \
  "$peerlab" eval whole --text some.txt --text wiki.tokens
check "eval of an unknown form" ends_saying 2 'no form "wikitex" (plain, json, wikitext' \
  "$peerlab" eval whole --text wikitex:wiki.tokens
echo '{"text": "word"}' >>passages.jsonl
check "a passage without a last word is left out" \
  ends_saying 0 "1 record was left out, the first: passages.jsonl:2: a passage of 4 bytes has no" \
  "$peerlab" eval whole --text lambada:passages.jsonl
check "a passage without a last word, strictly" \
  ends_saying 1 "passages.jsonl:2: a passage of 4 bytes has no" \
  "$peerlab" eval whole --strict --text lambada:passages.jsonl
check "scores to no folder" ends_saying 1 "/proc/nowhere/a.csv" \
  "$peerlab" eval whole --text some.txt --csv /proc/nowhere/a.csv
check "eval to a full disk" full_disk "$peerlab" eval whole --text some.txt --csv -
learns_by_heart() {
  for ((i = 0; i < 40; i++)); do printf 'two six ten red sky\n\n'; done >heart.txt
  for start in two six ten red; do
    sed -n "1s/.*\($start.*\)/{\"text\": \"\1\"}/p" heart.txt
  done >heart.jsonl
  "$peerlab" data prepare --out heart --bytes --split-documents '' heart.txt >log 2>&1 &&
    sed -e 's/data: data/data: heart/' -e 's/steps: 1500/steps: 300/' run.yaml >heart.yaml &&
    ends 0 "$peerlab" train heart.yaml --out learnt &&
    ends_saying 0 " 100.00 %$" "$peerlab" eval learnt --text lambada:heart.jsonl &&
    sed 's/sky"/red"/' heart.jsonl >wrong.jsonl &&
    ends_saying 0 " 0.00 %$" "$peerlab" eval learnt --text lambada:wrong.jsonl
}
check "what is learnt by heart is right, anything else wrong" learns_by_heart
check "eval of no checkpoint" ends_saying 1 "run.yaml" "$peerlab" eval run.yaml
generates() {
  ends 0 "$peerlab" generate whole --prompt "The " --tokens 20 --seed 7 && cp out first &&
    grep -q "^The " first && ends 0 "$peerlab" generate whole --prompt "The " --tokens 20 --seed 7 &&
    cmp out first && ends 0 "$peerlab" generate whole --tokens 5
}
check "upscale without --drop" ends_saying 2 "expected one checkpoint, --drop M" \
  "$peerlab" upscale whole --out deep
check "upscale" ends_saying 0 "" "$peerlab" upscale whole --drop 1 --out deep
check "upscale is not done twice" ends_saying 1 "deep/checkpoint.safetensors is there already" \
  "$peerlab" upscale whole --drop 1 --out deep
continues() {
  sed -e 's/^  steps: .*/  steps: 2/' deep/start.yaml >on.yaml &&
    ends 0 "$peerlab" train on.yaml --out on && grep -q '^init: "/.*/deep/' on/run.yaml &&
    ends 0 "$peerlab" eval deep --data data
}
check "the upscaled model trains on" continues
check "generate, the same for the same seed" generates

# Facts. 7 x 2 x log2 16 = 56 bits.
check "data facts" ends_saying 0 "14 facts, 56.0 bits" "$peerlab" data facts --out facts \
  --people 7 --attributes 2 --values 16 --exposures 40 --valid 100
check "data info of facts" ends_saying 0 "^loss .* knowing every fact" "$peerlab" data info facts
check "more people than names" ends_saying 1 "names = 2 make 2 x 2 = 4 names" \
  "$peerlab" data facts --out none --people 7 --names 2
check "a single value" ends_saying 2 'data facts: --values: expected an integer from 2' \
  "$peerlab" data facts --out none --values 1
run_file 60 | sed 's/^data: .*/data: facts/' >facts.yaml
check "train on facts" ends_saying 0 "^  facts: .* of 56.0 bits learned" \
  "$peerlab" train facts.yaml --out facts-run
eval_agrees() {
  grep "^  facts: " out >trained && ends 0 "$peerlab" eval facts-run && grep "^  facts: " out |
    cmp - trained && for of in trained active non-embedding; do
      grep -q "bits per $of parameter" out || return 1
    done && grep -q "bits per GFLOP" out
}
check "eval finds the same bits" eval_agrees
check "no other text in a table's words" ends_saying 1 "its text was made up of ids" \
  "$peerlab" eval facts-run --text run.yaml

# Fine-tuning on a second text, with a frozen router.
"$peerlab" data synthetic --out text2 --megabytes 0.05 --seed 9 >log 2>&1 &&
  "$peerlab" data prepare --out data2 --tokenizer data text2 >>log 2>&1 || cat log
tune_file() { # tune_file FREEZE [DATA]
  sed -e "s/^data: .*/data: ${2-data2}/" -e 's/steps: 1500/steps: 20/' run.yaml
  echo "init: whole"
  echo "freeze: $1"
}
# Of PEER's router, D = 16, H = 2, K = 8, n = 8: queries 2*8*16, gains and biases 2*2*8, keys 8*8; in
# all 352. Experts 64 * 2*16 = 2048.
for part in "router 352" "experts 2.05k" "mixture 2.40k"; do
  tune_file "${part% *}" >tune.yaml
  check "info of a frozen ${part% *}" ends_saying 0 "^parameters, frozen *${part#* } ${part% *}$" \
    "$peerlab" info tune.yaml
done
check "info says what FLOPs are" grep -q "^FLOPs.* as if nothing were frozen" out
tune_file router >tune.yaml
check "fine-tuning" ends_saying 0 "frozen: router, 352 parameters" "$peerlab" train tune.yaml --out tuned
check "its record" grep -q '"freeze": "router"' tuned/result.json
check "its init has a checksum" grep -q '^init_crc32: "[0-9a-f]\{8\}"$' tuned/run.yaml
check "it is evaluated on the first text" ends_saying 0 "^data  *held-out " \
  "$peerlab" eval tuned --data data
check "it is upscaled" ends_saying 0 "" "$peerlab" upscale tuned --drop 1 --out tuned-deep
sed -e 's/^init: .*/init: tuned/' -e '/^freeze:/d' tune.yaml >next.yaml
check "it is the start of another run" ends_saying 0 "tokens in" \
  "$peerlab" train next.yaml --out next
tune_file experts >other.yaml
check "another freeze is another run" ends_saying 1 "tuned/run.yaml: the folder holds another run" \
  "$peerlab" train other.yaml --out tuned
sed 's/ffw: peer,/ffw: dense}/; /options:/d' tune.yaml >dense.yaml
check "a dense model has no mixture" ends_saying 1 "freeze = router, but ffw = dense is no mixture" \
  "$peerlab" train dense.yaml --out dense
tune_file none bare | sed 's/{width/{vocab: 300, width/' >wide.yaml
check "another vocabulary" ends_saying 1 "trained on data with a vocabulary of 257, but bare has one of 300" \
  "$peerlab" train wide.yaml --out wide2
mkdir -p odd && cp data2/*.bin odd &&
  { for ((i = 0; i < 257; i++)); do printf 'p%d\t0\n' $i; done >odd/tokenizer.vocab; } &&
  sed 's/"tokenizer": "bytes"/"tokenizer": "sentencepiece"/' data2/data.json >odd/data.json
tune_file none odd >odd.yaml
check "another tokenizer of the same size" ends_saying 1 \
  "trained on data with a vocabulary of checksum .*, but that of odd has" "$peerlab" train odd.yaml --out odd2

finish
