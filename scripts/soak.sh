#!/bin/sh
# Runs the tests until N runs of this commit were green, under changing conditions: "soak.sh
# N". bin/soak/runs.tsv has a line for each finished run: commit, number, condition, seconds,
# result. The output of a red run is kept beside it. The same command resumes an interrupted
# soak. It makes as many runs as are missing, and exits with 1 unless N runs of this commit
# were green and none red.
set -u
cd "$(dirname "$0")/.." || exit 1
runs=${1:-20}
make=${MAKE:-make}
out=bin/soak
table=$out/runs.tsv
mkdir -p "$out"
commit=$(git describe --always --dirty --exclude '*') || exit 1

# Background loops ignore SIGINT, so the script has to end them.
loops=
trap 'test -z "$loops" || kill $loops' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# busy runs a command beside two busy loops.
busy() {
	sh -c 'while :; do :; done' & loops=$!
	sh -c 'while :; do :; done' & loops="$loops $!"
	"$@"
	code=$?
	kill $loops
	wait $loops 2>/dev/null
	loops=
	return "$code"
}

# under runs the tests once under a condition.
under() {
	case $1 in
	plain) $make --no-print-directory tests ;;
	"two busy loops") busy $make --no-print-directory tests ;;
	"GOMAXPROCS=1") GOMAXPROCS=1 $make --no-print-directory tests ;;
	"nohup, no terminal") setsid --wait nohup $make --no-print-directory tests </dev/null ;;
	"umask 077, ulimit -n 256") (umask 077 && ulimit -Sn 256 && exec $make --no-print-directory tests) ;;
	"one core") taskset -c 0 $make --no-print-directory tests ;;
	esac
}

condition() {
	case $(($1 % 6)) in
	1) echo "plain" ;;
	2) echo "two busy loops" ;;
	3) echo "GOMAXPROCS=1" ;;
	4) echo "nohup, no terminal" ;;
	5) echo "umask 077, ulimit -n 256" ;;
	0) echo "one core" ;;
	esac
}

# count prints how many runs of this commit had a result, or without one how many finished.
count() { awk -F '\t' -v commit="$commit" -v result="${1:-}" \
	'$1 == commit && (result == "" || $5 == result) { n++ } END { print n + 0 }' "$table"; }

touch "$table"
missing=$((runs - $(count green)))
while [ "$missing" -gt 0 ]; do
	run=$(($(count) + 1))
	how=$(condition "$run")
	log=$out/$commit-run$run.log
	began=$(date +%s)
	if under "$how" >"$log" 2>&1; then
		result=green failed=
		rm "$log"
	else
		result=red
		failed=$(sed -n 's/^ *--- FAIL: \([^ ]*\) .*/\1/p' "$log" | tr '\n' ' ')
		failed=" ${failed:-without a failed test }($log)"
	fi
	took=$(($(date +%s) - began))
	printf '%s\t%d\t%s\t%d\t%s\n' "$commit" "$run" "$how" "$took" "$result" >>"$table"
	printf '%d of %d green  %-24s %4d s  %s%s\n' "$(count green)" "$runs" "$how" "$took" "$result" "$failed"
	missing=$((missing - 1))
done
echo "$commit: $(count green) of $runs runs green, $(count red) red; see $table"
[ "$(count green)" -ge "$runs" ] && [ "$(count red)" -eq 0 ]
