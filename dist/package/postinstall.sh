#!/bin/sh
# Runs after the files of the package have been installed: creates the service's user and,
# if the service is running, upgrades it in place without losing a connection. A new service
# is not started, because it has nothing to serve yet.
set -e
if ! getent passwd phalanx >/dev/null; then
	if command -v systemd-sysusers >/dev/null; then
		systemd-sysusers phalanx.conf
	elif command -v useradd >/dev/null; then
		useradd --system --home-dir /var/lib/phalanx --no-create-home --shell /usr/sbin/nologin phalanx
	else
		addgroup -S phalanx
		adduser -S -D -H -h /var/lib/phalanx -s /sbin/nologin -G phalanx phalanx
	fi
fi
# The unit is for systemd 253 and later. An image may be built without a running systemd.
older=/usr/lib/systemd/system/phalanx.service.d/older.conf
rm -f "$older"
if command -v systemctl >/dev/null && [ "$(systemctl --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')" -lt 253 ]; then
	mkdir -p "${older%/*}"
	printf '[Service]\nType=notify\nExecReload=/bin/kill -HUP $MAINPID\n' >"$older"
fi
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload || :
	if systemctl --quiet is-active phalanx.service; then
		systemctl kill --kill-who=main --signal=USR2 phalanx.service || :
	fi
elif command -v rc-service >/dev/null && rc-service --quiet phalanx status; then
	kill -USR2 "$(cat /run/phalanx.pid)" || :
fi
