#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Run folders: what they keep, what may not be put into them, from where they can be used: runs.sh SOURCE BUILD
set -u
source=$(cd "$1" && pwd)
peerlab=$(cd "$2" && pwd)/experiments/peerlab
. "$source/tests/support/checks.sh" || exit 1
. "$source/tests/support/peerlab.sh" || exit 1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1

"$peerlab" data synthetic --out text --megabytes 0.1 >log 2>&1 &&
  "$peerlab" data prepare --out data --bytes text >>log 2>&1 || cat log
run_file() { # run_file STEPS [MORE]
  cat <<TEXT
data: data
model: {width: 16, blocks: 2, context: 32, ffw: peer,
        options: {experts: 64, heads: 2, kept: 4, query_width: 8}}
train: {steps: $1, sequences: 2, length: 32, eval_tokens: 512${2-}}
TEXT
}
run_file 20 >run.yaml
check "train" ends 0 "$peerlab" train run.yaml --out whole

# A refused start leaves nothing.
absent() {
  [ ! -e "$1" ] || { ls -la "$1"; return 1; }
}
refused() { # refused FOLDER FILE WHY
  ends_saying 1 "$3" "$peerlab" train "$2" --out "$1" && absent "$1"
}
sed 's/experts: 64/experts: 2147395600/' run.yaml >huge.yaml
check "too little memory leaves no folder" refused huge huge.yaml "memory"
sed 's/{width/{vocab: 300, width/' run.yaml >wide.yaml
check "another vocabulary leaves no folder" refused wide wide.yaml "vocabulary"
sed 's/data: data/data: nowhere/' run.yaml >nowhere.yaml
check "missing data leave no folder" refused nowhere nowhere.yaml "nowhere"
echo "init: nothing" | cat run.yaml - >init.yaml
check "a missing init leaves no folder" refused init init.yaml "nothing"
sed 's/20/20, table_optimizer: sgd/' run.yaml >mapped.yaml
{ sed 's/2147395600/64/' mapped.yaml; echo "tables: mapped"; } >mapped-good.yaml
{ sed 's/width: 16/width: 10, heads: 5/' mapped-good.yaml; } >mapped-bad.yaml
check "mapped tables begin" ends 0 "$peerlab" train mapped-good.yaml --out mapped
check "a folder in a folder that is not there is not left" eval \
  'ends 1 "$peerlab" train huge.yaml --out new/deep && [ ! -e new/deep ]'
kept_empty() {
  mkdir -p empty && ends 1 "$peerlab" train huge.yaml --out empty && [ -z "$(ls -A empty)" ] &&
    ends 0 "$peerlab" train run.yaml --out empty && [ -s empty/result.json ]
}
check "an empty folder stays empty, and takes the run as corrected" kept_empty
with_notes() {
  mkdir -p notes && echo mine >notes/mine && ends 1 "$peerlab" train huge.yaml --out notes &&
    [ "$(cat notes/mine)" = mine ] && [ ! -e notes/run.yaml ] &&
    ends 0 "$peerlab" train run.yaml --out notes
}
check "what was in the folder stays, and blocks nothing" with_notes

# Which fields differ, and which may.
run_file 20 ", lr: 0.01, seed: 7" >other.yaml
check "another run names its fields" ends_saying 1 \
  "the folder holds another run: train.lr = .*, here .*; train.seed = 1, here 7" \
  "$peerlab" train other.yaml --out whole
sed 's/experts: 64/experts: 256/' run.yaml >bigger.yaml
check "options too" ends_saying 1 "model.options.experts = 64, here 256; choose" \
  "$peerlab" train bigger.yaml --out whole
