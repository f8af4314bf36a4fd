#!/bin/sh
# Builds the bench's programs and Outpost, and makes its certificates, where that is to be done.
# BENCH_BUILT=1: it was done just now.
set -eu
[ -z "${BENCH_BUILT:-}" ] || exit 0
cd "$(dirname "$0")"
mkdir -p bin
exec 9>bin/lock # several runs may begin at once
flock 9
${GO:-go} build -o bin/ ./cmd/... ../cmd/outpost
[ -f certs/key.pem ] || bin/mailgen certs certs
