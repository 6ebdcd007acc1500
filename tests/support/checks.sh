# SPDX-License-Identifier: MIT
# Shell tests: each check counts, and the last line is like Criterion's, so that all are counted alike.

passing=0
failing=0

# check NAME COMMAND...: passes if the command succeeds; prints what it said if not.
check() {
  local name=$1 said
  shift
  if said=$("$@" 2>&1); then
    passing=$((passing + 1))
  else
    failing=$((failing + 1))
    printf '[FAIL] %s\n%s\n' "$name" "$said"
  fi
}

# Fails if standard input has any line, and shows them.
nothing() {
  ! grep .
}

finish() {
  echo "[====] Synthesis: Tested: $((passing + failing)) | Passing: $passing | Failing: $failing" \
    "| Crashing: 0"
  [ "$failing" -eq 0 ]
}

# True where the library was built with a sanitizer, which brings symbols and libraries of its own.
sanitized() { # sanitized LIBRARY
  nm -u "$1" | grep -qE '__(asan|ubsan|tsan|msan)_'
}