# starts FILE TEXT: the run begins, with the text in its folder's run.yaml, and is stopped.
starts() {
  hearing "$peerlab" train "$1.yaml" --out going >out 2>err &
  local child=$!
  within 30 grep -q "$2" going/run.yaml && within 30 grep -q "^[1-9]" going/curve.csv &&
    kill -TERM $child
  wait $child
  [ $? = 3 ] || { cat err; return 1; }
}
may_differ() {
  run_file 1000000 >first.yaml
  run_file 1000000 ", eval_tokens: 256, checkpoint_seconds: 7, eval_every: 500, usage_tokens: 64" |
    sed 's/eval_tokens: 512, //' >second.yaml
  rm -rf going
  starts first "eval_tokens: 512" && starts second "eval_tokens: 256" &&
    grep -q "checkpoint_seconds: 7" going/run.yaml &&
    [ "$(cut -d, -f 1 going/curve.csv | sort | uniq -d | wc -l)" = 0 ]
}
check "fields on which no weight depends may differ, the newer ones are kept" may_differ
moved_data() {
  cp -r data copied && sed 's/data: data/data: copied/' second.yaml >third.yaml &&
    starts third copied
}
check "the same text may lie elsewhere" moved_data
sed 's/data: data/data: copied/' run.yaml >copied.yaml
check "what has ended on one text is not taken for what another would give" ends_saying 1 \
  "the folder holds another run: data = .*data\", here .*copied\"; choose" \
  "$peerlab" train copied.yaml --out whole

# Nothing that a folder needs is replaced.
sums() {
  find "$@" -type f ! -name lock -exec cksum {} + | sort
}
keeps() { # keeps STATUS PATTERN FOLDER COMMAND...: the folder is as it was
  local status=$1 pattern=$2 kept=$3
  shift 3
  sums "$kept" >before
  ends_saying "$status" "$pattern" "$@" && sums "$kept" | cmp - before
}
for file in result.json curve.csv run.yaml checkpoint.safetensors usage-0.txt card.md new.bin; do
  check "eval --json does not replace $file" keeps 1 "choose another name" whole \
    "$peerlab" eval whole --json whole/$file
  check "eval --csv does not replace $file" keeps 1 "choose another name" whole \
    "$peerlab" eval whole --csv ./whole/$file
done
check "plot --out does not replace a result" keeps 1 "choose another name" whole \
  "$peerlab" plot lorenz.gp --tables whole --out whole/result.json
check "eval --csv does not replace data" keeps 1 "choose another name" data \
  "$peerlab" eval whole --csv data/train.bin
echo "A text of one's own, to be read." >own.txt
check "nor the text that it reads" keeps 1 "not what this command wrote" own.txt \
  "$peerlab" eval whole --text own.txt --csv own.txt
check "nor a run file" keeps 1 "not what this command wrote" run.yaml \
  "$peerlab" eval whole --json run.yaml
twice() {
  ends 0 "$peerlab" eval whole --json scores.json --csv whole/scores.csv && cp scores.json first &&
    ends 0 "$peerlab" eval whole --json scores.json --csv whole/scores.csv && cmp first scores.json
}
check "what eval wrote before it replaces" twice
cat >sweep.yaml <<'TEXT'
data: data
budgets: [1e8]
sizes: [{width: 8, blocks: 1}]
variants: [{name: dense, ffw: dense}]
train: {sequences: 2, length: 32, eval_tokens: 512}
TEXT
for kept in whole data; do
  check "eval --usage into $kept" keeps 1 "choose another folder" $kept \
    "$peerlab" eval whole --usage $kept
  check "utilization --out $kept" keeps 1 "choose another folder" $kept \
    "$peerlab" utilization whole --out $kept
  check "upscale --out $kept" keeps 1 "whole/checkpoint.safetensors is there already\|choose another" \
    $kept "$peerlab" upscale whole --drop 1 --out $kept
  check "sweep run --out $kept" keeps 1 "is the folder of" $kept \
    "$peerlab" sweep run sweep.yaml --out $kept
done
check "train --out data" keeps 1 "is the folder of data" data "$peerlab" train run.yaml --out data
rm -f data/lock
not_mine() {
  cp -r data mine && echo notes >mine/notes.txt &&
    keeps 1 "holds notes.txt, which this command did not make" mine \
      "$peerlab" data prepare --out mine --bytes --force text && rm mine/notes.txt &&
    ends 0 "$peerlab" data prepare --out mine --bytes --force text
}
check "data prepare --force removes nothing of others" not_mine
unopened() { # before the checkpoint is read, let alone a text
  ends_saying 1 "/nope/x.csv: No such file" "$peerlab" eval gone --csv /nope/x.csv &&
    ends_saying 1 "Is a directory" "$peerlab" eval gone --csv data/..
}
check "outputs are opened before the work" unopened
full() {
  ends 1 "$peerlab" eval whole --csv /dev/full && grep -q "^data  *held-out" out &&
    grep -q "/dev/full: No space" err
}
check "the table is printed whatever becomes of the file" full
check "a pipe is written to" test "$("$peerlab" eval whole --csv >(cat) | grep -c '^model,text')" = 1

