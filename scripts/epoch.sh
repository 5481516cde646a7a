#!/bin/sh
# Prints the timestamp of everything that is published, in seconds since 1970:
# SOURCE_DATE_EPOCH, or the time of this commit, which the files of a source archive have.
set -eu
cd "$(dirname "$0")/.."
if [ -n "${SOURCE_DATE_EPOCH:-}" ]; then
	echo "$SOURCE_DATE_EPOCH"
elif ! [ -e .git ] || ! git log -1 --format=%ct 2>/dev/null; then
	date -r CHANGELOG.md +%s
fi
