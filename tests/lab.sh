#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# ./lab where packages are missing: locks of another package manager, no apt, no sudo, no network; and
# its last words: lab.sh SOURCE BUILD
set -u
source=$(cd "$1" && pwd)
. "$source/tests/support/checks.sh" || exit 1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cp "$source/lab" "$folder" && cd "$folder" && mkdir bin none || exit 1

# Stand-ins: nothing is installed, apt-get answers by the files of answers/, one a call, and root is
# who the file `user` says.
fake() { # fake NAME: its text from standard input
  { echo '#!/bin/bash'; cat; } >"bin/$1" && chmod +x "bin/$1"
}
fake dpkg-query <<<'exit 1'
fake sleep <<<"echo slept >>$folder/sleeps"
fake id <<<"cat $folder/user"
fake apt-get <<TEXT
echo "\$1" >>$folder/calls
answer=\$(ls $folder/answers | head -n 1)
[ -n "\$answer" ] || exit 0
cat "$folder/answers/\$answer" && rm "$folder/answers/\$answer"
exit 100
TEXT
lab() { # lab USER ANSWER...: './lab setup' after these answers
  rm -rf answers calls sleeps && mkdir answers && touch calls sleeps && echo "$1" >user
  shift
  local i=0
  for answer in "$@"; do
    i=$((i + 1))
    echo "E: $answer" >"answers/$i"
  done
  PATH=$folder/bin:$PATH ./lab setup >out 2>err
}
calls() { tr '\n' ' ' <calls; }

waits() { # waits TEXT...: that a lock is waited for, and said once
  lab 0 "$@" && [ "$(wc -l <sleeps)" = $# ] && [ "$(grep -c 'at work: waiting' err)" = 1 ]
}
check "waits for dpkg's lock" waits \
  "Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 7 (apt-get)" \
  "Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend), is another process using it?"
lists() { # the package is not known until the lists are fetched, whose lock is held
  lab 0 "Unable to locate package meson" \
    "Could not get lock /var/lib/apt/lists/lock. It is held by process 7 (apt-get)" &&
    [ "$(calls)" = "install update update install " ] && grep -q 'at work: waiting' err
}
check "waits for the lock of the lists" lists
no_network() {
  ! lab 0 "Unable to locate package meson" "Temporary failure resolving 'deb.debian.org'" &&
    grep -q "is there a network" err && grep -q "Temporary failure resolving" err && [ ! -s sleeps ]
}
check "no network" no_network
without() { # without COMMAND USER: './lab setup' where there is no such command
  mkdir -p few && rm -f few/* && echo "$2" >user
  for tool in bash dirname grep cat env uname tr rm mkdir head ls sed id dpkg-query apt-get; do
    [ "$tool" = "$1" ] || ln -sf "$(PATH=$folder/bin:$PATH command -v $tool)" few/
  done
  PATH=$folder/few ./lab "${3-setup}" >out 2>err
}
no_sudo() { ! without sudo 1000 && grep -q "As root: apt-get install gcc" err; }
check "no sudo" no_sudo
no_apt() { ! without apt-get 0 build && grep -q "No apt here" err && grep -q "no cc here. Install what './lab packages'" err; }
check "no apt and no compiler" no_apt
check "help names every command" bash -c './lab help >out && for name in demo study test build install setup bench clean; do
  grep -q "^  $name " out || exit 1; done'
finish
