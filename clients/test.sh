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
# The oldest Python that pyproject.toml names, where it is installed.
if oldest=$("$out/venv/bin/uv" python find --no-python-downloads 3.9 2>/dev/null); then
    "$out/venv/bin/uv" venv -q --clear --python "$oldest" "$out/oldest"
    "$out/venv/bin/uv" pip install -q --python "$out/oldest/bin/python" pytest numpy pillow pyarrow supervision "$out"/dist/pgc-*.whl
    "$out/oldest/bin/pytest" -q -rs -p no:cacheprovider clients/python/tests
else
    echo "Python 3.9 is not installed: the tests of clients/python ran on $("$python" --version) alone" >&2
fi
"$out/venv/bin/pytest" -q -rs -p no:cacheprovider clients/test
