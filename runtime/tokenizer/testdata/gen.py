"""Writes the fixtures of this folder: small tokenizers of Gemma's shapes and what the tokenizers library and
transformers' PaliGemmaProcessor make of texts with them.

    pip install tokenizers==0.23.3 transformers==5.23.0 pillow && python gen.py

gemma.json   Gemma's shape: merges as pairs, no pre-tokenizer, four special tokens, <loc>/<seg> as in PaliGemma.
gemma2.json  Gemma 2's shape: merges as strings, a normalizer sequence, a split at blanks, runs of newlines, tabs and ▁
             as added tokens; and added tokens with every property.
pieces.json  a vocabulary with every way to merge two pieces into a third, ordered by the third, as the converter of SentencePiece
             models orders Gemma's: most tokens have several merges, and many orders of merging end in the same text.
partial.json byte tokens only below 0xC0 and fused <unk>; unfused.json the same, each <unk> alone.
strip.json   added tokens that take the white space beside them, and others that are or begin with white space.
NAME.cases.json   encoding of library.py; with pieces.json of lines of corpus.py.
decode.json       decoding of library.py with gemma.json: byte runs, special tokens between bytes, unknown ids.
prompts.json      layout of library.py with gemma.json.
"""

import collections
import copy
import json
import pathlib
import random

import tokenizers
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

import corpus
import library

assert tokenizers.__version__ == "0.23.3" and transformers.__version__ == "5.23.0", "pinned versions"
HERE = pathlib.Path(__file__).parent
SPECIALS = ["<pad>", "<eos>", "<bos>", "<unk>"]
CORPUS = """caption en. detect cat ; dog. segment the small bird on the left. answer en what is in the picture?
a cat sits on a mat beside two dogs and a bird; ocr en. New York is a city. der Hund und die Katze, größer als früher.
el gato está en la mesa, il pleut à Paris; кошка сидит на столе, собака лежит. 猫と犬と鳥がいます。 これは猫です。
def main(argc, argv):  return argc + len(argv) * 2  # 1234567890 and 2024 and 100
if (x < 10 && y >= 20) { printf("hello world"); } the the the cat cat dogs""".split("\n")
WORDS = ["caption en", "detect cat ; dog", " ", "  ", "    ", "\n", "\n\n", "\n\n\n\n\n", "\t", "\t\t\t", "▁", "▁▁", "▁▁▁", "é", "größer",
         "кошка", "猫", "🐈", "👩‍👩‍👧", "<loc0001>", "<loc0031> cat", "<seg007>", "<seg", "<loc", "<eos>", "<image>", "<bos>", "<unk>", "<0x41>",
         "\u200d", "ß", "\x00", "\x7f", "a", "ZQ9", "New York", "new york", "<w>", "x<w>y", "<l>", "<r>", "<lr>", "hello", "he", "\u00a0", "\u3000",
         "ａ", "e\u0301", "\U0010ffff", "\ufffd", "ᄀ", "अ", "1234567", "the the"]


def added(content, special=False, **properties):
    token = dict(content=content, single_word=False, lstrip=False, rstrip=False, normalized=False, special=special)
    token.update(properties)
    return token


def train():
    bpe = Tokenizer(models.BPE())
    bpe.normalizer = normalizers.Replace(" ", "▁")
    bpe.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    bpe.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=420, special_tokens=[], show_progress=False))
    return json.loads(bpe.to_str())["model"]


def gemma():
    learnt = train()
    runs = ["\n" * n for n in range(1, 6)] + ["▁" * n for n in range(2, 5)] + ["\t", "\t\t"]
    fixed = SPECIALS + ["<mask>"] + [f"<0x{b:02X}>" for b in range(256)] + runs
    vocab = {t: i for i, t in enumerate(dict.fromkeys(fixed + sorted(learnt["vocab"], key=learnt["vocab"].get)))}
    merges = [[r[:-1], r[-1]] for r in runs if len(r) > 1]
    merges += [["\n\n", "\n\n"], ["▁▁", "▁▁"]] + learnt["merges"]
    tokens = [added(s, True) for s in SPECIALS] + [added(f"<loc{i:04d}>") for i in range(32)]
    tokens += [added(f"<seg{i:03d}>") for i in range(8)] + [added("<image>", True)]
    decoder = {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
                                                {"type": "ByteFallback"}, {"type": "Fuse"}]}
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": number(tokens, vocab),
            "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}, "pre_tokenizer": None,
            "post_processor": None, "decoder": decoder,
            "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
                      "end_of_word_suffix": None, "fuse_unk": True, "byte_fallback": True, "vocab": vocab, "merges": merges}}


