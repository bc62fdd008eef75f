"""Texts that try a tokenizer, the same on every call: words of many scripts, emoji sequences, combining marks, control
and rare characters, code, numbers, long runs, typed added tokens, pieces of the vocabulary, and bytes that are no UTF-8.
"""

import pathlib
import random
import unicodedata

WORDS = """the quick brown fox jumps over a lazy dog caption en detect cat ; dog answer what colour is her umbrella? größer Straße naïve façade
señor ¿qué? coração über żółć dům Ελληνικά φως кошка собака Україна ქართული հայերեն עברית שלום العربية مرحبا فارسی हिन्दी नमस्ते বাংলা தமிழ்
తెలుగు ಕನ್ನಡ മലയാളം ไทยสวัสดี ລາວ မြန်မာ ខ្មែរ 한국어 안녕하세요 日本語 ひらがな カタカナ 漢字 简体中文 繁體中文 ᚠᚢᚦ 𓀀𓁐 𐍈 🐈 👩‍👩‍👧‍👦 🇺🇦 👍🏽 ❤️ ♞ ½ ™ ﷽ ﬁ Å""".split()
CODE = ["def f(x):\n    return x ** 2\n", "for (int i = 0; i < n; ++i) {\n\tsum += a[i];\n}\n", "SELECT * FROM t WHERE id = 42;", "<div class=\"a\">&nbsp;</div>",
        "{\"key\": [1, 2.5e-3, null]}", "\\frac{a}{b} \\sum_{i=0}^{n}", "http://example.org/a?b=c&d=%20e#f", "#include <stdio.h>\r\n", "if err != nil {\n\t\treturn err\n\t}",
        "impl<T: Clone> Iterator for Zip<T> where T: 'a { type Item = (T, u64); }", "const f = async ({a, ...b}) => `${await a?.b ?? 0}`;\n", "main :: IO ()\nmain = mapM_ print $ zip [1..] \"ab\"\n",
        "(defun f (x) (if (< x 2) 1 (* x (f (1- x)))))", "awk -F'\\t' '{ print $1 }' < in | sort -u >> \"$OUT\" || exit 1", "10 PRINT \"HELLO\"\r\n20 GOTO 10\r\n", "vmovups ymm0, [rdi+4*rcx-0x20]",
        "\"\\ud83d\\ude00 \\u00e9 \\x41 \\n\\t\\\\\"", "&lt;b&gt; &#128512; &amp;amp;", "=?UTF-8?B?4pyT?=", "C:\\Users\\a\\b.txt", "00:01:02,345 --> 00:01:04,000"]
TYPED = ["<eos>", "<bos>", "<pad>", "<unk>", "<image>", "<mask>", "<2mass>", "[@BOS@]", "<unused7>", "<start_of_turn>", "<end_of_turn>", "<loc0000>", "<loc0001>", "<loc1023>", "<loc1024>",
         "<seg000>", "<seg001>", "<seg127>", "<seg128>", "<0x41>", "<0xFF>", "<0x0A>", "<h1>", "</h1>", "<table>", "</td>", "<i>", "</blockquote>", "<", "<unused", "<loc", "<eos", "eos>", "<EOS>", "< eos >",
         "▁", "▁▁", "▁▁▁▁", "▁<eos>", "<eos>▁"]
RUNS = [" ", "\n", "\t", "\r", "▁", "a", ".", "-", "=", "\u00a0", "\u3000", "ha", "猫", "\u200b", "0", "<", " \n", "\r\n", "\x00", "\u0301", "é", "🐈", "\u200d", "_", "*", "/", "#", "9", "ab ", "\ufffd"]
EMOJI = ["👨‍👩‍👧‍👦", "👩🏿‍🚀", "🏳️‍🌈", "🏴‍☠️", "🏴󠁧󠁢󠁳󠁣󠁴󠁿", "🧑🏻‍🤝‍🧑🏿", "1️⃣", "#️⃣", "🇩🇪", "🇺🇸🇫", "❤️‍🔥", "☺︎", "☺️", "👁️‍🗨️", "🫠", "🐦‍⬛", "😵‍💫", "🤷🏽‍♂️", "♻", "🀄", "🃏", "㊗️", "‼️", "🅰️"]
MARKS = ["Z̷̢̛a̶͓͝l̴̰̈g̷͚̀ǫ̴̂", "e\u0301", "o\u0308\u0304", "क्षि", "ज्ञ", "நி", "ง่ำ", "ก็", "각", "각", "ﾊﾟ", "が", "か\u3099", "\u0600١٢", "אָלֶף־בֵּית", "مُحَمَّد",
         "\u202eabc\u202c", "\u2066x\u2069", "\u061c", "\ufeffBOM", "a\u00adb", "a\u034fb", "\u180e", "x\u2028y\u2029z", "\u0085", "\ufe0f", "\U000e0041", "\ufdd0", "\uffff", "\U0001fffe", "\ue000",
         "\U000f0000", "\U0010fffd", "Ａｆｕｌｌ", "ℌ𝔢𝕃𝟘", "ⅷ②⑳", "ǅ", "ſt", "İi̇", "ς", "ẞ", "𒀀𒁲", "𐤀𐤁", "𞤀𞤣", "𛀁", "𠮷", "𪚥", "㍿", "︙", "꧁꧂", "᠊ᠮᠣᠩ", "བོད་", "ትግርኛ", "ᏣᎳᎩ", "ꦗꦮ", "ᐃᓄᒃ", "ⵜⵉⴼ", "ߒߞߏ"]
