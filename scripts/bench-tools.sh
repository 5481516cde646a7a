#!/bin/sh
# Installs the load generators and servers that a benchmark needs and this
# machine lacks, by apt-get: "bench-tools.sh results" or "... compare". Where
# that cannot be done it says so in one line; the benchmark names what is
# missing. No server that it installs is started.
set -u

missing=""
need() { # need COMMAND PACKAGE
	command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}
need siege siege
need wrk wrk
if [ "${1:-results}" = compare ]; then
	need nginx nginx
	need lighttpd lighttpd
	need h2o h2o
	need apache2 apache2
fi
[ -n "$missing" ] || exit 0

by_hand() {
	echo "benchmark tools missing:$missing; install them by hand ($1)"
	exit 0
}
command -v apt-get >/dev/null 2>&1 || by_hand "there is no apt-get here"
as_root=""
if [ "$(id -u)" -ne 0 ]; then
	sudo -n true 2>/dev/null || by_hand "sudo apt-get install$missing"
	as_root="sudo -n"
fi
echo "installing benchmark tools:$missing"
export DEBIAN_FRONTEND=noninteractive

# Debian starts a server when it is installed, unless a policy forbids it.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	trap '$as_root rm -f "$policy"' EXIT
	printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null && $as_root chmod 755 "$policy"
fi
$as_root apt-get update -qq >/dev/null 2>&1
# One that this release does not have must not keep the others away.
for package in $missing; do
	$as_root apt-get install -y -qq --no-install-recommends "$package" >/dev/null 2>&1 ||
		echo "apt-get could not install $package"
done
