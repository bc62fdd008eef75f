#!/bin/sh
# Build bin/pgc: first the runtime, then the compiler with the runtime inside.
set -eu
cd "$(dirname "$0")/.."
export CGO_ENABLED=0
# The runtime speaks HTTP/1.1 only.
go build -trimpath -ldflags "-s -w" -tags nethttpomithttp2 -o bin/pgcrt ./cmd/pgcrt
cp bin/pgcrt cmd/pgc/pgcrt.bin
trap 'rm -f cmd/pgc/pgcrt.bin' EXIT
go build -trimpath -ldflags "-s -w" -tags embed_runtime -o bin/pgc ./cmd/pgc
rm -f bin/pgcrt
