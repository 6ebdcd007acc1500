#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# One call of every kind fails in every subcommand: faults.sh SOURCE BUILD
set -u
source=$(cd "$1" && pwd)
build=$(cd "$2" && pwd)
. "$source/tests/support/checks.sh" || exit 1
if sanitized "$build/libpeer.so"; then
  echo "built with a sanitizer, which wants to be loaded first"
  check "skipped" true
  finish
  exit
fi
exec "$source/tests/faults/drive.sh" "$build/experiments/peerlab" "$build/tests/libpeer_fault.so" 1
