#!/bin/sh
# Runs every fuzz test in turn for the given time: scripts/fuzz.sh 30s
set -eu
GO=${GO:-go}
time=${1:-30s}
grep -rl --include='*_test.go' '^func Fuzz' . | while read -r file; do
	pkg=$(dirname "$file")
	sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$file" | while read -r name; do
		echo "$pkg $name"
		"$GO" test -run '^$' -fuzz "^$name\$" -fuzztime "$time" -fuzzminimizetime 100x "$pkg" </dev/null
	done
done