def number(tokens, vocab):
    next_id = len(vocab)
    for t in tokens:
        if t["content"] in vocab:
            t["id"] = vocab[t["content"]]
        else:
            t["id"], next_id = next_id, next_id + 1
    return tokens


def gemma2(base):
    f = copy.deepcopy(base)
    model, vocab = f["model"], f["model"]["vocab"]
    model["ignore_merges"] = False
    model["merges"] = [" ".join(m) for m in model["merges"]]
    f["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "Replace", "pattern": {"String": "ａ"}, "content": "a"}, f["normalizer"]]}
    f["pre_tokenizer"] = {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False}
    tokens = [added(s, True) for s in SPECIALS] + [added("<mask>")]
    tokens += [added(t) for t in vocab if t.strip("\n") == "" or t.strip("▁") == "" and len(t) > 1 or t.strip("\t") == ""]
    tokens += [added(f"<loc{i:04d}>", normalized=True) for i in range(32)] + [added(f"<seg{i:03d}>") for i in range(8)]
    tokens += [added("<image>", True), added("New York", normalized=True), added("hello", normalized=True, single_word=True),
               added("<w>", single_word=True), added("<l>", lstrip=True), added("<r>", rstrip=True), added("<lr>", lstrip=True, rstrip=True)]
    f["added_tokens"] = number(tokens, vocab)
    return f


def partial(base, fuse):
    f = copy.deepcopy(base)
    model = f["model"]
    gone = {f"<0x{b:02X}>" for b in range(0xC0, 256)} | {"9"}
    kept = [t for t in model["vocab"] if t not in gone]
    model["vocab"] = {t: i for i, t in enumerate(kept)}
    model["merges"] = [m for m in model["merges"] if not {*m, m[0] + m[1]} & gone]
    model["fuse_unk"] = fuse
    f["added_tokens"] = number([added(s, True) for s in SPECIALS], model["vocab"])
    return f


def strip(base):
    f = copy.deepcopy(base)
    sides = {"n": {}, "l": {"lstrip": True}, "r": {"rstrip": True}, "b": {"lstrip": True, "rstrip": True}}
    tokens = [added(s, True) for s in SPECIALS]
    for side, properties in sides.items():
        tokens += [added(f"<{side}>", **properties), added(f" x{side}", **properties), added(f"{side}y ", **properties)]
        tokens += [added(f"\t {side}<s>", True, **properties), added(f" N{side}", normalized=True, **properties)]
    tokens += [added(" ", lstrip=True), added("\t"), added("\n", rstrip=True), added("\u00a0", lstrip=True, rstrip=True)]
    f["added_tokens"] = number(tokens, f["model"]["vocab"])
    return f


def stripped(name, f, count, seed):
    """Texts of added tokens and white space. The library panics where one with lstrip lies within the white space that
    one with rstrip has taken and ends before it; such texts are left out."""
    dump(name + ".json", f)
    backend, rng = Tokenizer.from_str(json.dumps(f)), random.Random(seed)
    parts = [t["content"] for t in f["added_tokens"][4:]] + [" ", " ", "  ", "\n", "\t", "\u2003", "a", "x"]
    out = []
    while len(out) < count:
        text = "".join(rng.choice(parts) for _ in range(rng.randint(2, 6)))
        try:
            out.append(library.encoding(backend, text))
        except BaseException as e:
            if type(e).__name__ != "PanicException":
                raise
    dump(name + ".cases.json", out)


def pieces(base):
    """The most frequent stretches of corpus.py's words and code, and every way to merge two of them into a third."""
    rng, counts = random.Random(7), collections.Counter()
    for _ in range(3000):
        text = rng.choice(["▁", "", "\n"]) + rng.choice([*corpus.WORDS, *corpus.CODE, *CORPUS, *corpus.WORDS]).replace(" ", "▁")
        counts.update(text[i:i + n] for n in range(1, 9) for i in range(len(text) - n + 1))
    learnt = sorted(counts, key=lambda t: (-counts[t], len(t), t))[:1900]
    fixed = [t for t in base["model"]["vocab"] if t in SPECIALS or t.startswith("<") or t.strip("\n\t▁") == ""]
    fixed += ["<loc0000>", "<loc0001>", "<seg000>", "<seg001>", "<image>"]
    vocab = {t: i for i, t in enumerate(dict.fromkeys(fixed + learnt))}
    merges = []
    for token in vocab:
        splits = [[token[:i], token[i:]] for i in range(1, len(token)) if token[:i] in vocab and token[i:] in vocab]
        merges += sorted(splits, key=lambda s: (vocab[s[0]], vocab[s[1]]))
    f = copy.deepcopy(base)
    f["model"]["vocab"], f["model"]["merges"] = vocab, merges
    f["added_tokens"] = number([t for t in f["added_tokens"] if t["content"] in vocab], vocab)
    return f


def dump(name, value):
    if isinstance(value, list):
        text = "[" + ",\n".join(json.dumps(v, separators=(",", ":")) for v in value) + "]\n"
    else:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n"
    (HERE / name).write_text(text, encoding="utf-8")


def cases(name, f, count, seed):
    dump(name + ".json", f)
    backend, rng = Tokenizer.from_file(str(HERE / f"{name}.json")), random.Random(seed)
    texts = list(WORDS) + ["", *CORPUS]
    texts += ["".join(rng.choice(WORDS) + rng.choice(["", " ", ""]) for _ in range(rng.randint(1, 9))) for _ in range(count)]
    dump(name + ".cases.json", [library.encoding(backend, t) for t in texts])


def mixed(f):
    dump("pieces.json", f)
    backend, rng, vocab = Tokenizer.from_str(json.dumps(f)), random.Random(9), sorted(f["model"]["vocab"])
    texts = [corpus.line(rng, vocab) for _ in range(200)] + [corpus.broken(rng, vocab) for _ in range(60)]
    texts += corpus.CODE + corpus.EMOJI + corpus.MARKS + corpus.BROKEN + corpus.typed(corpus.TYPED[:1] + corpus.TYPED[11:12]) + ["".join(corpus.WORDS)]
    dump("pieces.cases.json", [library.encoding(backend, t) for t in texts if len(t) < 500])


def decoding(f):
    backend = Tokenizer.from_str(json.dumps(f))
    byte, rng, out = f["model"]["vocab"]["<0x00>"], random.Random(11), []
    size = backend.get_vocab_size()
    for _ in range(120):
        ids = []
        for _ in range(rng.randint(1, 6)):
            kind = rng.randint(0, 4)
            if kind == 0:
                ids += [byte + b for b in rng.choice(["é", "猫", "🐈", "\u200d", "ÿ"]).encode()[: rng.randint(1, 4)]]
            elif kind == 1:
                ids.append(byte + rng.randint(0, 255))
            elif kind == 2:
                ids.append(rng.randint(0, 4))
            elif kind == 3:
                ids.append(rng.randint(0, size + 20))
            else:
                ids.append(rng.randint(270, size - 1))
        out.append({"ids": ids} | library.decoding(backend, ids))
    dump("decode.json", out)


def prompts(f):
    tokenizer = transformers.GemmaTokenizer(vocab=f["model"]["vocab"], merges=[tuple(m) for m in f["model"]["merges"]])
    images = transformers.SiglipImageProcessor(size={"height": 28, "width": 28})
    images.image_seq_length = 3
    processor = transformers.PaliGemmaProcessor(images, tokenizer)
    dump("prompts.json", [library.layout(processor, *c) for c in [
        ("caption en", None, 1), ("caption en", "a cat", 1), ("caption en\n", None, 1), ("caption en\n\n", "\n", 1),
        ("", None, 1), ("", "", 1), (" detect cat ", "<loc0001><loc0002><loc0500><loc1023> cat", 1), ("the cat", "the dog", 2),
        ("a<eos>b<bos>", "c<eos>", 1), ("<mask>x<unk>", None, 1), ("<image>caption en", "<seg127> a", 1), ("<image> caption en", None, 1),
        ("<image>a<image>b", "c", 2), ("x<image>y<image>", None, 2), ("<image><image>", None, 2), ("<image>\n", None, 1)]])


if __name__ == "__main__":
    base = gemma()
    cases("gemma", base, 120, 1)
    cases("gemma2", gemma2(base), 160, 2)
    cases("partial", partial(base, True), 40, 3)
    cases("unfused", partial(base, False), 40, 4)
    stripped("strip", strip(base), 400, 5)
    mixed(pieces(base))
    decoding(base)
    bare = copy.deepcopy(base)
    bare["added_tokens"] = bare["added_tokens"][:4]
    prompts(bare)
