#!/bin/sh
# Installs what the tests need and this machine lacks, by apt-get. Where that
# cannot be done it says so in one line, and the tests that need the tool will
# fail and name it.
set -u

missing=""
need() { # need COMMAND PACKAGE
	command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}
need siege siege
need strace strace
need curl curl
if ! command -v chromium >/dev/null 2>&1 && ! command -v chromium-browser >/dev/null 2>&1 &&
	! command -v google-chrome >/dev/null 2>&1; then
	missing="$missing chromium"
fi
[ -n "$missing" ] || exit 0

by_hand() {
	echo "test tools missing:$missing; install them by hand ($1)"
	exit 0
}
command -v apt-get >/dev/null 2>&1 || by_hand "there is no apt-get here"
as_root=""
if [ "$(id -u)" -ne 0 ]; then
	sudo -n true 2>/dev/null || by_hand "sudo apt-get install$missing"
	as_root="sudo -n"
fi
echo "installing test tools:$missing"
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -qq >/dev/null 2>&1
# shellcheck disable=SC2086
$as_root apt-get install -y -qq --no-install-recommends $missing >/dev/null 2>&1 || by_hand "apt-get install failed"
