#!/bin/sh
# Print what the runtime consists of, in MB by group of packages: sh scripts/runtime-size.sh [TAGS]
# A function's line tables are shared out by the size of code; what has no symbol is "the rest".
set -eu
cd "$(dirname "$0")/.."
export CGO_ENABLED=0 GOARCH=amd64
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tags=nethttpomithttp2${1:+,$1}
go build -trimpath -tags "$tags" -o "$work/symbols" ./cmd/pgcrt
go build -trimpath -tags "$tags" -ldflags "-s -w" -o "$work/stripped" ./cmd/pgcrt
go tool nm -size "$work/symbols" | awk -v whole="$(wc -c <"$work/stripped")" '
function group(name) {
    if (name ~ /runtime\/draw\.\.gobytes/) return "fonts of labels, compressed"
    if (name ~ /x509roots/) return "root certificates, compressed"
    if (name ~ /pgc\/runtime\/serve|log\/slog|go-systemd|x\/sync/) return "the server"
    if (name ~ /VictoriaMetrics|valyala|^regexp/) return "metrics, with regexp"
    if (name ~ /^\(?\*?(net|mime|crypto|vendor|encoding\/asn1|encoding\/pem|math\/big|hash)[\/.]|^(net|mime|crypto|vendor|math\/big)/) return "network, TLS, HTTP"
    if (name ~ /x\/image|x\/text|image[\/.]|compress|imageio|runtime\/draw/) return "pictures and drawing"
    if (name ~ /^pgc|\/pgc/) return "everything else of pgc"
    if (name ~ /^(type:|go:|runtime\.(types|etypes|gcbits|pclntab|typelink|itablink|findfunctab))/) return "types and stack maps"
    return "the rest of Go: its runtime, reflect, fmt, json, time, os"
}
{
    size = $2; kind = $3; name = $4
    if (kind ~ /[bB]/ || size > 20000000) next
    g = group(name)
    sum[g] += size; known += size
    if (kind ~ /[tT]/) { code[g] += size; all += size }
}
END {
    lines = whole - known # line tables, alignment, headers
    for (g in sum) printf "%6.2f  %s\n", (sum[g] + lines * code[g] / all) / 1e6, g
    printf "%6.2f  in all\n", whole / 1e6
}' | sort -rn
