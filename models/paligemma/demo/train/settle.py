"""Averages a tuned model with its teacher, which brings back what tuning cost, and trains the embeddings of <seg> tokens
alone, which an average hears too softly.

    python settle.py --checkpoint .train/gemma --state .train/gemma-tuned.pt --codes .train/codes.pt --to .train/gemma-settled.pt

Minutes are this process's CPU time.
"""

import argparse
import math
import random
import time

import torch

import data
import tokenizer
import vae
from export import load_checkpoint
from rows import Rows, single
from train import logits_at, token_losses

FIRST = 10  # weight of an object's first code, which decides whether codes come at all, beside another token's


def averaged(checkpoint, state, share):
    """The model between a checkpoint (0) and a tuned state (1), with the latter's <seg> embeddings."""
    net = load_checkpoint("gemma", checkpoint)
    tuned = torch.load(state)["net"]
    with torch.no_grad():
        for name, p in net.named_parameters():
            p.lerp_(tuned[name], share)
        codes(net).copy_(tuned["model.language_model.embed_tokens.weight"][tokenizer.SEG0:tokenizer.SEG0 + vae.CODES])
    return net


def codes(net):
    """The <seg> tokens' rows of the embedding, which is the head, too."""
    return net.model.language_model.embed_tokens.weight[tokenizer.SEG0:tokenizer.SEG0 + vae.CODES]


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--checkpoint", required=True)
    args.add_argument("--state", required=True)
    args.add_argument("--codes", required=True, help="train_vae.py's table")
    args.add_argument("--to", required=True)
    args.add_argument("--share", type=float, default=.83, help="of the tuned state")
    args.add_argument("--minutes", type=float, default=4)
    args = args.parse_args()
    torch.set_num_threads(1)
    net = averaged(args.checkpoint, args.state, args.share).requires_grad_(False)
    table = net.model.language_model.embed_tokens.weight.requires_grad_()
    optim = torch.optim.Adam([table], betas=(.9, .98))
    rng, batches = random.Random(1), data.loader(4254, 24, text=True, table=torch.load(args.codes))
    start, step = time.process_time(), 0
    while (t := (time.process_time() - start) / 60 / args.minutes) < 1:
        optim.param_groups[0]["lr"] = 5e-3 * min(1, step / 10 + .05) * (.5 + .5 * math.cos(math.pi * t))
        batch = next(batches)
        features = net.model.multi_modal_projector(net.model.vision_tower(pixel_values=data.normalise(batch["pixels"])).last_hidden_state)
        rows = [Rows(single(batch[kind], rng, 1)) for kind in ("segment", "examples")]
        logits, target = torch.cat([logits_at(net, r, features) for r in rows]), torch.cat([r.target for r in rows])
        code = (target >= tokenizer.SEG0) & (target < tokenizer.SEG0 + vae.CODES)
        weight = 1 + (FIRST - 1) * (code & ~torch.cat([code[:1] & False, code[:-1]])).float()
        each = token_losses(logits, target)
        ((each * weight).sum() / weight.sum()).backward()
        table.grad[:tokenizer.SEG0] = 0
        table.grad[tokenizer.SEG0 + vae.CODES:] = 0
        optim.step()
        optim.zero_grad(set_to_none=True)
        step += 1
        if step % 25 == 0:
            right = (logits.argmax(-1) == target).float()
            print(f"S {step} {t * args.minutes:.1f}min loss of codes {each[code].mean():.4f} right {right[code].mean():.4f} others {right[~code].mean():.4f}", flush=True)
    torch.save(dict(net=net.state_dict()), args.to)


if __name__ == "__main__":
    main()
