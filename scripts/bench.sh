#!/bin/sh
# Time the kernels of a PaliGemma-3B-224-shaped model of random weights on this machine (needs 12 GB of disk in out/).
set -eu
cd "$(dirname "$0")/.."
mkdir -p out
trap 'rm -rf out/bench-model out/bench-exe' EXIT
bin/pgc random paligemma-3b-224 -o out/bench-model
bin/pgc compile out/bench-model -o out/bench-exe --cpu native
rm -rf out/bench-model
bin/pgc bench out/bench-exe
