#!/bin/sh
# Makes the container images for both architectures: "image.sh VERSION DIR"; an empty
# version is the one that git describes (tools/image).
set -eu
mkdir -p "$2"
out=$(cd "$2" && pwd)
cd "$(dirname "$0")/.."
go=${GO:-go}
version=${1:-$(sh scripts/version.sh)}
umask 022
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for arch in amd64 arm64; do
	GOARCH=$arch make --no-print-directory install BIN="$work/bin-$arch" VERSION="$version" DESTDIR="$work/$arch" PREFIX=/usr >/dev/null
done
$go -C tools/image build -o "$work/image" .
"$work/image" "$version" "${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}" "$out" "$work/amd64" "$work/arm64"
