#!/bin/sh
# Builds the container images for both architectures with tools/image: "image.sh VERSION
# DIR". If VERSION is empty it comes from version.sh.
set -eu
mkdir -p "$2"
out=$(cd "$2" && pwd)
cd "$(dirname "$0")/.."
go=${GO:-go}
version=${1:-$(sh scripts/version.sh)}
umask 022
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP
for arch in amd64 arm64; do
	GOARCH=$arch make --no-print-directory install BIN="$work/bin-$arch" VERSION="$version" DESTDIR="$work/$arch" PREFIX=/usr >/dev/null
done
$go -C tools/image build -buildvcs=false -o "$work/image" .
"$work/image" "$version" "$(sh scripts/epoch.sh)" "$out" "$work/amd64" "$work/arm64"