# From anywhere.
mkdir -p far/away project/runs
cp -r data project/data
(cd project && run_file 20 >run.yaml && cp run.yaml runs/beside.yaml)
in_far() {
  (cd far/away && ends "$@" && cp out err "$folder")
}
check "paths are relative to the file" in_far 0 "$peerlab" train ../../project/run.yaml --out one
check "eval from elsewhere" in_far 0 "$peerlab" eval one
check "eval from a third place" ends 0 "$peerlab" eval far/away/one
check "the file's folder, then the current one" ends_saying 0 \
  "data: data of the current folder; there is none beside project/runs/beside.yaml" \
  "$peerlab" train project/runs/beside.yaml --out two
both() {
  ends_saying 0 "data is project/data, beside project/run.yaml; not that of the current" \
    "$peerlab" train project/run.yaml --out three && grep -q "/project/data\"" three/run.yaml
}
check "which one it is, is said" both
alone() {
  cp -r far/away/one alone && mv project project.gone &&
    (cd far && ends 0 "$peerlab" eval ../alone --text ../own.txt && grep -q "^own.txt " out &&
      ends 0 "$peerlab" generate ../alone --tokens 5 &&
      ends 0 "$peerlab" generate ../alone --prompt "The" --tokens 5 &&
      ends_saying 1 "its text .*project/data is not there; give --data" "$peerlab" eval ../alone &&
      ends 0 "$peerlab" eval ../alone --data ../data) && mv project.gone project
}
check "a run is used without its text" alone
card() {
  grep -q "peer" whole/card.md && grep -q "validation loss | [0-9]" whole/card.md &&
    grep -q "peerlab train run.yaml --out whole" whole/card.md &&
    cp run.yaml "one run.yaml" &&
    ends 0 "$peerlab" train "one run.yaml" --out "other run" &&
    (eval "set -- $(sed -n 's/^| command | peerlab \(.*\) |$/\1/p' "other run/card.md")" && # as typed
      [ "$*" = "train one run.yaml --out other run" ] && [ $# = 4 ])
}
check "a run has a card" card

# A sweep knows its data by the name in its file, as older programs did.
sweeps() {
  ends 0 "$peerlab" sweep run sweep.yaml --out sweep && cp -r sweep.yaml data project/ &&
    (cd far && ends_saying 0 "^1 runs done" "$peerlab" sweep run ../project/sweep.yaml --out ../sweep2 &&
      ends 0 "$peerlab" eval ../sweep2/runs/000001) &&
    if command -v sqlite3 >/dev/null; then
      [ "$(sqlite3 sweep/sweep.db 'select config from runs' | cksum)" = \
        "$(sqlite3 sweep2/sweep.db 'select config from runs' | cksum)" ] &&
        sqlite3 sweep/sweep.db 'select config from runs' | grep -q '^data: "data"$'
    fi
}
check "a sweep from elsewhere, the same run" sweeps
for kept in whole data sweep; do
  check "sweep export --out $kept" keeps 1 "choose another folder" $kept \
    "$peerlab" sweep export sweep --out $kept
done
check "train --out of a sweep" keeps 1 "is the folder of a sweep" sweep \
  "$peerlab" train run.yaml --out sweep

# Another tokenizer of the same size.
if command -v spm_train >/dev/null; then
  "$peerlab" data prepare --out bpe --vocab 400 text >log 2>&1 &&
    "$peerlab" data prepare --out unigram --vocab 400 --model unigram text >>log 2>&1 || cat log
  for kind in bpe unigram; do
    sed "s/data: data/data: $kind/" run.yaml >$kind.yaml
    check "train on $kind" ends 0 "$peerlab" train $kind.yaml --out run-$kind
  done
  sums="vocabulary of checksum [0-9a-f]*, but that of unigram has [0-9a-f]"
  check "eval with another tokenizer" ends_saying 1 "$sums" "$peerlab" eval run-bpe --data unigram
  check "eval of a text with it" ends_saying 1 "$sums" \
    "$peerlab" eval run-bpe --data unigram --text own.txt
  check "generate" ends_saying 1 "$sums" "$peerlab" generate run-bpe --data unigram
  check "generate with a prompt" ends_saying 1 "$sums" \
    "$peerlab" generate run-bpe --data unigram --prompt A
  check "utilization" ends_saying 1 "$sums" \
    "$peerlab" utilization compare run-bpe run-unigram --data unigram
  check "an ensemble" ends_saying 1 "their tokens are not the same" \
    "$peerlab" eval --ensemble run-bpe run-unigram
  ends 0 "$peerlab" upscale run-bpe --drop 1 --out deep
  sed 's/^data: .*/data: unigram/; s/^  steps: .*/  steps: 2/' deep/start.yaml >deep.yaml
  check "an upscaled model" ends_saying 1 "$sums" "$peerlab" train deep.yaml --out deeper
  check "and leaves no folder" absent deeper
  kept_tokenizer() {
    cp -r run-bpe moved && mv bpe bpe.gone && (cd far && ends 0 "$peerlab" eval ../moved --text ../own.txt) &&
      cp unigram/tokenizer.model moved.model && rm moved/tokenizer/tokenizer.model &&
      cp moved.model moved/tokenizer/tokenizer.model &&
      ends_saying 1 "tokenizer.model is not the one" "$peerlab" eval moved --text own.txt &&
      mv bpe.gone bpe
  }
  check "a kept tokenizer is known by its checksum" kept_tokenizer
fi

# Links that somebody has put into a folder are not followed.
echo precious >victim
unharmed() {
  [ "$(cat victim)" = precious ] || { echo "the victim is lost"; return 1; }
}
plant() { # plant FOLDER NAME...
  local name where=$1
  shift
  mkdir -p "$where"
  for name in "$@"; do ln -sf "$folder/victim" "$where/$name"; done
}
planted_run() {
  plant planted curve.csv checkpoint.safetensors.tmp card.md usage-0.txt usage-0-lorenz.csv
  "$peerlab" train run.yaml --out planted >out 2>err
  local status=$?
  unharmed && [ $status = 0 ] && [ ! -L planted/curve.csv ] && cmp planted/curve.csv whole/curve.csv
}
check "of a run" planted_run
planted_hard() {
  mkdir -p hard && ln victim hard/curve.csv && ln victim hard/checkpoint.safetensors.tmp &&
    ends 0 "$peerlab" train run.yaml --out hard && unharmed
}
check "hard links of a run" planted_hard
planted_lock() {
  plant locked lock
  ends 1 "$peerlab" train run.yaml --out locked && unharmed
}
check "of a lock" planted_lock
planted_sweep() {
  rm -rf swept && plant swept/runs/000001 planned.yaml log.txt curve.csv
  ends 0 "$peerlab" sweep run sweep.yaml --out swept && unharmed || return 1
  rm -rf swept2 outside && mkdir -p swept2 outside && ln -s "$folder/outside" swept2/runs
  ends_saying 1 "is a link" "$peerlab" sweep run sweep.yaml --out swept2 && [ -z "$(ls outside)" ] &&
    rm -rf swept3 && plant swept3 sweep.db && ends 1 "$peerlab" sweep run sweep.yaml --out swept3 &&
    unharmed
}
check "of a sweep" planted_sweep
planted_tables() {
  rm -rf outside && mkdir -p outside && ln -s "$folder/outside" swept/tables &&
    ends_saying 1 "is a link" "$peerlab" sweep export swept && [ -z "$(ls outside)" ] &&
    rm swept/tables && mkdir -p shown && ln -sf "$folder/outside" shown/tables &&
    ends 1 "$peerlab" utilization whole --out shown && [ -z "$(ls outside)" ]
}
check "of tables" planted_tables
own_link() {
  mkdir -p real && ln -s "$folder/real" linked && ends 0 "$peerlab" train run.yaml --out linked &&
    [ -s real/result.json ] && mkdir -p real2 && ln -s "$folder/real2" linked2 &&
    ends 0 "$peerlab" sweep run sweep.yaml --out linked2 && [ -s real2/sweep.db ] &&
    ends 0 "$peerlab" sweep export linked2
}
check "a folder that the user names may be one" own_link

finish
