#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The steps of `./lab demo` at tiny size, from made-up text to the figure: demo.sh SOURCE BUILD
set -u
source=$(cd "$1" && pwd)
peerlab=$(cd "$2" && pwd)/experiments/peerlab
. "$source/tests/support/checks.sh" || exit 1
. "$source/tests/support/peerlab.sh" || exit 1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1

# The demo's own sweep, smaller: all but budgets, sizes, numbers of experts and lengths is the same.
sed -e 's/^budgets:.*/budgets: [4e8, 8e8]/' -e '/^  - {width:/d' \
  -e 's/^sizes:.*/&\n  - {width: 8, blocks: 1}\n  - {width: 16, blocks: 1}\n  - {width: 16, blocks: 2}\n  - {width: 24, blocks: 2}\n  - {width: 32, blocks: 2}/' \
  -e 's/\(memories\|experts\): [0-9]*/\1: 64/' -e 's/kept: [0-9]*/kept: 4/' \
  -e 's/context: [0-9]*/context: 32/' -e 's/length: [0-9]*/length: 32/' \
  "$source/experiments/configs/demo.yaml" >demo.yaml
data=$(sed -n 's/^data: *\([^ #]*\).*/\1/p' demo.yaml)
mkdir -p "$(dirname "$data")"

check "synthetic text" ends_saying 0 "stories" \
  "$peerlab" data synthetic --out data/synthetic --megabytes 0.2
tokenizer=(--vocab 400)
if ! command -v spm_train >/dev/null; then
  echo "no spm_train here: bytes in place of sentencepiece"
  tokenizer=(--bytes)
fi
check "tokens" ends_saying 0 "training" \
  "$peerlab" data prepare --out "$data" "${tokenizer[@]}" data/synthetic
check "sweep" ends_saying 0 " runs done, 0 failed, 0 left" "$peerlab" sweep run demo.yaml --out demo
check "report" ends_saying 0 "^demo/report/report.html$" "$peerlab" sweep report demo
shows() { # shows PATTERN
  grep -q -e "$1" demo/report/report.html
}
variants=$("$peerlab" sweep plan demo.yaml --no-estimate | awk 'NF == 11 && NR > 1 { print $1 }' | sort -u)
check "the demo has three variants" test "$(wc -w <<<"$variants")" = 3
for variant in $variants; do
  check "the report shows $variant" shows "$variant"
done
check "the report stands alone" eval '! grep -E "(src|href) *= *.?(https?:|/|figures/)" demo/report/report.html'
if command -v gnuplot >/dev/null; then
  check "the report holds the figure" shows "<svg"
  check "the figure is a file too" grep -q "</svg>" demo/report/figures/isoflop-active.svg
else
  echo "no gnuplot here: a report without figures"
fi
finish
