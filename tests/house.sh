#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The rules of the house that a grep or a symbol table can check: house.sh SOURCE BUILD
set -u
source=$(cd "$1" && pwd)
build=$(cd "$2" && pwd)
. "$source/tests/support/checks.sh" || exit 1
cd "$source" || exit 1
export LC_ALL=C.UTF-8

# Every file of the project: those under version control, or in an archive without one all but
# build folders and what the program made.
project_files() {
  git ls-files --cached --others --exclude-standard 2>/dev/null | while read -r file; do
    [ ! -f "$file" ] || echo "$file"
  done
}
if [ -z "$(project_files)" ]; then
  project_files() {
    find . -type f ! -path './build*' ! -path './demo/*' ! -path './data/*' ! -path './.git/*' |
      sed 's|^\./||'
  }
fi
project_files >"${files:=$(mktemp)}"
trap 'rm -f "$files"' EXIT
files_like() {
  grep -E "$1" "$files"
}
code='\.(c|h)$'

# Includes run one way. A folder names what it may include from the root.
includes_only() { # includes_only FOLDER ALLOWED...
  local folder=$1 allowed
  shift
  allowed=$(printf '|%s/' "$@")
  files_like "^$folder/.*$code" | xargs grep -nE '^ *# *include *"' |
    grep -vE "\"(${allowed#|})[a-z0-9_]+(/[a-z0-9_]+)*\.h\"" | nothing
}
# The one header that the build makes.
includes_only_or_revision() {
  includes_only "$@" | grep -v '"revision\.h"' | nothing
}
check "nn includes nn" includes_only nn nn
# The rooms of nn are floors too: what stands in nn itself below all of them.
floor() { # floor ROOM ALLOWED_ROOM...
  local room=$1 allowed
  shift
  allowed=$(printf '|%s/' "$@")
  files_like "^nn/$room[a-z0-9_]*$code" | xargs grep -nE '^ *# *include *"' |
    grep -vE "\"nn/(${allowed#|})?[a-z0-9_]+\.h\"" | nothing
}
check "nn itself includes none of its rooms" floor "" none
check "nn/kernels" floor kernels/ kernels
check "nn/products stand on kernels" floor products/ kernels products
check "nn/tables stand on kernels" floor tables/ kernels tables
check "nn/params stand on tables" floor params/ kernels tables params
check "nn/optim stands on params" floor optim/ kernels tables params optim
check "nn/layers stand on params" floor layers/ kernels products tables params layers
check "pkm includes nn, pkm" includes_only pkm nn pkm
check "peer includes nn, pkm, moe, peer" includes_only peer nn pkm moe peer
check "moe includes nn, moe" includes_only moe nn moe
check "lm includes nn, pkm, peer, moe, lm" includes_only lm nn pkm peer moe lm
check "experiments includes all but bench and tests" \
  includes_only_or_revision experiments nn pkm peer moe lm experiments
check "bench and tests include from the root" \
  includes_only_or_revision '(bench|tests)' nn pkm peer moe lm experiments bench tests
check "examples include the installed header" includes_only examples none
own_headers_are_quoted() {
  files_like "^(nn|pkm|peer|moe|lm|experiments|bench|tests)/.*$code" |
    xargs grep -nE '# *include *<(nn|pkm|peer|moe|lm|experiments)/' | nothing
}
check "headers of the project are quoted" own_headers_are_quoted

# What the program draws with is installed with it.
scripts_are_installed() {
  files_like '^plots/.*\.gp$' | while read -r script; do
    grep -qF "'../$script'" experiments/meson.build || echo "$script"
  done | nothing
}
check "scripts of figures are installed" scripts_are_installed

