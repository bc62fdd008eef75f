#!/bin/sh
# Build bin/pgc: first the runtimes for every architecture, bin/pgcrt-ARCH and bin/pgcrt-cuda-ARCH, then the compiler with
# the runtimes inside.
set -eu
cd "$(dirname "$0")/.."
export CGO_ENABLED=0
trap 'rm -f cmd/pgc/pgcrt-*.gz' EXIT
for arch in amd64 arm64; do
    for runtime in pgcrt pgcrt-cuda; do
        # The runtime speaks HTTP/1.1 only.
        GOARCH=$arch go build -trimpath -ldflags "-s -w" -tags nethttpomithttp2 -o bin/$runtime-$arch ./cmd/$runtime
        gzip -9n <bin/$runtime-$arch >cmd/pgc/$runtime-$arch.gz
    done
done
go build -trimpath -ldflags "-s -w" -tags embed_runtime -o bin/pgc ./cmd/pgc
