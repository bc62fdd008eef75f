#!/bin/sh
# Build bin/pgc: first the runtimes for every architecture, bin/pgcrt-ARCH, bin/pgcrt-least-ARCH and bin/pgcrt-cuda-ARCH,
# then the compiler with the runtimes inside.
set -eu
cd "$(dirname "$0")/.."
export CGO_ENABLED=0
trap 'rm -f cmd/pgc/pgcrt-*.gz' EXIT
# runtime NAME PACKAGE TAGS builds one for $arch. It speaks HTTP/1.1 only.
runtime() {
    GOARCH=$arch go build -trimpath -ldflags "-s -w" -tags "nethttpomithttp2$3" -o "bin/$1-$arch" "./cmd/$2"
    gzip -9n <"bin/$1-$arch" >"cmd/pgc/$1-$arch.gz"
}
for arch in amd64 arm64; do
    runtime pgcrt pgcrt ""
    runtime pgcrt-least pgcrt ",least"
    runtime pgcrt-cuda pgcrt-cuda ""
done
go build -trimpath -ldflags "-s -w" -tags embed_runtime -o bin/pgc ./cmd/pgc
