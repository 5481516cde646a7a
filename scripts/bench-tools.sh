#!/bin/sh
# Installs missing load generators and servers of a benchmark by apt-get:
# "bench-tools.sh results" or "bench-tools.sh compare". If that fails it prints
# one line; the benchmark names what is missing. It starts no server.
set -u
. "$(dirname "$0")/apt.sh"

need siege siege
need wrk wrk
if [ "${1:-results}" = compare ]; then
	need nginx nginx
	need lighttpd lighttpd
	need h2o h2o
	need apache2 apache2
	need h2load nghttp2-client
	need cc gcc
	need cc libc6-dev
fi
install_missing benchmark
