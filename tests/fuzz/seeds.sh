#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Makes the seeds of every harness with the program itself: seeds.sh PEERLAB FOLDER
# FOLDER/HARNESS/ holds them. Models are as small as they can be, so that inputs are short.
set -eu
peerlab=$(realpath "$1")
mkdir -p "$2"
out=$(realpath "$2")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
harnesses="checkpoint clean corpus dataset params result run_yaml store study_yaml sweep_yaml table text
usage vocabulary"
for name in $harnesses; do mkdir -p "$out/$name"; done
quiet() { "$@" >log 2>&1 || { cat log >&2; exit 1; }; }
parts() { # parts FILE...: with a line "%%%%" between two; "-" is an empty part
  local first=1 file
  for file in "$@"; do
    [ -n "$first" ] || printf '\n%%%%%%%%\n'
    first=
    [ "$file" = - ] || cat "$file"
  done
}
bytes() { dd if="$1" bs=1 skip="$2" count="$3" status=none; }

# Text, and what it becomes.
cat >plain.txt <<'TEXT'
A cat sat on the mat. It was not the same cat , " he said " , that sat @-@ ed there .

 = Heading =

It 's 1 @,@ 000 words : ( so he told ) us -- "quoted".
%
Next document — naïve, 日本.
TEXT
printf '{"text":"The first one \\u00e9 \\ud83d\\ude00 ends"}\n\n{"id":1,"text":"and the last word"}\n{"text":""}\n' >lines.jsonl
printf '\357\273\277{"text":"with a mark"}\r\n{"text":"half \\ud800 a pair"}\n{"meta":{"n":1e5},"text":"x y"}' >odd.jsonl
seed() { printf '%s' "$3" | cat - "$4" >"$out/$1/$2"; } # seed HARNESS NAME FIRST FILE
for kind in p m e w d; do seed text plain-$kind $kind plain.txt; done
for kind in j l J L; do for file in lines odd; do seed text $file-$kind $kind $file.jsonl; done; done
printf '\377\376a\0' >utf16.txt
printf 'bad \300\200 \355\240\200 \360\237\230 end\377' >bad.txt
seed text utf16 p utf16.txt
seed text bad p bad.txt
gzip -9nc plain.txt >plain.gz
gzip -nc lines.jsonl >lines.gz
cat plain.gz lines.gz >two.gz
seed text gzip g plain.gz
seed text gzip-two g two.gz
seed text gzip-json s lines.gz
if command -v zstd >/dev/null; then
  zstd -qc plain.txt >plain.zst
  zstd -qc --no-check -19 lines.jsonl >lines.zst
  seed text zstd z plain.zst
  seed text zstd-bare z lines.zst
fi

# Weights of other programs.
weights() { # weights NAME HEADER BYTES
  {
    printf "\\x$(printf %02x $((${#2} % 256)))\\x$(printf %02x $((${#2} / 256)))\\0\\0\\0\\0\\0\\0%s" "$2"
    head -c "$3" plain.txt
  } >"$out/params/$1"
}
tensor() { printf '"%s":{"dtype":"%s","shape":%s,"data_offsets":%s}' "$@"; }
weights whole "{$(tensor w F32 '[2,3]' '[0,24]'),$(tensor n I32 '[2]' '[24,32]'),$(tensor u F32 '[3,2]' '[32,56]'),$(
  )$(tensor v BF16 '[3,2]' '[56,68]'),$(tensor bf16 BF16 '[3,4]' '[68,92]'),$(tensor int8 F16 '[3,4]' '[92,116]')}" 116
weights some "{\"__metadata__\":{\"format\":\"pt\"},$(tensor bf16 F32 '[3,4]' '[9,57]'),$(tensor count I64 '[]' '[0,8]')}  " 57
weights others "{ $(tensor '\u00e9\ud83d\ude00' F8_E4M3 '[0,3]' '[4,4]') , \"w\":{\"more\":[1e3,{}],\"shape\":[2,3],$(
  )\"dtype\":\"F16\",\"data_offsets\":[1,13]}}" 20

# Prepared folders.
printf 'abc abd\n' >tiny.txt
quiet "$peerlab" data prepare --out bytes --bytes tiny.txt lines.jsonl
quiet "$peerlab" data facts --out facts --people 2 --attributes 1 --values 2 --templates 1
parts bytes/data.json - bytes/train.bin bytes/valid.bin >"$out/dataset/bytes"
head -c 40 facts/train.bin >train.bin # the harness mends their number
parts facts/data.json facts/tokenizer.vocab train.bin - >"$out/dataset/facts"
mkdir ids
printf '\1\0\2\0\3\0\4\0\5\0\6\0\7\0\1\0\2\0\3\0\4\0\0\0' >ids/train.bin
cp ids/train.bin ids/valid.bin
parts - - ids/train.bin ids/valid.bin >"$out/dataset/plain"
head -c 4000 facts/tokenizer.vocab >"$out/vocabulary/words"
printf '<unk>\t0\n<s>\t0\n</s>\t0\n<0x00>\t0\n<0xFF>\t0\n\342\226\201the\t-1.5\n\342\226\201\t-3e1\na\342\226\201b\t-2\n' >"$out/vocabulary/pieces"
seed corpus ids 1 ids/train.bin
seed corpus any 0 bytes/train.bin
llmc() { # llmc VERSION TOKENS: llm.c's header
  printf '\x88\xd7\x34\x01'
  printf "\\x$(printf %02x "$1")\0\0\0\\x$(printf %02x "$2")\0\0\0"
  head -c 1012 /dev/zero
}
{ llmc 1 12; cat ids/train.bin; } >llmc.bin
{ llmc 7 6; cat ids/train.bin; } >llmc7.bin
{ printf '\x93NUMPY\1\0v\0%-117s\n' "{'descr': '<u2', 'fortran_order': False, 'shape': (12,), }"; cat ids/train.bin; } >ids.npy
seed corpus llmc 0 llmc.bin
seed corpus llmc7 1 llmc7.bin
seed corpus npy 1 ids.npy
printf '\1\0\0\0\2\0\0\0\3\0\0\0\4\0\0\0' >wide.bin
seed corpus wide P wide.bin # 'P': the ids are uint32
parts llmc.bin ids/train.bin >shards.bin
seed corpus shards 1 shards.bin

