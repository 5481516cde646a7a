#!/bin/sh
# Runs after the files of the package have been removed. The user stays, because it may own files.
set -e
case ${1:-} in
upgrade | failed-upgrade | 1) ;;
*)
	rm -f /usr/lib/systemd/system/phalanx.service.d/older.conf
	rmdir --ignore-fail-on-non-empty /usr/lib/systemd/system/phalanx.service.d 2>/dev/null || :
	;;
esac
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload || :
fi
