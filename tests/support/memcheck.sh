#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs a test under valgrind, in its children too: memcheck.sh TEST. Criterion starts a process a test.
exec valgrind -q --trace-children=yes --error-exitcode=1 --errors-for-leak-kinds=none \
  --fair-sched=yes "$@"
