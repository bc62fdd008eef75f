"""Writes checkpoint/sentencepiece/testdata: small tokenizer.model files of Gemma's kind, and the ids that transformers makes.

    python golden/gen/sentencepiece_models.py           (transformers, sentencepiece, protobuf)
    python golden/gen/sentencepiece_models.py OUT COUNT [SEED]    more, random ones; PGC_SENTENCEPIECE=OUT go test ./checkpoint/sentencepiece

NAME.model is trained on a random text with Gemma's settings; NAME.json holds texts with the ids of PaliGemmaProcessor's tokenizer, and
tokenizer_config.json's added_tokens_decoder if there is one.
"""

import io
import json
import pathlib
import random
import shutil
import sys
import tempfile

import sentencepiece as spm
from transformers import GemmaTokenizer, PaliGemmaProcessor, SiglipImageProcessorPil

OUT = pathlib.Path(__file__).parents[2] / "checkpoint/sentencepiece/testdata"
WORDS = "caption en detect cat ; dog answer how many are there the quick brown fox jumps über naïve 日本語 テスト 123 4567 it's don't (a) [b] C++ 🐈 e=mc² a\tb".split(" ")


def text(rng, most=12):
    parts = []
    for _ in range(rng.randint(0, most)):
        parts.append(rng.choice([rng.choice(WORDS)] * 6 + ["\n", "\n\n", "  ", "   ", "<loc0012>", "<seg007>", "<image>", "<bos>", "<unused3>", "\t", "\x01", "<0x41>",
                                                           chr(rng.randint(0x20, 0x2fff)), "".join(rng.choice("abcdefg ▁") for _ in range(9))]))
    return rng.choice(["", " "]).join(parts)


def train(rng, boxes):
    corpus = [" ".join(rng.choice(WORDS) for _ in range(20)) for _ in range(400)]
    symbols = ["<mask>"] * (rng.random() < .7) + [f"<unused{i}>" for i in range(4)] + ["\n", "\n\n", "▁▁", "▁▁▁"]
    symbols += ([f"<loc{i:04d}>" for i in range(1024)] + [f"<seg{i:03d}>" for i in range(128)]) * boxes
    out = io.BytesIO()
    spm.SentencePieceTrainer.train(sentence_iterator=iter(corpus), model_writer=out, model_type="bpe", vocab_size=len(symbols) + 260 + rng.randint(150, 330),
                                   byte_fallback=True, split_digits=True, allow_whitespace_only_pieces=True, remove_extra_whitespaces=False, add_dummy_prefix=False,
                                   normalization_rule_name="identity", pad_id=0, eos_id=1, bos_id=2, unk_id=3, pad_piece="<pad>", eos_piece="<eos>", bos_piece="<bos>",
                                   unk_piece="<unk>", user_defined_symbols=symbols, minloglevel=2, hard_vocab_limit=False)
    return out.getvalue()


def make(folder, name, rng, boxes, decoder):
    (folder / f"{name}.model").write_bytes(train(rng, boxes))
    with tempfile.TemporaryDirectory() as tmp:
        shutil.copy(folder / f"{name}.model", f"{tmp}/tokenizer.model")
        config = {"tokenizer_class": "GemmaTokenizer"} | ({"added_tokens_decoder": decoder} if decoder else {})
        pathlib.Path(f"{tmp}/tokenizer_config.json").write_text(json.dumps(config))
        codes = GemmaTokenizer.from_pretrained(tmp)
    images = SiglipImageProcessorPil(size=dict(height=28, width=28))
    images.image_seq_length = 4
    PaliGemmaProcessor(images, codes)  # adds its tokens
    texts = [text(rng) for _ in range(60)]
    cases = [{"text": t, "ids": codes(t, add_special_tokens=False)["input_ids"]} for t in texts]
    (folder / f"{name}.json").write_text(json.dumps({"added": decoder, "cases": cases, "size": len(codes)}, ensure_ascii=False))
    print(name, len(codes), "tokens")


def main():
    rng = random.Random(int(sys.argv[3]) if len(sys.argv) > 3 else 1)
    extra = lambda n: {str(n): dict(content="<mine>", normalized=False, special=False, lstrip=False, rstrip=False, single_word=False)}
    out = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else OUT
    out.mkdir(parents=True, exist_ok=True)
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    for i in range(count):
        make(out, f"{i:03d}", rng, i % 3 == 0, {} if i % 3 < 2 else extra(5000))


if __name__ == "__main__":
    main()
