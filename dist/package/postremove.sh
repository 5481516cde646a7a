#!/bin/sh
# After the files of the package have gone. The user stays: files may belong to it.
set -e
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload || :
fi
