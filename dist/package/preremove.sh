#!/bin/sh
# Runs before the files of the package are removed: drains the service, unless this is an
# upgrade. Debian passes "upgrade" or "remove", Fedora the number of remaining versions.
set -e
case ${1:-} in
upgrade | failed-upgrade | deconfigure | 1) exit 0 ;;
esac
if [ -d /run/systemd/system ]; then
	systemctl --quiet disable --now phalanx.service || :
elif command -v rc-service >/dev/null; then
	rc-service --quiet --ifstarted phalanx stop || :
	rc-update --quiet --all delete phalanx >/dev/null 2>&1 || :
fi
