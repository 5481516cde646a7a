#!/bin/sh
# soak.sh N: runs the tests N times, under other conditions each time, and says
# for each run under which, how long it took and which tests failed. What a red
# run printed is kept in bin/soak. Ends with 1 if any run was red.
set -u
cd "$(dirname "$0")/.." || exit 1
runs=${1:-20}
make=${MAKE:-make}
out=bin/soak
mkdir -p "$out"

# busy runs a command beside a loop on each of two cores.
busy() {
	sh -c 'while :; do :; done' & one=$!
	sh -c 'while :; do :; done' & two=$!
	"$@"
	code=$?
	kill "$one" "$two"
	wait "$one" "$two" 2>/dev/null
	return "$code"
}

# under runs the tests once; its first argument says how.
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

red=0
run=1
while [ "$run" -le "$runs" ]; do
	how=$(condition "$run")
	log=$out/run$run.log
	began=$(date +%s)
	if under "$how" >"$log" 2>&1; then
		result=ok
		rm "$log"
	else
		red=$((red + 1))
		failed=$(sed -n 's/^ *--- FAIL: \([^ ]*\) .*/\1/p' "$log" | tr '\n' ' ')
		result="RED ${failed:-without a failed test }($log)"
	fi
	printf '%3d of %d  %-24s %4d s  %s\n' "$run" "$runs" "$how" "$(($(date +%s) - began))" "$result"
	run=$((run + 1))
done
[ "$red" -eq 0 ]
