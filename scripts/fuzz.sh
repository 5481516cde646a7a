#!/bin/sh
# Runs every fuzz test of the project for a time: "fuzz.sh [TIME]", by default 30s.
set -eu
time="${1:-30s}"
grep -rlE '^func Fuzz' --include='*_test.go' internal | xargs -n1 dirname | sort -u | while read -r dir; do
	grep -hoE '^func Fuzz[A-Za-z0-9_]*' "$dir"/*_test.go | sed 's/^func //' | sort -u | while read -r name; do
		echo "== $dir $name"
		# Fuzz tests with random keys are not deterministic: without a limit, each attempt
		# to minimize an input would take a minute.
		go test "./$dir" -run '^$' -fuzz "^$name\$" -fuzztime "$time" -fuzzminimizetime 100x
	done
done