# Runs.
run() { # run NAME MODEL TRAIN [MORE]
  printf 'data: %s\nmodel: {width: 4, blocks: 1, heads: 1, vocab: 8, context: 4, %s}\ntrain: {steps: 2, sequences: 1, length: 4, eval_tokens: 8%s}\n%s\n' \
    "$work/ids" "$2" "$3" "${4-}" >"$1.yaml"
  quiet "$peerlab" train "$1.yaml" --out "$1"
  cp "$1/checkpoint.safetensors" "$out/checkpoint/$1"
  sed "s|$work/||" "$1.yaml" >"$out/run_yaml/$1"
  sed "s|$work/||" "$1/run.yaml" >"$out/run_yaml/$1-whole"
  cp "$1/result.json" "$out/result/$1"
  [ ! -f "$1/usage-0.txt" ] || if [ -f "$1/usage-0.csv" ]; then
    parts "$1/result.json" "$1/usage-0.txt" "$1/usage-0.csv" >"$out/usage/$1"
  else
    parts "$1/result.json" "$1/usage-0.txt" - >"$out/usage/$1"
  fi
}
run dense 'ffw: dense, dense: {hidden: 4}' ''
run peer 'ffw: peer, options: {experts: 4, heads: 1, kept: 2, query_width: 2}' ', usage_points: 2'
run bf16 'ffw: peer, options: {experts: 4, heads: 1, kept: 1, query_width: 2, table: bf16}' ', optimizer: sgd'
run pkm 'ffw: pkm, options: {memories: 4, heads: 1, kept: 2, query_width: 2}' ', usage_points: 2'
run switch 'ffw: switch, options: {experts: 2, hidden: 4}' ', usage_points: 2'
for type in f32 bf16; do
  run mapped-$type "ffw: peer, options: {experts: 4, heads: 1, kept: 2, query_width: 2, table: $type}" \
    ', table_optimizer: adagrad' 'tables: mapped'
  table=mapped-$type/table-0
  for what in 0 1; do
    { printf "\\$what\\2"; bytes $table 0 56; bytes $table.undo 0 48; bytes $table 4096 8
      bytes $table.undo 4096 8; head -c 200 <(tail -c +8193 $table.undo; head -c 144 /dev/zero)
      tail -c +8193 $table; } >"$out/table/$type-$what"
    cp "$out/table/$type-$what" "$out/table/$type-$what-entry" # with an entry in the log, of row 0
    printf '\1' | dd of="$out/table/$type-$what-entry" bs=1 seek=90 conv=notrunc status=none
  done
done

# A sweep, a study.
"$peerlab" sweep example | sed 's|^data: .*|data: d|' >"$out/sweep_yaml/example"
cat >sweep.yaml <<TEXT
name: tiny
data: $work/ids
budgets: [3e5]
model: {vocab: 8, context: 4}
sizes: [{width: 4, blocks: 1, heads: 1}, {width: 6, blocks: 1, heads: 1}]
variants: [{name: dense, ffw: dense}, {name: "p 4", ffw: peer, options: {experts: 4, heads: 1, kept: 2}}]
seeds: [1]
train: {sequences: 1, length: 4, lr: 0.004, eval_tokens: 8}
TEXT
sed 's|^data: .*|data: d|' sweep.yaml >"$out/sweep_yaml/tiny"
quiet "$peerlab" sweep run sweep.yaml --out sweep --jobs 1
cp sweep/sweep.db "$out/store/tiny"
command -v sqlite3 >/dev/null && {
  sqlite3 sweep/sweep.db 'PRAGMA journal_mode = DELETE; PRAGMA page_size = 512; VACUUM;' >/dev/null
  cp sweep/sweep.db "$out/store/small"
}
for scale in demo desk paper; do
  "$peerlab" reproduce example --scale $scale >"$out/study_yaml/$scale" 2>/dev/null || rm -f "$out/study_yaml/$scale"
done

# Files of packages.
seed clean markdown m plain.txt
printf '# Heading\n\n**Bold** _it_ [link](http://x.y) ![pic](a.png) text\\. more (words)\n> quoted  \n  indented\n' >page.md
printf 'One fortune of words.\n%%%%\nAnother one,\n\twith a line.\n%%%%\n' >fortunes
printf 'header\n\nA \\A\\ (a), n.\n   The first {letter}. [1913 Webster]\n\nAb*ac"u*s \\Ab"a*cus\\ ([a^]b"[.a]*k[u^]s), n.\n   A table. [PJC]\n' >gcide
printf '<chapter osisID="G.1"><div type="x"><p>In the &amp; beginning<note>no</note> <l>was</l> \302\266text.</p><chapter eID="a"/>' >osis
seed clean page m page.md
seed clean fortunes f fortunes
seed clean gcide g gcide
seed clean osis S osis
vector() { # a serialized vector of strings: R Internals, 1.8
  printf 'X\n\0\0\0\2\0\4\2\2\0\2\3\0\0\0\0\20\0\0\0\2\0\4\0\11\0\0\0\11CHAPTER I\0\4\0\11\0\0\0\4word'
}
vector >vector
seed clean vector R vector
