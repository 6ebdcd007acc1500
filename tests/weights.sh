#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Weights out of a run and into another, as a user would: weights.sh SOURCE BUILD
set -u
source=$(cd "$1" && pwd)
build=$(cd "$2" && pwd)
. "$source/tests/support/checks.sh" || exit 1
. "$source/tests/support/peerlab.sh" || exit 1
peerlab=$build/experiments/peerlab
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
export OMP_NUM_THREADS=1

run_file() { # run_file FFW OPTION...
  printf 'data: "data"\nmodel:\n  width: 16\n  blocks: 3\n  context: 16\n  ffw: %s\n  options:\n' "$1"
  shift
  printf '    %s\n' "$@"
  printf 'train:\n  steps: 3\n  sequences: 2\n  length: 16\n'
}
header() { # header FILE: of a safetensors file
  tail -c +9 "$1" | head -c "$(head -c 8 "$1" | od -An -tu8)"
}
values() { # values FILE: what follows the header
  tail -c +$((9 + $(od -An -t u8 -N 8 "$1"))) "$1"
}
same_weights() { # same_weights CHECKPOINT BEGINNING: the longer one has moments behind
  cmp -n "$(values "$2" | wc -c)" <(values "$1") <(values "$2")
}

check "data" ends 0 "$peerlab" data facts --out data --people 5 --attributes 2 --values 3 --templates 1
run_file peer "experts: 64" "heads: 2" "kept: 4" "query_width: 8" "query_norm: none" "keys_per_head: true" >peer.yaml
run_file pkm "memories: 64" "heads: 2" "kept: 4" "query_width: 8" "gated: true" "table: bf16" >pkm.yaml
for name in peer pkm; do
  check "$name: a run" ends 0 "$peerlab" train $name.yaml --out $name
  for form in pt split; do
    check "$name: export to $form" ends 0 "$peerlab" export $name --to $form --out $name-$form.safetensors
    check "$name: the metadata of $form" grep -q '"format":"pt","model":"{' <(header $name-$form.safetensors)
    check "$name: import of $form" ends 0 "$peerlab" import $name-$form.safetensors --into $name.yaml --out $name-$form
    check "$name: the weights of $form" same_weights $name/checkpoint.safetensors $name-$form/checkpoint.safetensors
    check "$name: a run from $form" ends 0 "$peerlab" train $name-$form/start.yaml --out $name-$form-trained
    { echo "init: \"$name-$form.safetensors\""; cat $name.yaml; } >init.yaml
    check "$name: info of a run that begins with $form" ends 0 "$peerlab" info init.yaml --no-estimate
    check "$name: a run that begins with $form" ends 0 "$peerlab" train init.yaml --out $name-$form-init
    check "$name: the same run" cmp <(tensors $name-$form-trained) <(tensors $name-$form-init)
    check "$name: carried on, it is done" ends 0 "$peerlab" train init.yaml --out $name-$form-init
  done
done

# One layer alone, into a run file's model and into a trained one.
check "one layer" ends 0 "$peerlab" export peer --to pt --block 1 --out layer.safetensors
names() {
  header layer.safetensors | grep -oE '"[a-z_.0-9]+":\{"dtype"' | cut -d'"' -f2 | tr '\n' ' '
}
check "its names" [ "$(names)" = "to_queries.0.weight keys weight_down_embed.weight weight_up_embed.weight " ]
check "one layer into a run file" ends 0 "$peerlab" import layer.safetensors --into peer.yaml --out drawn
check "what kept its values is said" grep -q "^18 tensors of the model keep their values (the first is embed)" out
check "one layer into a trained model" ends 0 "$peerlab" import layer.safetensors --into peer --out whole
{ echo 'init: "layer.safetensors"'; cat peer.yaml; } >init.yaml
check "one layer to begin with" ends_saying 0 "^18 tensors of the model keep their values" \
  "$peerlab" train init.yaml --out begun
check "is that model" same_weights peer/checkpoint.safetensors whole/checkpoint.safetensors
check "export again replaces it" ends 0 "$peerlab" export peer --to pt --block 1 --out layer.safetensors

