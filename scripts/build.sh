#!/bin/sh
# Builds programs as they are installed: "build.sh DIR PACKAGE...". They are static,
# contain no paths of the build machine and no symbol table; a panic still names
# functions and lines. nethttpomithttp2 leaves out net/http's HTTP/2, which the admin
# endpoint does not use. The master has its own entry point, which changes a table of
# the runtime (internal/upgrade/signals.go): -checklinkname=0 lets the linker accept that.
# With -buildvcs=false the same source gives the same bytes with and without a repository,
# and builds in one that git refuses, such as another user's. Without a .git of its own it
# may be in a repository of something else, whose commits do not count.
set -eu
to=$1
shift
go=${GO:-go}
if ! command -v "${go%% *}" >/dev/null; then
	echo "${go%% *} is not in the PATH; install Go, or name it with sudo: sudo make install GO=\"\$(command -v go)\"" >&2
	exit 127
fi
os=$($go env GOOS)
if [ "$os" != linux ]; then
	echo "Phalanx runs only on Linux, and this would build it for $os; run GOOS=linux make build" >&2
	exit 1
fi
start=
case $($go env GOARCH) in
amd64 | arm64) start=' -checklinkname=0 -E phalanx_entry' ;;
esac
# Without VERSION the programs have the version and date in the source; a source archive has
# no other date.
release=
if [ -n "${VERSION:-}" ]; then
	release=" -X phalanx/internal/options.Version=$VERSION"
	if [ -e "$(dirname "$0")/../.git" ] && day=$(git log -1 --format=%cs 2>/dev/null); then
		release="$release -X phalanx/internal/options.Released=$day"
	fi
fi
# Tests add TEST_TAGS, separated by commas.
CGO_ENABLED=0 exec $go build -trimpath -buildvcs=false -tags="nethttpomithttp2${start:+,entry}${TEST_TAGS:+,$TEST_TAGS}" -ldflags="-s -w$release" \
	-ldflags="phalanx/cmd/master=-s -w$release$start" -o "$to" "$@"
