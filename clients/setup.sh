#!/bin/sh
# Installs what the tests of clients need: Python packages into out/clients/venv, the npm package into out/clients/node.
# What cannot be installed is named.
set -eu
cd "$(dirname "$0")/.."
out=out/clients
venv=$out/venv
mkdir -p $out
need() {
    command -v "$1" >/dev/null || { echo "$1 is missing: install $2" >&2; exit 1; }
}
need python3 "python3 and python3-venv"
need node "nodejs 18 or newer"
need npm npm
if ! cmp -s clients/requirements.txt $venv/complete; then
    rm -rf $venv
    python3 -m venv $venv || { echo "python3 -m venv fails: install python3-venv" >&2; exit 1; }
    $venv/bin/pip install -q uv==0.13.9
    $venv/bin/uv pip install -q --python $venv/bin/python -r clients/requirements.txt
    cp clients/requirements.txt $venv/complete
fi
if ! cmp -s clients/test/node/package.json $out/node/complete; then
    rm -rf $out/node
    mkdir -p $out/node
    cp clients/test/node/package.json clients/test/node/*.mjs $out/node
    npm install --prefix $out/node --silent --no-audit --no-fund --no-package-lock
    cp $out/node/package.json $out/node/complete
fi
cp clients/test/node/*.mjs $out/node
