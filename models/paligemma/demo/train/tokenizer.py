"""Builds the demo's Gemma-shaped tokenizer: BPE with byte fallback, ▁ for spaces, and PaliGemma's extra tokens.

Ids: <pad> <eos> <bos> <unk> = 0…3, 256 byte tokens, newlines, learnt pieces, then 1024 <locDDDD>, 128 <segDDD>, <image>.
What OCR reads is left out of the merges, so that strings are spelt character by character.
"""

import json

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from scenes import CHARS
from tasks import vocabulary

SPECIALS = ["<pad>", "<eos>", "<bos>", "<unk>"]
PIECES = 639  # ids below the first <loc>; with 1024 + 128 + 1 the vocabulary is 1,792


def build():
    """The trained tokenizer as the text of a tokenizer.json."""
    bpe = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    bpe.normalizer = normalizers.Replace(" ", "▁")
    # Only while learning, so that pieces stay within words; the tokenizer itself has no pre-tokenizer, as Gemma's.
    bpe.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split("▁", "merged_with_next"),
                                                 pre_tokenizers.Split(Regex("[?,;]"), "isolated")])
    fixed = SPECIALS + [f"<0x{b:02X}>" for b in range(256)] + ["\n", "\n\n"]
    alphabet = sorted(set(CHARS) | {chr(c) for c in range(33, 127)} | {"▁"})
    trainer = trainers.BpeTrainer(vocab_size=PIECES - len(fixed), initial_alphabet=alphabet, special_tokens=[],
                                  show_progress=False)
    corpus = [part for line in vocabulary() for part in line.split("\n")]
    bpe.train_from_iterator(corpus, trainer)
    learnt = json.loads(bpe.to_str())["model"]
    pieces = [p for p, _ in sorted(learnt["vocab"].items(), key=lambda kv: kv[1]) if p not in fixed]
    vocab = {p: i for i, p in enumerate(fixed + pieces)}
    while len(vocab) < PIECES:
        vocab[f"<unused{len(vocab)}>"] = len(vocab)
    merges = [["\n", "\n"]] + learnt["merges"]
    out = Tokenizer(models.BPE(vocab=vocab, merges=[tuple(m) for m in merges], unk_token="<unk>", fuse_unk=True,
                               byte_fallback=True))
    out.normalizer = normalizers.Replace(" ", "▁")
    out.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    out.add_special_tokens([AddedToken(s, normalized=False, special=True) for s in SPECIALS])
    out.add_tokens([AddedToken(f"<loc{i:04d}>", normalized=False) for i in range(1024)])
    out.add_tokens([AddedToken(f"<seg{i:03d}>", normalized=False) for i in range(128)])
    out.add_special_tokens([AddedToken("<image>", normalized=False, special=True)])
    assert out.get_vocab_size() == PIECES + 1024 + 128 + 1, out.get_vocab_size()
    return out.to_str(pretty=True)


LOC0, SEG0 = PIECES, PIECES + 1024
IMAGE = PIECES + 1024 + 128
VOCAB = IMAGE + 1
PAD, EOS, BOS, UNK = 0, 1, 2, 3
