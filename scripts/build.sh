#!/bin/sh
# Builds programs into a directory as they are installed: "build.sh DIR
# PACKAGE...". They need no libc, no file of the machine they were built on and
# no symbol table: a panic still names functions and lines. The admin endpoint
# speaks no HTTP/2, which net/http has built in.
set -eu
to=$1
shift
CGO_ENABLED=0 exec ${GO:-go} build -trimpath -tags=nethttpomithttp2 -ldflags='-s -w' -o "$to" "$@"
