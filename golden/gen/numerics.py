"""Measures what rounding costs: pgc's executables and transformers in bfloat16 and float16 against transformers in float32.

    python golden/gen/numerics.py CHECKPOINT [--prompt TEXT …] [--storage FLAGS …] PICTURE…

Every prompt is asked about every picture, with the suffix "two cats", and the logits of all positions are compared, eager
attention, token_type_ids passed. The weights of the float32 model are those of the checkpoint; from_pretrained(dtype=…)
makes the others, as users do. Prints the rows of the tables in docs/NUMERICS.md. A 3B-shaped checkpoint needs 16 GB of
memory and, for each storage, 6 GB of disk. What --storage compiles for GPUs ("--target cuda") runs in the emulator. With
--rounded the reference has matrices rounded to bfloat16, as a file for GPUs has of a checkpoint with wider ones.
"""

import argparse
import gc
import pathlib
import subprocess
import tempfile

import torch
from safetensors.torch import load_file
from transformers import AutoConfig, PaliGemmaForConditionalGeneration
from tokenizers import Tokenizer

import reference

PGC = pathlib.Path(__file__).resolve().parents[2] / "bin" / "pgc"
SUFFIX = "two cats"


@torch.no_grad()
def transformers_logits(path, dtype, cases, rounded=False):
    net = PaliGemmaForConditionalGeneration.from_pretrained(path, dtype=dtype, attn_implementation="eager").eval()
    for p in net.parameters():
        if rounded and p.dim() > 1:
            p.data = p.data.bfloat16().to(dtype)
    out = []
    for ids, kinds, values in cases:
        out.append(net(input_ids=ids, pixel_values=values.to(dtype), token_type_ids=kinds, attention_mask=torch.ones_like(ids)).logits[0].float())
    del net
    gc.collect()
    return out


def pgc_logits(path, flags, asked, folder):
    exe, file = folder / "model", folder / "out.safetensors"
    subprocess.run([PGC, "compile", path, "-o", exe, *flags], check=True)
    run = [PGC, "emulate", exe] if "cuda" in flags else [exe]
    out = []
    for picture, prompt in asked:
        subprocess.run([*run, "forward", "--image", picture, "--prompt", prompt, "--suffix", SUFFIX, "-o", file], check=True)
        out.append(load_file(file)["logits"])
    exe.unlink()
    return out


class Score:
    """Differences of logits from the reference's."""

    def __init__(self):
        self.worst = self.squares = self.of = self.divergence = 0.0
        self.same = self.rows = 0

    def add(self, got, want):
        self.worst = max(self.worst, float((got - want).abs().max() / want.abs().max()))
        for g, w in zip(got.split(16), want.split(16)):  # blocks of rows, for the memory
            g, w = g.double(), w.double()
            self.squares += float((g - w).square().sum())
            self.of += float(w.square().sum())
            p, q = w.log_softmax(-1), g.log_softmax(-1)
            self.divergence += float((p.exp() * (p - q)).sum())
            self.same += int((g.argmax(-1) == w.argmax(-1)).sum())
            self.rows += len(w)

    def row(self, name):
        rms = (self.squares / self.of) ** .5
        return f"| {name} | {self.worst:.1e} | {rms:.1e} | {self.divergence / self.rows:.1e} | {100 * self.same / self.rows:.2f} % |"


def main():
    args = argparse.ArgumentParser()
    args.add_argument("checkpoint")
    args.add_argument("pictures", nargs="+")
    args.add_argument("--prompt", action="append")
    args.add_argument("--storage", action="append", help="flags of pgc compile, in one argument")
    args.add_argument("--rounded", action="store_true")
    args = args.parse_args()
    cfg = AutoConfig.from_pretrained(args.checkpoint)
    codes = Tokenizer.from_file(f"{args.checkpoint}/tokenizer.json")
    patches = (cfg.vision_config.image_size // cfg.vision_config.patch_size) ** 2
    encode = lambda text: codes.encode(text, add_special_tokens=False).ids
    asked = [(picture, prompt) for picture in args.pictures for prompt in args.prompt or ["caption en"]]
    cases = []
    for picture, prompt in asked:
        prefix, tail = [cfg.image_token_index] * patches + [2] + encode(prompt + "\n"), encode(SUFFIX) + [1]
        kinds = torch.tensor([[0] * len(prefix) + [1] * len(tail)])
        cases.append((torch.tensor([prefix + tail]), kinds, reference.pixels(picture, cfg.vision_config.image_size)[None]))
    want = transformers_logits(args.checkpoint, torch.float32, cases, args.rounded)
    print(f"{len(cases)} prompts, {sum(len(w) for w in want)} positions of {want[0].shape[1]} logits; the largest is {max(float(w.abs().max()) for w in want):.1f}\n")
    print("| | largest error | rms error | mean KL divergence | same best token |\n|---|---|---|---|---|")

    def report(name, got):
        score = Score()
        for g, w in zip(got, want):
            score.add(g, w)
        print(score.row(name), flush=True)
    with tempfile.TemporaryDirectory() as tmp:
        for flags in args.storage or ["", "--kv bf16", "--weights f16", "--weights f16 --kv bf16"]:
            report("`pgc compile" + (" " + flags if flags else "") + "`", pgc_logits(args.checkpoint, flags.split(), asked, pathlib.Path(tmp)))
    for dtype in (torch.bfloat16, torch.float16):
        report(f"transformers, {str(dtype)[6:]}", transformers_logits(args.checkpoint, dtype, cases))


if __name__ == "__main__":
    main()
