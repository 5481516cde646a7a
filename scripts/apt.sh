# Sourced by the scripts that install missing programs: "need COMMAND PACKAGE"
# for each, then "install_missing KIND". If that fails it prints one line and
# exits with 0: the test or benchmark that needs the program will name it.
PATH="$PATH:/usr/sbin:/sbin" # servers are there; the PATH of ordinary users lacks it
missing=""
policy=/usr/sbin/policy-rc.d
policy_is_ours=""
as_root=""

need() {
	command -v "$1" >/dev/null 2>&1 && return
	case "$missing " in *" $2 "*) ;; *) missing="$missing $2" ;; esac
}

by_hand() {
	echo "$1 tools missing:$2; install them by hand ($3)"
	exit 0
}

# Packages must not start their services: policy-rc.d forbids that during the
# installation, disable_service at the next boot.
forbid_starts() {
	[ ! -e "$policy" ] || return 0
	policy_is_ours=yes
	trap allow_starts EXIT
	trap 'exit 130' INT TERM HUP
	$as_root sh -c "printf '#!/bin/sh\nexit 101\n' >$policy && chmod 755 $policy"
}

allow_starts() { [ -z "$policy_is_ours" ] || $as_root rm -f "$policy"; }

disable_service() {
	case "$1" in
	nginx | lighttpd | h2o | apache2 | prometheus)
		command -v systemctl >/dev/null 2>&1 && $as_root systemctl disable --quiet --now "$1" >/dev/null 2>&1
		;;
	esac
}

install_missing() {
	[ -n "$missing" ] || exit 0
	command -v apt-get >/dev/null 2>&1 || by_hand "$1" "$missing" "apt-get not found"
	if [ "$(id -u)" -ne 0 ]; then
		sudo -n true 2>/dev/null || by_hand "$1" "$missing" "sudo apt-get install$missing"
		as_root="sudo -n"
	fi
	echo "installing $1 tools:$missing"
	forbid_starts
	$as_root apt-get update -qq >/dev/null 2>&1
	failed=""
	# One by one, so that a package which this release lacks does not block the others.
	for package in $missing; do
		if $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" >/dev/null 2>&1; then
			disable_service "$package"
		else
			failed="$failed $package"
		fi
	done
	[ -z "$failed" ] || by_hand "$1" "$failed" "apt-get install failed"
	exit 0
}
