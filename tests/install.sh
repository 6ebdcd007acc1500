#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Installs the library to a temporary folder and uses it as a stranger would: install.sh SOURCE BUILD
set -u
source=$(cd "$1" && pwd)
build=$(cd "$2" && pwd)
. "$source/tests/support/checks.sh" || exit 1
CC=${CC:-cc}

if sanitized "$build/libpeer.so"; then
  echo "built with a sanitizer: not what is installed"
  exit 77
fi

dest=$(mktemp -d)
trap 'rm -rf "$dest"' EXIT
cd "$dest" || exit 1
if ! meson install -C "$build" --no-rebuild --destdir "$dest" --tags runtime,devel >log 2>&1; then
  cat log
  exit 1
fi
pc=$(find "$dest" -name peer.pc)
prefix=$(sed -n 's/^prefix=//p' "$pc")
sed -i "s|^prefix=.*|prefix=$dest$prefix|" "$pc"
export PKG_CONFIG_PATH=${pc%/*}${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}
include=$(pkg-config --variable=includedir peer)/libpeer
libraries=$(pkg-config --variable=libdir peer)
export LD_LIBRARY_PATH=$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} OMP_WAIT_POLICY=passive
warnings=(-Wall -Wextra -pedantic -Werror)

# What is installed.
public_headers() {
  diff <(cd "$source" && grep -L '^/\* Internal\.' nn/*.h nn/*/*.h pkm/*.h peer/*.h moe/*.h | sort) \
    <(cd "$include" && find * -name "*.h" | sort)
}
nothing_else() {
  find "$dest" -type f ! -path "$dest/log" ! -path "$include/*.h" \
    ! -name 'libpeer.so*' ! -name libpeer.a ! -name peer.pc | nothing
}
check "the headers that are not internal" public_headers
check "headers, library and peer.pc, nothing else" nothing_else

# Headers alone.
compiles() { # compiles COMPILER... HEADER
  local header=${*: -1}
  printf '#include <%s>\nint used(void);\nint used(void)\n{\n    return 0;\n}\n' "$header" >alone.src
  "${@:1:$#-1}" "${warnings[@]}" -fsyntax-only $(pkg-config --cflags peer) alone.src
}
cxx=()
for compiler in g++ clang++; do
  command -v "$compiler" >/dev/null && cxx+=("$compiler")
done
[ ${#cxx[@]} -gt 0 ] || echo "no C++ compiler: headers are compiled as C only"
while read -r header; do
  check "$header alone as C11" compiles $CC -std=c11 -x c "$header"
  for compiler in "${cxx[@]}"; do
    check "$header alone as C++17 by $compiler" compiles "$compiler" -std=c++17 -x c++ "$header"
  done
done < <(cd "$include" && find * -name "*.h" | sort)

# The shared library.
exported() {
  nm -D --defined-only "$libraries/libpeer.so" | awk '{ print $3 }'
}
# Names that the headers promise: the last word before the first bracket or semicolon.
promised() {
  find "$include" -name "*.h" -exec cat {} + | grep -v '^#' | tr '\n' ' ' | grep -oE 'PEER_API [^[(;]*' |
    sed -E 's/ +$//; s/.*[ *]//'
}
own_names_only() {
  exported | grep -vE '^(peer|pkm)_' | nothing
}
keeps_promises() {
  [ "$(promised | wc -l)" -ge 50 ] && comm -23 <(promised | sort -u) <(exported | sort -u) | nothing
}
promised_only() {
  comm -13 <(promised | sort -u) <(exported | sort -u) | nothing
}
needs_little() {
  readelf -d "$libraries/libpeer.so" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' |
    grep -vE '^(libopenblas|libgomp|libomp|libm|libc|libpthread|ld-linux[-a-z0-9_]*)\.so' | nothing
}
check "exported names begin with peer_ or pkm_" own_names_only
check "what headers declare is exported" keeps_promises
check "what is exported is in a header" promised_only
check "needs OpenBLAS, OpenMP, libm and libc only" needs_little

# One version in header, library and peer.pc.
version_agrees() {
  cat >version.c <<'TEXT'
#include <peer/peer.h>
#include <stdio.h>
#include <string.h>
int main(void)
{
    printf("%d.%d.%d\n", PEER_VERSION_NUMBER / 10000, PEER_VERSION_NUMBER / 100 % 100, PEER_VERSION_NUMBER % 100);
    return strcmp(peer_version(), PEER_VERSION) != 0;
}
TEXT
  $CC -std=c11 "${warnings[@]}" -o version version.c $(pkg-config --cflags --libs peer) &&
    ./version >version.txt && [ "$(cat version.txt)" = "$(pkg-config --modversion peer)" ]
}
check "header, library and peer.pc are of one version" version_agrees

# The static library holds everything, kernels of all instruction sets too, in one plain archive.
plain_archive() {
  [ "$(head -c 7 "$libraries/libpeer.a")" = '!<arch>' ]
}
check "the static library is no thin archive" plain_archive

# The examples.
builds() { # builds NAME LIBRARIES...
  local name=$1
  shift
  $CC -std=c11 -O2 "${warnings[@]}" -o "$name" "$source/examples/${name%.*}.c" \
    $(pkg-config --cflags peer) "$@" -lm
}
runs() { # runs NAME: says something, and exits with 0
  timeout 120 "./$1" >"$1.txt" && [ -s "$1.txt" ]
}
# Of the lines with an error, the last has less than a third of the first.
learns() {
  awk '/square error/ { last = $6; if (!first) first = last }
    END { if (!(last < first / 3)) { print first, last; exit 1 } }' "$1.txt"
}
same_output() {
  diff "$1.txt" "$2.txt"
}
for file in "$source"/examples/*.c; do
  name=$(basename "$file" .c)
  check "$name builds" builds "$name" $(pkg-config --libs peer)
  check "$name runs" runs "$name"
  check "$name builds with the static library" builds "$name.static" \
    -Wl,-Bstatic $(pkg-config --libs peer) -Wl,-Bdynamic $(pkg-config --libs openblas) -fopenmp
  check "$name runs with the static library" runs "$name.static"
  check "$name says the same with either library" same_output "$name" "$name.static"
done
check "regression learns" learns regression
check "own_optimizer learns" learns own_optimizer
check "save_load gives back every weight" grep -q "expert 77 is the same" save_load.txt

finish
