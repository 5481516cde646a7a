#!/bin/sh
# Runs after the files of the package have been removed. Debian passes "purge" when the
# configuration is to be removed too: then what the service has written is as well. The user
# stays, because it may own files.
set -e
case ${1:-} in
upgrade | failed-upgrade | 1) ;;
*)
	rm -f /usr/lib/systemd/system/phalanx.service.d/older.conf
	rmdir --ignore-fail-on-non-empty /usr/lib/systemd/system/phalanx.service.d 2>/dev/null || :
	;;
esac
if [ "${1:-}" = purge ]; then
	# systemd makes links to directories in private. Other files in /var/lib/phalanx are not ours.
	rm -rf /var/log/phalanx /var/log/private/phalanx /var/cache/phalanx /var/cache/private/phalanx
	rm -rf /var/lib/phalanx/acme /var/lib/phalanx/lock
	rmdir /var/lib/private/phalanx 2>/dev/null || :
	test -e /var/lib/phalanx || rm -f /var/lib/phalanx
fi
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload || :
fi