# A .npy file: magic, version 1.0, a header that ends at a multiple of 64, float32.
check "npy" ends 0 "$peerlab" export pkm --to npy --out npy
check "a file for each tensor" [ "$(ls npy | wc -l)" = "$(header pkm-split.safetensors | grep -o '"dtype"' | wc -l)" ]
is_npy() {
  local size=$((10 + $(head -c 10 "$1" | tail -c 2 | od -An -tu2)))
  [ "$(head -c 8 "$1" | od -An -tx1)" = " 93 4e 55 4d 50 59 01 00" ] && [ $((size % 64)) = 0 ] &&
    [ "$(wc -c <"$1")" = $((size + 4 * $3)) ] && head -c "$size" "$1" | tail -c +11 |
    grep -qF "{'descr': '<f4', 'fortran_order': False, 'shape': ($2), }"
}
check "values [64, 16]" is_npy npy/blocks.1.ffw.values.npy "64, 16," 1024
check "norm.gain [16]" is_npy npy/norm.gain.npy "16," 16

# What is refused, and leaves nothing.
head -c 1000 layer.safetensors >cut.safetensors
check "a file that is cut" ends_saying 1 "cut.safetensors: tensor" "$peerlab" import cut.safetensors --into peer.yaml --out bad
printf 'This is no file of weights.' >text
check "a file of text" ends_saying 1 "no safetensors file" "$peerlab" import text --into peer.yaml --out bad
check "a file that is not there" ends_saying 1 "absent: No such file" "$peerlab" import absent --into peer.yaml --out bad
check "a layer of another type" ends_saying 1 "is of a layer of type peer" \
  "$peerlab" import layer.safetensors --into pkm.yaml --out bad
check "a checkpoint of this program" ends_saying 1 "is a checkpoint of this program" \
  "$peerlab" import peer/checkpoint.safetensors --into peer.yaml --out bad
check "a block that has no layer" ends_saying 1 "is not sparse" \
  "$peerlab" import layer.safetensors --into peer.yaml --block 0 --out bad
check "a block that has none to export" ends_saying 1 "is not sparse" "$peerlab" export peer --to pt --block 0 --out bad
check "PEER as XLM's PKM" ends_saying 1 "there are no single experts in xlm" \
  "$peerlab" export peer --to pt --names xlm --out bad
check "no checkpoint to evaluate" ends_saying 1 "weights that another program wrote; peerlab import" \
  "$peerlab" eval layer.safetensors
check "text is none either" ends_saying 1 "text: a header of" "$peerlab" eval text
check "nothing was written" [ ! -e bad ]
check "over a run's file" ends_saying 1 "keeps a file of this name" \
  "$peerlab" export peer --to pt --out peer/checkpoint.safetensors
check "over a file of the user's" ends_saying 1 "is not what this command wrote before" "$peerlab" export peer --to pt --out text
check "into a run's folder" ends_saying 1 "is the folder of a run" "$peerlab" export peer --to npy --out peer
check "over a folder with a checkpoint" ends_saying 1 "is there already" \
  "$peerlab" import layer.safetensors --into peer.yaml --out drawn
check "no form" ends 2 "$peerlab" export peer --out bad
check "another form" ends 2 "$peerlab" export peer --to gguf --out bad
check "no model" ends 2 "$peerlab" import layer.safetensors --out bad

# A run whose init has changed, or is damaged: of other programs' files by their own checksum, of
# checkpoints by both of theirs.
{ echo 'init: "init.safetensors"'; cat peer.yaml; } >init.yaml
cp peer-pt.safetensors init.safetensors
check "a run begins" ends 0 "$peerlab" train init.yaml --out changed
rm changed/result.json changed/checkpoint.safetensors
"$peerlab" export pkm --to pt --out init.safetensors >/dev/null
check "its init has changed" ends_saying 1 "has changed: the checksum of its tensors" "$peerlab" train init.yaml --out changed
cp peer/checkpoint.safetensors init.safetensors
printf 'x' | dd of=init.safetensors bs=1 seek=$(($(wc -c <init.safetensors) - 9)) conv=notrunc status=none
check "a damaged checkpoint" ends_saying 1 "damaged" "$peerlab" train init.yaml --out damaged
head -c 900 peer-pt.safetensors >init.safetensors
check "a cut file of another program" ends_saying 1 "init.safetensors" "$peerlab" train init.yaml --out damaged
check "nothing is left of it" [ ! -e damaged/run.yaml ]
finish
