#!/bin/sh
# Takes the pictures in docs/images from a real run, with what `make build` has
# made; tools/pictures says how. It needs tmux and Chromium, the ports 8080 and
# 9180, and that there is no /tmp/site.
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
