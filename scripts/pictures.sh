#!/bin/sh
# Takes the pictures in docs/images with tools/pictures, from a real run of the programs
# that `make build` has built. Needs tmux, Chromium and the ports 8080 and 9180;
# /tmp/site must not exist.
set -eu
(
	. "$(dirname "$0")/apt.sh"
	need tmux tmux
	if ! command -v chromium >/dev/null 2>&1 && ! command -v chromium-browser >/dev/null 2>&1 &&
		! command -v google-chrome >/dev/null 2>&1; then
		missing="$missing chromium"
	fi
	fc-list 2>/dev/null | grep -q DejaVuSansMono || missing="$missing fonts-dejavu-core"
	install_missing picture
)
go -C tools build -o ../bin/ ./pictures
exec bin/pictures "$@"