# The library and the language model neither print nor end the program nor read the environment,
# and keep no state: in their objects stands what a reader of the source may miss.
archives=("$build/libpeer.a" "$build"/lm/liblm.a)
talk='printf|__printf_chk|vprintf|__vprintf_chk|puts|putchar|perror|stdout|stderr'
quit='exit|_exit|_Exit|quick_exit|abort|raise|err|errx|getenv|secure_getenv|setenv|putenv|environ'
built() {
  ls "${archives[@]}" && [ "$(nm "${archives[@]}" 2>/dev/null | wc -l)" -gt 200 ]
}
undefined_symbols() {
  nm -A --undefined-only "${archives[@]}" | grep -E " ($1)(@.*)?$" | nothing
}
# Constants that hold addresses stand in .data.rel.ro, which is read-only once loaded. A fork is of
# the process and of no context; jansson asks for memory in a thread and of no context.
mutable_symbols() {
  objdump -t "${archives[@]}" | awk '
    /file format/ { file = $1 }
    { for (i = 2; i < NF; i++)
        if ($i ~ /^(\.data|\.bss|\.tdata|\.tbss|\*COM\*)/ && $i !~ /^\.data\.rel\.ro/ && $NF != $i)
          print file, $0 }' | grep -v ' peer_process_forked$' |
    grep -vE '/json\.c\.o: .* \.tbss' | nothing
}
if sanitized "$build/libpeer.so"; then
  echo "built with a sanitizer: objects are not looked into"
else
  check "the libraries are there" built
  check "nn ... lm do not print" undefined_symbols "$talk"
  check "nn ... lm do not end the program or read the environment" undefined_symbols "$quit"
  check "nn ... lm have no mutable statics" mutable_symbols
fi

# GSL's own CBLAS would take OpenBLAS's place in the programs that link GSL.
programs() {
  find "$build" -maxdepth 2 -type f -perm -u+x ! -name '*.so*' ! -name '*.sh'
}
one_blas() {
  [ "$(programs | wc -l)" -gt 5 ] || return 1
  programs | while read -r program; do
    readelf -d "$program" 2>/dev/null | grep -E 'gslcblas|lib(cblas|blas)\.so' |
      sed "s|^|$program: |"
  done | nothing
}
check "programs link one BLAS" one_blas

# Files.
licence_named() {
  files_like '\.(c|h|h\.in|sh|py|gp|gnuplot)$' | while read -r file; do
    head -n 3 "$file" | grep -q 'SPDX-License-Identifier: MIT' || echo "$file"
  done | nothing
}
text='\.(c|h|in|md|sh|py|gp|gnuplot|build|txt|yaml)$|^lab$|^\.ci/'
no_tabs() {
  files_like "$text" | xargs grep -nP '\t' | nothing
}
no_trailing_space() {
  files_like "$text" | xargs grep -nP '[ \t\r]+$' | nothing
}
final_newline() {
  files_like "$text" | while read -r file; do
    [ ! -s "$file" ] || [ -z "$(tail -c 1 "$file")" ] || echo "$file"
  done | nothing
}
narrow() {
  files_like "$code" | xargs grep -nE '^.{101}' | nothing
}
# Tables and code cannot be folded; RESULTS.md is what the program wrote.
folded() {
  files_like '\.md$' | grep -v '^experiments/RESULTS\.md$' | while read -r file; do
    sed '/^ *```/,/^ *```/s/.*//' "$file" | grep -nE '^.{121}' | grep -vE '^[0-9]+:(\||    )' | sed "s|^|$file:|"
  done | nothing
}
finished() {
  files_like "$code|\.(sh|py|gp)$" | xargs grep -nwE 'TO[D]O|FIX[M]E|XX[X]' | nothing
}
folders_explained() {
  sed 's|/[^/]*$||; t; s|.*|.|' "$files" | sort -u | grep -vE '^\.[a-z]|/regressions/' | while read -r folder; do
    [ -f "$folder/README.md" ] || echo "$folder has no README.md"
  done | nothing
}
kernels_explained() {
  grep -oE '\bX\([a-z0-9_]+, \(' nn/kernels/kernels.h | sed 's/X(//; s/,.*//' | sort -u >"$files.kernels"
  [ "$(wc -l <"$files.kernels")" -ge 5 ] && while read -r kernel; do
    grep -qw "$kernel" KERNELS.md || echo "KERNELS.md does not name $kernel"
  done <"$files.kernels" | nothing
}
check "every source names its licence" licence_named
check "no tabs" no_tabs
check "no trailing space" no_trailing_space
check "every file ends with a newline" final_newline
check "code is 100 columns wide at most" narrow
check "text is 120 columns wide at most" folded
check "nothing is left for later" finished
check "every folder has a README.md" folders_explained
check "KERNELS.md names every kernel" kernels_explained
rm -f "$files.kernels"

finish
