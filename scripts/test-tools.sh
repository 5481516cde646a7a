#!/bin/sh
# Installs what the tests need and this machine lacks, by apt-get. Where that
# cannot be done it says so in one line, and the tests that need the tool will
# fail and name it.
set -u
PATH="$PATH:/usr/sbin:/sbin" # where servers are, also for those who are not root

missing=""
need() { # need COMMAND PACKAGE
	command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}
need siege siege
need strace strace
need curl curl
need wget wget
need aria2c aria2
need git git
need dpkg-deb dpkg
need nginx nginx
need apache2 apache2-bin # the program without the service
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

# A test tool is no service: what is installed now is neither started now
# (policy-rc.d, as Debian's policy has it) nor at the next boot.
policy=/usr/sbin/policy-rc.d
ours=""
undo() { [ -z "$ours" ] || $as_root rm -f "$policy"; }
if [ ! -e "$policy" ]; then
	ours=yes
	trap undo EXIT
	trap 'exit 130' INT TERM HUP
	$as_root sh -c "printf '#!/bin/sh\nexit 101\n' >$policy && chmod 755 $policy"
fi
$as_root apt-get update -qq >/dev/null 2>&1
# shellcheck disable=SC2086
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null 2>&1 || by_hand "apt-get install failed"
case "$missing" in
*nginx*) command -v systemctl >/dev/null 2>&1 && $as_root systemctl disable --quiet --now nginx >/dev/null 2>&1 ;;
esac
exit 0
