#!/bin/sh
# Prints the version of this commit: "0.2.0" at the tag v0.2.0. Other commits are on the way
# to the version in the source, and sort before it: "0.3.0-915-gabcdef0" is number 915. A
# source archive has only the version in the source, in a repository of something else too.
set -eu
cd "$(dirname "$0")/.."
if [ -e .git ] && tag=$(git describe --tags --exact-match --match 'v[0-9]*' 2>/dev/null); then
	echo "${tag#v}"
	exit
fi
version=$(sed -n 's/^var Version = "\(.*\)"/\1/p' internal/options/version.go)
if [ -e .git ] && commits=$(git rev-list --count HEAD 2>/dev/null); then
	version=$version-$commits-g$(git rev-parse --short=7 HEAD)
fi
echo "$version"
