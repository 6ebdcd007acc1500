#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The pages of reports as a browser has them: page.sh SOURCE BUILD
set -u
source=$(cd "$1" && pwd)
peerlab=$(cd "$2" && pwd)/experiments/peerlab
. "$source/tests/support/checks.sh" || exit 1
. "$source/tests/support/peerlab.sh" || exit 1
chromium=$(command -v chromium || command -v chromium-browser || command -v google-chrome) ||
  { echo "skipped: no chromium is installed"; exit 77; }
command -v gnuplot >/dev/null || { echo "skipped: no gnuplot is installed"; exit 77; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
"$peerlab" data synthetic --out text --megabytes 0.05 >log 2>&1 &&
  "$peerlab" data prepare --out data --bytes text >>log 2>&1 || cat log

cat >small.yaml <<'TEXT'
name: small & <quick>
data: data
budgets: [1e8, 2e8, 4e8]
sizes: [{width: 8, blocks: 1}, {width: 12, blocks: 1}, {width: 16, blocks: 1}, {width: 24, blocks: 1}]
variants:
  - {name: dense, ffw: dense}
  - {name: peer-64, ffw: peer, options: {experts: 64, heads: 2, kept: 2, query_width: 8}}
  - {name: choice, ffw: expert_choice, options: {experts: 4}}
seeds: [1]
model: {context: 32}
train: {sequences: 4, length: 32, lr: 0.02, eval_tokens: 512, eval_every: 5, usage_points: 3, usage_tokens: 256}
TEXT
cat >tiny.yaml <<'TEXT'
name: tiny
seeds: [1, 2]
model: {context: 32}
train: {sequences: 4, length: 32, lr: 0.02, eval_tokens: 512}
variants:
  - {name: dense, ffw: dense}
  - {name: peer-4, ffw: peer, options: {experts: 16, heads: 2, kept: 2, query_width: 8}}
  - {name: peer-8, ffw: peer, options: {experts: 64, heads: 2, kept: 2, query_width: 8}}
tune: {budgets: [5e7, 1e8], sizes: [{width: 8, blocks: 1}, {width: 16, blocks: 1}], variants: [dense, peer-8]}
parts:
  fig3a: {budgets: [2e8], sizes: [{width: 8, blocks: 1}], variants: [dense, peer-4, peer-8]}
  fig1:
    budgets: [2e8]
    sizes: [{width: 8, blocks: 1}, {width: 16, blocks: 1}, {width: 24, blocks: 1}]
    variants: [dense, peer-8]
TEXT

# probe PAGE WIDTH SCHEME: what the page says of itself, in probe.txt.
probe() {
  local copy=${1%/*}/probed.html frame=${1%/*}/frame.html scheme=1
  [ "$3" = dark ] && scheme=0
  {
    sed 's|<head>|<head><script>window.probeErrors = []; onerror = function (e) { probeErrors.push(e) };'$(
      )' console.error = function (e) { probeErrors.push(e) }</script>|; /<\/body>/,$d' "$1"
    echo '<script>'
    cat "$source/tests/support/page_probe.js"
    echo '</script></body></html>'
  } >"$copy"
  cat >"$frame" <<TEXT
<!DOCTYPE html><meta charset="utf-8"><meta name="color-scheme" content="light dark"><pre></pre>
<iframe src="probed.html?width=$2" style="width: $2px; height: 900px; border: 0"></iframe>
<script>onmessage = function (e) { document.querySelector('pre').textContent = e.data }</script>
TEXT
  timeout 100 "$chromium" --headless --no-sandbox --disable-gpu --disable-dev-shm-usage \
    --user-data-dir="$folder/profile" --window-size=1400,1000 --blink-settings=preferredColorScheme=$scheme \
    --virtual-time-budget=20000 --dump-dom "file://$folder/$frame" >dom.html 2>browser.log </dev/null
  sed -n '/PROBE$/,/^END/p' dom.html >probe.txt
}
reads() { # reads PAGE WIDTH SCHEME
  probe "$@"
  grep -q '^END' probe.txt || { echo "the browser says:"; tail -n 5 browser.log; return 1; }
  grep -q '^ok units' probe.txt || { cat probe.txt; return 1; }
  ! grep '^BAD' probe.txt
}
# Links to files, from where the page is.
resolve() {
  (cd "${1%/*}" && sed 's/<pre>.*//' "${1##*/}" | grep -o 'href="[^#"][^"]*"' | cut -d'"' -f2 | sort -u >links &&
    [ "$(wc -l <links)" -ge 5 ] && while read -r link; do [ -s "$link" ] || { echo "$link"; exit 1; }; done <links)
}
# A run's loss stands in the tooltip of its point.
tells_losses() {
  awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next } $at["state"] == "done" { printf "%.4f\n", $at["loss_nats"] }' \
    sweep/report/tables/runs.csv >losses
  [ "$(wc -l <losses)" = 36 ] || return 1
  while read -r loss; do
    grep -q "<title>[^<]*: $loss nats</title>" sweep/report/report.html || { echo "$loss"; return 1; }
  done <losses
}

check "sweep" ends 0 "$peerlab" sweep run small.yaml --out sweep
check "its report" ends 0 "$peerlab" sweep report sweep
page=sweep/report/report.html
check "on a wide page" reads $page 1280 light
check "on a wide page in the dark" reads $page 1280 dark
check "on a phone" reads $page 360 light
check "links" resolve $page
check "tooltips have the losses of runs" tells_losses
check "study" ends 0 "$peerlab" reproduce all --study tiny.yaml --data data --out study
page=study/report/report.html
check "the study on a wide page" reads $page 1280 light
check "the study on a phone in the dark" reads $page 360 dark
check "the study's links" resolve $page
finish
