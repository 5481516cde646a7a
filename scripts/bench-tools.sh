#!/bin/sh
# Installs the load generators and servers that a benchmark needs and this
# machine lacks, by apt-get: "bench-tools.sh results" or "... compare". Where
# that cannot be done it says so in one line; the benchmark names what is
# missing. No server that it installs is started.
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