BROKEN = [b"\xff", b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98", b"\x80", b"\xc0\xaf", b"\xed\xa0\xbd\xed\xb8\x80", b"\xf4\x90\x80\x80", b"\xe0\x80\xaf", b"\xf8\x88\x80\x80\x80", b"\xfe\xff\x00a",
          b"caf\xe9", b"\xc2\xc2\xa0", b"\xf1\x80\x80\xe1\x80", b"\x81\x40", b"\xef\xbf", b"\xff\xfe", b"\xf0\x80\x80\x80"]
LENGTHS = [1, 2, 3, 4, 7, 15, 16, 30, 31, 32, 33, 70]
SOURCE = {".go", ".s", ".py", ".sh", ".md", ".txt", ".json", ".js", ".html", ".css", ".c", ".h", ".pl", ".bash", ".pgir", ".mod", ".yml", ".svg"}


def line(rng, pieces):
    parts = []
    for _ in range(rng.choice([1, 2, 3, 5, 8, 13])):
        kind = rng.randint(0, 13)
        if kind <= 3:
            parts.append(" ".join(rng.choice(WORDS) for _ in range(rng.randint(1, 6))))
        elif kind == 4:
            parts.append(rng.choice(CODE))
        elif kind == 5:
            parts.append(rng.choice(TYPED))
        elif kind == 6:
            parts.append(rng.choice(RUNS) * rng.choice(LENGTHS))
        elif kind == 7:
            parts.append("".join(rng.choice(pieces) for _ in range(rng.randint(1, 6))).replace("▁", " "))
        elif kind == 8:
            parts.append("".join(chr(c) for c in (rng.randint(0, 0x10FFFF) for _ in range(rng.randint(1, 5))) if not 0xD800 <= c < 0xE000))
        elif kind == 9:
            parts.append("".join(chr(rng.randint(0, 0x2FF)) for _ in range(rng.randint(1, 8))))
        elif kind == 10:
            parts.append(rng.choice([str(rng.randint(0, 10 ** rng.randint(1, 18))), f"{rng.random():.6g}", f"{rng.randint(0, 1 << 48):#x}", f"{rng.randint(0, 10**9):,}"]))
        elif kind == 11:
            parts.append("".join(rng.choice(EMOJI) for _ in range(rng.randint(1, 3))))
        elif kind == 12:
            parts.append(rng.choice(MARKS))
        else:
            word = rng.choice(WORDS)
            parts.append(rng.choice([word.upper(), word.title(), word[::-1], word * 3, unicodedata.normalize("NFD", word)]))
        parts.append(rng.choice(["", "", " ", " ", "\n", ", "]))
    return "".join(parts)


def broken(rng, pieces):
    """A line of bytes, some of which are no UTF-8."""
    data = bytearray(line(rng, pieces).encode())
    for _ in range(rng.randint(1, 4)):
        at = rng.randint(0, len(data))
        kind = rng.randint(0, 3)
        if kind == 0:
            data[at:at] = rng.choice(BROKEN)
        elif kind == 1:
            del data[at:at + 1]
        elif kind == 2:
            data[at:at] = bytes(rng.randint(0x80, 0xFF) for _ in range(rng.randint(1, 6)))
        else:
            data = data[:at]
    return bytes(data)


def characters():
    """Every character of planes 0 and 1 and every 37th of the others, in lines of sixteen."""
    codes = [c for c in range(0x20000) if not 0xD800 <= c < 0xE000] + list(range(0x20000, 0x110000, 37))
    return ["".join(map(chr, codes[i:i + 16])) for i in range(0, len(codes), 16)]


def typed(tokens):
    """Added tokens whole, doubled, in words, cut, and in other cases."""
    return [t for token in tokens for t in (token, token * 2, f"a{token}b", f" {token} ", f"\n{token}\n", token[:-1], token[1:], token.upper(), f"<{token}>", token[:2] + " " + token[2:])]


def runs():
    return [r * n for r in RUNS for n in [*range(1, 71), 100, 127, 128, 257, 1000, 4099]]


def source(roots, lines, files):
    """Lines spread over the source files under roots, and as many files as said from the start of each, cut at 64 KiB."""
    paths = [p for root in roots for p in sorted(pathlib.Path(root).rglob("*")) if p.suffix in SOURCE and p.is_file() and not {"out", "bin", ".git"} & set(p.parts)]
    texts = []
    for p in paths:
        try:
            texts.append(p.read_bytes()[:1 << 16].decode())
        except UnicodeDecodeError:
            pass
    every = [s for t in texts for s in t.split("\n") if s.strip()]
    return every[::max(1, len(every) // lines)][:lines] + texts[::max(1, len(texts) // files)][:files]
