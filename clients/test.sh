#!/bin/sh
# The wheel of clients/python, its types and its tests; then other people's packages against a server of bin/demo.
set -eu
cd "$(dirname "$0")/.."
command -v "${GO:-go}" >/dev/null || { echo "go is missing: install it, expected it for OpenAI's Go package" >&2; exit 1; }
sh clients/setup.sh
out=$PWD/out/clients
python=$out/venv/bin/python
rm -rf "$out"/dist
"$python" -m pip wheel -q --no-deps --no-build-isolation -w "$out/dist" clients/python
"$out/venv/bin/uv" pip install -q --python "$python" --no-deps --reinstall "$out"/dist/pgc-*.whl
(cd clients/python && "$python" -m mypy --cache-dir "$out/mypy")
bin/pgc compile golden/colpali-odd -o "$out/pages" --cpu native
export PGC_DEMO="$PWD/bin/demo" PGC_PAGES="$out/pages" PGC_BIN="$PWD/bin" PYTHONDONTWRITEBYTECODE=1
"$out/venv/bin/pytest" -q -rs -p no:cacheprovider clients/python/tests
"$out/venv/bin/pytest" -q -rs -p no:cacheprovider clients/test
