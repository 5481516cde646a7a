#!/bin/sh
# Builds programs into a directory as they are installed: "build.sh DIR
# PACKAGE...". They need no libc, no file of the machine they were built on and
# no symbol table: a panic still names functions and lines. The admin endpoint
# speaks no HTTP/2, which net/http has built in. The master starts at an entry point
# of its own (internal/upgrade/signals.go), which changes a table of the runtime: the
# linker would refuse that.
set -eu
to=$1
shift
go=${GO:-go}
start=
case $($go env GOARCH) in
amd64 | arm64) start=' -checklinkname=0 -E phalanx_entry' ;;
esac
# Without VERSION they are of the version that the source names.
release=
if [ -n "${VERSION:-}" ]; then
	release=" -X phalanx/internal/options.Version=$VERSION -X phalanx/internal/options.Released=$(git log -1 --format=%cs)"
fi
CGO_ENABLED=0 exec $go build -trimpath -tags="nethttpomithttp2${start:+,entry}" -ldflags="-s -w$release" \
	-ldflags="phalanx/cmd/master=-s -w$release$start" -o "$to" "$@"
