#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What every command says of itself, and what it refuses before any work: usage.sh SOURCE BUILD
set -u
source=$(cd "$1" && pwd)
peerlab=$(cd "$2" && pwd)/experiments/peerlab
. "$source/tests/support/checks.sh" || exit 1
. "$source/tests/support/peerlab.sh" || exit 1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1

# Every help fits a terminal of 100 columns.
commands=$("$peerlab" --help | sed -n '/^Commands/,/^$/s/^  \([a-z]*\)  *.*/\1/p')
fits() { # fits [COMMAND...]
  ends 0 "$peerlab" "$@" --help && [ -s out ] && ! LC_ALL=C.UTF-8 grep -nE '^.{101}' out
}
check "every command is seen" test "$(wc -w <<<"$commands")" -ge 12
check "--help is 100 columns wide at most" fits
for command in $commands; do
  check "$command --help is 100 columns wide at most" fits "$command"
done
for command in prepare corpus synthetic facts info; do
  check "data $command --help is 100 columns wide at most" fits data "$command"
done
for action in plan run status fits export report example; do
  check "sweep $action --help is 100 columns wide at most" fits sweep "$action"
done
for action in fig1 table1 all show plan example; do
  check "reproduce $action --help is 100 columns wide at most" fits reproduce "$action"
done
check "utilization compare --help is 100 columns wide at most" fits utilization compare

# refuses PATTERN ARGUMENTS...: wrong usage, with what was expected, where help is, and nothing made.
refuses() {
  local pattern=$1
  shift
  ends_saying 2 "$pattern" "$peerlab" "$@" && [ ! -s out ] && grep -q "^Try: peerlab $1.* --help$" err &&
    [ -z "$(find . -type f ! -name out ! -name err)" ]
}
wrong() {
  check "wrong: ${*:2}" refuses "$@"
}
for command in train eval generate info upscale variants sweep plot tune reproduce utilization; do
  wrong "no option \"--nothing\"" "$command" x --nothing
done
for command in train eval generate upscale tune reproduce sweep utilization plot; do
  option=out
  case $command in eval | generate) option=data ;; esac
  wrong "--$option needs a value" "$command" x --$option
done
# integer LIMITS OPTION ARGUMENTS...: below and above what is taken, and what is no number.
integer() {
  local limits=$1 option=$2 value
  shift 2
  for value in "${limits% *}" "${limits#* }" 1x "" 99999999999999999999; do
    wrong "--$option: expected an integer from .* got \"$value\"" "$@" "--$option=$value"
  done
}
integer "0 1025" threads train x --out y
integer "1 -5" tokens eval x
integer "0 65537" length eval x
integer "0 1025" threads eval x
integer "-1 1000001" tokens generate x
integer "-1 65537" top generate x
integer "-1 -9" seed generate x
integer "0 1025" threads generate x
integer "-1 257" drop upscale x --out y
integer "0 257" jobs sweep run x --out y
integer "0 1048577" memory sweep run x --out y
integer "0 257" jobs tune --out y
integer "0 1048577" memory reproduce all --out y
integer "0 13" columns plot isoflop --tables x --out y
integer "-1 256" block utilization compare x
integer "-1 256" against utilization compare x
integer "1 0" tokens utilization compare x y
integer "0 65537" length utilization compare x y
integer "0 1025" threads utilization x
number() { # number OPTION ARGUMENTS...
  local option=$1 value
  shift
  for value in -1 nan 1x ""; do
    wrong "--$option: expected a number from .* got \"$value\"" "$@" "--$option=$value"
  done
}
number temperature generate x
number hours tune --out y
number hours reproduce all --out y
number rate reproduce plan --out y
wrong "expected one run file and --out" train
wrong "expected one run file and --out" train x y --out z
wrong "expected one run file" info
wrong "expected one checkpoint" eval a b
wrong "expected one checkpoint" generate a b
wrong "expected one checkpoint, --drop M and --out" upscale x --drop 1
wrong "expected one checkpoint, --drop M and --out" upscale x --out y
wrong "expected one checkpoint, --drop M and --out" upscale x y --drop 1 --out z
wrong "expected at most one name" variants peer pkm
wrong "expected an action and a file or folder" sweep run
wrong "expected an action and a file or folder" sweep run a b --out c
wrong "expected an action and a file or folder" sweep example a b
wrong "expected the name of a script" plot
wrong "expected the name of a script" plot isoflop --out y
wrong "expected the name of a script" plot isoflop --tables x
wrong "expected --out FOLDER and no operands" tune
wrong "expected --out FOLDER and no operands" tune x --out y
wrong "expected what to reproduce, and --out" reproduce
wrong "expected what to reproduce, and --out" reproduce all
wrong "expected what to reproduce, and --out" reproduce all fig1 --out y
wrong "expected run folders, or compare A B" utilization
wrong "--csv and --json: one of them" utilization x --csv --json
wrong "compare: expected A and B, got 0" utilization compare
wrong "compare: expected A and B, got 3" utilization compare a b c
wrong "needs --block I and --against J" utilization compare a --block 1
wrong "standard input cannot be read twice" utilization compare a b --text -
for option in block against tokens length; do
  wrong "are of compare" utilization x --$option 2
done
wrong "are of compare" utilization x --text y
wrong "are of compare" utilization x --data y
many() { # lists have an end
  local texts=() i
  for i in $(seq 500); do texts+=(--text "$i"); done
  refuses "--text: at most [0-9]* times" "$@" "${texts[@]}"
}
check "wrong: eval of too many texts" many eval x
check "wrong: reproduce of too many texts" many reproduce table1 --out y
wrong "no command \"nothing\"" data nothing
wrong "expected --out FOLDER and at least one INPUT" data prepare
wrong "expected --out FOLDER and at least one INPUT" data prepare --out y
wrong "at most one" data prepare --out y --bytes --vocab 300 x
wrong "expected text or jsonl" data prepare --out y --format xml x
wrong "expected --out FOLDER, and prose or all" data corpus
wrong "expected --out FOLDER, and prose or all" data corpus x --out y
wrong "expected --out FOLDER" data synthetic
wrong "expected a number" data synthetic --out y --megabytes -1
wrong "expected --out FOLDER" data facts
wrong "expected one folder" data info
wrong "expected one folder" data info a b

# Paths that become part of a file of YAML.
broken=$(printf 'a\xff')
check "--data that is not UTF-8: tune" ends_saying 1 "^peerlab: --data .*: not UTF-8" \
  "$peerlab" tune --data "$broken" --out y
check "--data that is not UTF-8: reproduce" ends_saying 1 "^peerlab: --data .*: not UTF-8" \
  "$peerlab" reproduce all --data "$broken" --out y
check "--out that is not UTF-8: reproduce" ends_saying 1 "^peerlab: --out .*: not UTF-8" \
  "$peerlab" reproduce plan --scale paper --out "$broken"
check "--out that is not UTF-8: upscale" ends_saying 1 "not UTF-8, as start.yaml must be" \
  "$peerlab" upscale x --drop 1 --out "$broken"
check "nothing was made of them" test ! -e y -a ! -e "$broken"

finish
