#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Lines and branches that the tests of a build with -Db_coverage=true reached, by folder:
# coverage.sh BUILD [HTML_FOLDER]
set -euo pipefail
cd "$(dirname "$0")/../.."
report=(gcovr --root . --object-directory "$1" --exclude 'tests/' --exclude 'bench/' --exclude 'examples/'
  --exclude-unreachable-branches --exclude-throw-branches --gcov-ignore-parse-errors)
if [ $# -gt 1 ]; then
  mkdir -p "$2"
  "${report[@]}" --html-details "$2/index.html" --csv "$1/coverage.csv" >/dev/null
else
  "${report[@]}" --csv "$1/coverage.csv" >/dev/null
fi
# gcovr's columns: filename, line_total, line_covered, line_percent, branch_total, branch_covered, ...
awk -F, '
  NR > 1 {
    folder = $1; sub(/\/[^\/]*$/, "", folder)
    lines[folder] += $2; reached[folder] += $3; branches[folder] += $5; taken[folder] += $6
    if ($2 > 20 && $3 / $2 < 0.8) worst[$1] = sprintf("%5.1f %%", 100 * $3 / $2)
  }
  function share(part, all) { return all ? sprintf("%5.1f %%", 100 * part / all) : "      -" }
  END {
    printf "%-24s %7s %8s %9s %8s\n", "folder", "lines", "reached", "branches", "taken"
    for (folder in lines)
      printf "%-24s %7d %8s %9d %8s\n", folder, lines[folder], share(reached[folder], lines[folder]),
        branches[folder], share(taken[folder], branches[folder]) | "sort"
    close("sort")
    print "\nfiles of more than 20 lines, of which fewer than 80 % are reached:"
    for (file in worst) print "  " worst[file], file | "sort"
  }' "$1/coverage.csv"
