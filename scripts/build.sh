#!/bin/sh
# Build bin/pgc: first the runtime for every architecture, bin/pgcrt-ARCH, then the compiler with the runtimes inside.
set -eu
cd "$(dirname "$0")/.."
export CGO_ENABLED=0
trap 'rm -f cmd/pgc/pgcrt-*.gz' EXIT
for arch in amd64 arm64; do
    # The runtime speaks HTTP/1.1 only.
    GOARCH=$arch go build -trimpath -ldflags "-s -w" -tags nethttpomithttp2 -o bin/pgcrt-$arch ./cmd/pgcrt
    gzip -9n <bin/pgcrt-$arch >cmd/pgc/pgcrt-$arch.gz
done
go build -trimpath -ldflags "-s -w" -tags embed_runtime -o bin/pgc ./cmd/pgc
