"""Writes what the tokenizers library and transformers make of mixed texts with Gemma's real tokenizers, for
`go test -gemma-dir DIR`; `make tokenizer-parity` does both.

    python parity.py DIR ROOT...

DIR holds NAME/tokenizer.json and NAME/tokenizer_config.json for gemma and gemma2. paligemma is made from gemma: the
vocabulary of PaliGemma's checkpoints, in which <loc0000>…<image> follow as pieces that are added tokens too. Beside each
tokenizer.json these are written, a JSON object a line, as library.py describes them:

pieces.jsonl     every piece of the vocabulary
mixed.jsonl      over 100,000 lines of mixed text (corpus.py), code from under ROOT among them
decode.jsonl     random ids
processor.jsonl  the mixed lines with the tokenizer that PaliGemmaProcessor makes of the same file
prompts.jsonl    PaliGemmaProcessor's layout of prompts
"""

import json
import os
import pathlib
import random
import sys

os.environ["TRANSFORMERS_VERBOSITY"] = "error"

import tokenizers
import transformers
from tokenizers import Tokenizer

import corpus
import library

assert tokenizers.__version__ == "0.23.3" and transformers.__version__ == "5.23.0", "pinned versions"


def paligemma(folder):
    gemma, own = folder / "gemma", folder / "paligemma"
    own.mkdir(exist_ok=True)
    f = json.loads((gemma / "tokenizer.json").read_text(encoding="utf-8"))
    vocab = f["model"]["vocab"]
    for token in [f"<loc{i:04d}>" for i in range(1024)] + [f"<seg{i:03d}>" for i in range(128)] + ["<image>"]:
        f["added_tokens"].append({"id": vocab.setdefault(token, len(vocab)), "content": token, "single_word": False, "lstrip": False, "rstrip": False,
                                  "normalized": False, "special": token == "<image>"})
    (own / "tokenizer.json").write_text(json.dumps(f, ensure_ascii=False), encoding="utf-8")
    config = json.loads((gemma / "tokenizer_config.json").read_text(encoding="utf-8"))
    config["added_tokens_decoder"] = {str(a["id"]): {k: v for k, v in a.items() if k != "id"} for a in f["added_tokens"]}
    config["extra_special_tokens"] = ["<image>"]
    (own / "tokenizer_config.json").write_text(json.dumps(config, ensure_ascii=False), encoding="utf-8")


def write(path, cases):
    with path.open("w", encoding="utf-8") as out:
        n = 0
        for n, case in enumerate(cases, 1):
            json.dump(case, out, separators=(",", ":"))
            out.write("\n")
    print(f"{path}: {n} lines")


def texts(backend, roots):
    pieces, rng = sorted(backend.get_vocab(with_added_tokens=False)), random.Random(20)
    added = {a.content for a in backend.get_added_tokens_decoder().values()} | set(corpus.TYPED)
    yield from sorted(pieces[::100] + corpus.typed(sorted(added)))
    yield from corpus.characters()
    yield from corpus.runs()
    yield from corpus.source(roots, 30_000, 200)
    yield from (corpus.line(rng, pieces) for _ in range(60_000))
    yield from (corpus.broken(rng, pieces) for _ in range(10_000))
    yield from ("".join(rng.choice([*corpus.RUNS, *corpus.TYPED, "x "]) * rng.randint(1, 3000) for _ in range(6)) for _ in range(20))


def decodings(backend, count):
    rng, size = random.Random(21), backend.get_vocab_size()
    byte = backend.token_to_id("<0x00>")
    special = [i for i, a in backend.get_added_tokens_decoder().items() if a.special]
    for _ in range(count):
        ids = []
        for _ in range(rng.randint(0, 12)):
            ids += rng.choice([[rng.randrange(size)], [byte + b for b in rng.choice(corpus.WORDS + corpus.EMOJI).encode()[:rng.randint(1, 5)]],
                               [byte + rng.randrange(256)], [rng.choice(special)], [size + rng.randrange(100)]])
        yield {"ids": ids} | library.decoding(backend, ids)


def processor(folder):
    images = transformers.SiglipImageProcessor(size={"height": 28, "width": 28})
    images.image_seq_length = 4
    return transformers.PaliGemmaProcessor(images, transformers.AutoTokenizer.from_pretrained(folder))


def prompts(processor, pieces, count):
    rng = random.Random(22)
    for _ in range(count):
        prompt = corpus.line(rng, pieces)[:rng.choice([8, 40, 400])].replace("<image>", "<img>")
        n = rng.choice([1, 1, 1, 2, 3])
        if rng.randint(0, 3) == 0:
            cuts = sorted(rng.randint(0, len(prompt)) for _ in range(n))
            prompt = "<image>".join(prompt[a:b] for a, b in zip([0, *cuts], [*cuts, None]))
        suffix = rng.choice([None, "", corpus.line(rng, pieces)[:60].replace("<image>", "<img>")])
        yield library.layout(processor, prompt + rng.choice(["", "", "\n", " ", "\n\n", "\r\n"]), suffix, n)


def main(folder, roots):
    paligemma(folder)
    for name in ["gemma", "gemma2", "paligemma"]:
        own = folder / name
        backend = Tokenizer.from_file(str(own / "tokenizer.json"))
        pieces = sorted(backend.get_vocab(with_added_tokens=False))
        write(own / "pieces.jsonl", (library.encoding(backend, p.replace("▁", " ")) for p in pieces))
        write(own / "mixed.jsonl", (library.encoding(backend, t) for t in texts(backend, roots)))
        write(own / "decode.jsonl", decodings(backend, 5_000))
        full = processor(own)
        write(own / "processor.jsonl", (library.encoding(full.tokenizer.backend_tokenizer, t) for t in texts(backend, roots)))
        write(own / "prompts.jsonl", prompts(full, pieces, 2_000))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), sys.argv[2:])
