#!/bin/sh
# Prints the version of this commit: "0.2.0" at the tag v0.2.0, "0.2.0-5-gabcdef0" five
# commits later. Without a tag it counts from the version in the source, which a source
# archive has.
set -eu
cd "$(dirname "$0")/.."
if tag=$(git describe --tags --match 'v[0-9]*' --abbrev=7 2>/dev/null); then
	echo "${tag#v}"
	exit
fi
version=$(sed -n 's/^var Version = "\(.*\)"/\1/p' internal/options/version.go)
if commits=$(git rev-list --count HEAD 2>/dev/null); then
	version=$version-$commits-g$(git rev-parse --short=7 HEAD)
fi
echo "$version"
