#!/bin/sh
# Builds the packages: "packages.sh VERSION DIR". If VERSION is empty it comes from
# version.sh. ARCHS lists the architectures, by default both. DIR gets .deb, .rpm, .apk
# and .tar.gz, an SBOM of each program (CycloneDX), and checksums. All timestamps are the
# commit's, so the same commit gives the same bytes, except for the .apk.
set -eu
mkdir -p "$2"
out=$(cd "$2" && pwd)
cd "$(dirname "$0")/.."
go=${GO:-go}
version=${1:-$(sh scripts/version.sh)}
nfpm=github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.43.0
parts=github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0
SOURCE_DATE_EPOCH=$(sh scripts/epoch.sh)
export SOURCE_DATE_EPOCH
umask 022
export LC_ALL=C # the order of the checksums
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP

for arch in ${ARCHS:-amd64 arm64}; do
	STAGE=$work/$arch
	GOARCH=$arch make --no-print-directory install BIN="$work/bin-$arch" VERSION="$version" DESTDIR="$STAGE" PREFIX=/usr >/dev/null
	# A tar file of the installed files, for systems without a package manager.
	install -D -m 644 LICENSE "$STAGE/usr/share/doc/phalanx/LICENSE"
	name=phalanx-$version-linux-$arch
	tar --create --directory "$STAGE/usr" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" \
		--transform "flags=r;s,^\.,$name," --file "$work/files.tar" .
	gzip -9nc "$work/files.tar" >"$out/$name.tar.gz"
	for program in master worker; do
		$go run $parts bin -json -noserial -notimestamp -version "v$version" -output "$work/sbom" "$STAGE/usr/lib/phalanx/$program" 2>"$work/said" || { cat "$work/said" >&2; exit 1; }
		mv "$work/sbom" "$out/$name-$program.cdx.json"
	done
	rm "$STAGE/usr/share/doc/phalanx/LICENSE" "$STAGE/usr/share/doc/phalanx/phalanx.logrotate"
	gzip -9n "$STAGE/usr/share/man/man1/phalanx.1"
	gzip -9nc CHANGELOG.md >"$STAGE/changelog.gz"
	printf 'phalanx (%s-1) unstable; urgency=medium\n\n  * See changelog.gz.\n\n -- The Phalanx authors <maintainers@phalanx.invalid>  %s\n' \
		"$(echo "$version" | sed 's/-/~/')" "$(date -u -R -d "@$SOURCE_DATE_EPOCH")" | gzip -9n >"$STAGE/changelog.Debian.gz"
	cp dist/package/phalanx.conf "$STAGE/phalanx.conf"
	for kind in deb rpm apk; do
		packaged=$version
		# Alpine allows only certain words in versions: 0.3.0-915-gabcdef0 is 0.3.0_pre915 there.
		[ $kind != apk ] || packaged=$(echo "$version" | sed -E 's/-([0-9]+)-g[0-9a-f]+$/_pre\1/')
		STAGE=$STAGE ARCH=$arch VERSION=$packaged $go run $nfpm package --config dist/package/nfpm.yaml --packager $kind --target "$out/" >"$work/said" 2>&1 || { cat "$work/said" >&2; exit 1; }
	done
done
cd "$out"
rm -f SHA256SUMS
sha256sum -- * >"$work/sums"
mv "$work/sums" SHA256SUMS
