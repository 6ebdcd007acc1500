#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Text out of Debian's packages, fetched and unpacked by stand-ins that know three small ones:
# corpus.sh SOURCE BUILD
set -u
source=$(cd "$1" && pwd)
peerlab=$(cd "$2" && pwd)/experiments/peerlab
. "$source/tests/support/checks.sh" || exit 1
. "$source/tests/support/peerlab.sh" || exit 1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
export OMP_WAIT_POLICY=passive FAKES=$folder/packages FAIL=
mkdir bin
cat >bin/apt-get <<'TEXT'
#!/bin/sh
for package; do :; done
[ "$FAIL" != fetch ] || { echo "E: Failed to fetch it: no route"; exit 100; }
[ -d "$FAKES/$package" ] || { echo "E: Unable to locate package $package"; exit 100; }
echo "$FAKES/$package" >"${package}_1_all.deb"
TEXT
cat >bin/dpkg-deb <<'TEXT'
#!/bin/sh
[ "$FAIL" != unpack ] || { echo "dpkg-deb: error: not an archive"; exit 2; }
cp -r "$(cat "$2")/." "$3"
TEXT
chmod +x bin/*
with_fakes() { env PATH="$folder/bin:$PATH" "$@"; }
corpus() { ends_saying "$1" "$2" with_fakes "$peerlab" data corpus --out text "${@:3}"; }
leaves_nothing() { [ -z "$(find . -maxdepth 1 -name 'text*')" ]; }

check "no package is known" corpus 1 "apt-get knows none of the packages"
check "then nothing is left" leaves_nothing

markdown=$FAKES/anarchism/usr/share/doc/anarchism/markdown
mkdir -p "$markdown"
printf '# A heading\n\nSome **bold** words in a\nparagraph with a [link](http://x.y).\n' >"$markdown/secA1.md"
printf 'An appendix of three words.\n' >"$markdown/append1.md"
printf 'Nobody looks for this file.\n' >"$markdown/other.md"
says() { # says FILE TEXT: a line of it, as it stands
  grep -qxF "$2" "text/$1" || { cat "text/$1"; return 1; }
}
check "one package" corpus 0 "NOT the text that this program was tested with"
check "others are left out" ends_saying 0 "is not in this release's lists" \
  with_fakes "$peerlab" data corpus --out text --force
check "its documents, in order" says anarchism.jsonl \
  '{"text":"A heading\n\nSome bold words in a paragraph with a link."}'
two_documents() { [ "$(wc -l <text/anarchism.jsonl)" = 2 ]; }
check "only what is looked for" two_documents
check "sources are named" grep -q "from the Debian package anarchism: An Anarchist FAQ, GPL-2" text/SOURCES
check "a folder that is there" corpus 1 "text"
check "nothing of it is lost" two_documents
check "another text, strictly" corpus 1 "expected 11113993 bytes with a0cb4294" --strict --force
check "the older text stays" two_documents

mkdir -p "$FAKES/fortunes/usr/share/games/fortunes" "$FAKES/dict-gcide/usr/share/dictd"
printf 'One wise saying.\n%%\nAnother,\n\tin two lines.\n%%\n#@!$%%^&*()\n' >"$FAKES/fortunes/usr/share/games/fortunes/wise"
printf 'About the dictionary\n\nA \\A\\ (a), n.\n   The first {letter}. [1913 Webster]\n' |
  gzip >"$FAKES/dict-gcide/usr/share/dictd/gcide.dict.dz"
check "all packages" corpus 0 "fortunes  *2 documents" all --force
check "epigrams" says fortunes.jsonl '{"text":"Another,\nin two lines."}'
check "a dictionary" says dict-gcide.jsonl '{"text":"A (a), n. The first letter."}'

rm -r text "$markdown"/*
FAIL=fetch check "no network" corpus 1 "apt-get cannot fetch anarchism: E: Failed to fetch it: no route"
FAIL=unpack check "a damaged package" corpus 1 "dpkg-deb cannot unpack anarchism"
check "a package without its text" corpus 1 "has none of the text looked for"
check "no apt-get" ends_saying 1 "apt-get" env PATH="$folder/none" "$peerlab" data corpus --out text
check "and nothing is left" leaves_nothing
finish
