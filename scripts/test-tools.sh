#!/bin/sh
# Installs missing tools of the tests by apt-get, and axe-core by npm. If that fails it
# prints one line, and the tests that need the tool fail and name it.
set -u
. "$(dirname "$0")/apt.sh"

# go test -race needs a C compiler.
need cc gcc
need cc libc6-dev
need siege siege
need strace strace
need systemd-analyze systemd
need curl curl
need nghttp nghttp2-client
need h2load nghttp2-client
need openssl openssl
need wget wget
need slowhttptest slowhttptest
need python3 python3
need sslscan sslscan
need testssl testssl.sh
need aria2c aria2
need git git
need tmux tmux
need unzip unzip
need zbarimg zbar-tools
need bash bash
need mandoc mandoc
need dpkg-deb dpkg
need lintian lintian
need rpm rpm
need debootstrap debootstrap # for make systemd
need systemd-nspawn systemd-container
need nginx nginx
need haproxy haproxy
need ip iproute2
need unshare util-linux
need pgrep procps
need apache2 apache2-bin # the program without the service
need htpasswd apache2-utils
need prometheus prometheus
need promtool prometheus
need goaccess goaccess
if ! command -v chromium >/dev/null 2>&1 && ! command -v chromium-browser >/dev/null 2>&1 &&
	! command -v google-chrome >/dev/null 2>&1; then
	missing="$missing chromium"
fi
command -v firefox >/dev/null 2>&1 || need firefox-esr firefox-esr
need npm npm
(install_missing test)

# e2e/browser checks pages with axe-core, in the version of package-lock.json.
cd "$(dirname "$0")/../e2e/browser" || exit 1
if [ ! node_modules/.package-lock.json -nt package-lock.json ]; then
	npm ci --ignore-scripts --silent || echo "axe-core is missing: npm ci failed in e2e/browser"
fi
