#!/bin/sh
# Runs every fuzzer of the project for the time given, 30s if none is.
set -eu
time="${1:-30s}"
grep -rlE '^func Fuzz' --include='*_test.go' internal | xargs -n1 dirname | sort -u | while read -r dir; do
	grep -hoE '^func Fuzz[A-Za-z0-9_]*' "$dir"/*_test.go | sed 's/^func //' | sort -u | while read -r name; do
		echo "== $dir $name"
		# Where keys are random no two runs are alike, and making inputs smaller
		# would go on for a minute each.
		go test "./$dir" -run '^$' -fuzz "^$name\$" -fuzztime "$time" -fuzzminimizetime 100x
	done
done
