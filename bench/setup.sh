#!/bin/sh
# Makes the Python environment of the peers in out/bench/venv, once. llama.cpp is compiled for this CPU, which takes some minutes.
set -eu
cd "$(dirname "$0")/.."
venv=out/bench/venv
[ -f "$venv/complete" ] && cmp -s bench/requirements.txt "$venv/complete" && exit 0
mkdir -p out/bench
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
echo "installing the peers in $venv" >&2
"$venv/bin/pip" install -q -r bench/requirements.txt
CMAKE_ARGS="-DGGML_NATIVE=ON" "$venv/bin/pip" install -q --no-binary llama-cpp-python llama-cpp-python==0.3.36
cp bench/requirements.txt "$venv/complete"
