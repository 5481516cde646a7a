#!/bin/sh
# Before the files of the package go, unless others replace them: the service stops,
# after its downloads. Debian says "upgrade" and "remove", Fedora how many remain.
set -e
case ${1:-} in
upgrade | failed-upgrade | deconfigure | 1) exit 0 ;;
esac
if [ -d /run/systemd/system ]; then
	systemctl --quiet disable --now phalanx.service || :
elif command -v rc-service >/dev/null; then
	rc-service --quiet --ifstarted phalanx stop || :
fi
