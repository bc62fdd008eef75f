"""Trains the mask codec on the pictograms' shapes, in every flip, rotation and size that scenes use.

    python train_vae.py --minutes 5 --to .train      writes vae-oid.npz, and codes.pt: the table of economical codes

First all of it together, faithful; then the encoder alone, to give codes that a language model can predict. The faithful
encoder's codes change all over at a turn of one degree. The economical one's are the same over a range of turns
(data.TURNS), and between ranges most stay. The decoder and the codebook are those of the first part.
"""

import argparse
import math
import pathlib
import random
import time

import numpy as np
import torch
import torch.nn.functional as F

from data import TURNS, turns
from scenes import CLASSES, TURN, shape, stamp
from vae import CODES, Codec, resized, save

SLACK = .02  # of IoU, for codes that change seldom
CONTRAST = 4  # the loss reads the picture as logits of this slope, so that its values stay near -1…1


def poses(count, seed):
    """Masks [count, 64, 64] of random pictograms as the encoder sees them, and their places in a table by class, flip and
    turn."""
    rng, masks, places = random.Random(seed), [], []
    for _ in range(count):
        cls, side, flip, angle = rng.randrange(len(CLASSES)), rng.uniform(28, 134), rng.random() < .5, rng.uniform(-TURN, TURN)
        masks.append(resized(shape(stamp(cls, side, flip, angle))))
        places.append((cls * 2 + flip) * TURNS + round((angle / TURN + 1) / 2 * (TURNS - 1)))
    return torch.from_numpy(np.stack(masks)), torch.tensor(places)


def agreement(codec, masks):
    """Mean IoU of the masks with what their codes decode to, on the 64x64 grid."""
    with torch.no_grad():
        found, true = codec.pictures(codec.codebook[codec.nearest(codec.vectors(masks))]) > 0, masks > 0
    return ((found & true).sum((1, 2)) / (found | true).sum((1, 2))).mean().item()


def economical(codec):
    """Codes [classes, 2, TURNS, 16] by class, flip and turn that change seldom: they begin as a neighbour's (the turn
    nearer to the middle; for the flipped middle the unflipped one) and take from the encoder's, the most useful first,
    only what SLACK asks for."""
    middle = TURNS // 2
    table = torch.zeros(len(CLASSES), 2, TURNS, 16, dtype=torch.long)
    order = [(flip, t) for flip in (0, 1) for t in sorted(range(TURNS), key=lambda t: abs(t - middle))]
    for cls, (flip, t) in [(c, o) for c in range(len(CLASSES)) for o in order]:
        mask = shape(stamp(cls, 100, bool(flip), turns()[t]))
        true, own = torch.from_numpy(resized(mask) > 0), codec.encode([mask])[0]
        if t != middle:
            codes = table[cls, flip, t + (1 if t < middle else -1)]
        else:
            codes = table[cls, 0, middle] if flip else own
        agree = lambda rows: ((found := codec.decode(rows) > 0) & true).sum((1, 2)) / (found | true).sum((1, 2))
        while len(places := (codes != own).nonzero()[:, 0]) and agree(codes[None]) < agree(own[None]) - SLACK:
            tried = codes.repeat(len(places), 1)
            tried[range(len(places)), places] = own[places]
            codes = tried[agree(tried).argmax()]
        table[cls, flip, t] = codes
    return table


def economise(codec, minutes):
    """Trains the encoder alone to give the economical codes, by cross entropy over the distances to the codebook's rows."""
    table, train = economical(codec), poses(8000, seed=3)
    optim = torch.optim.Adam(codec.encoder.parameters(), 2e-3, betas=(.9, .98))
    start, step = time.process_time(), 0
    far = torch.cdist(codec.codebook, codec.codebook).square().mean()
    while (t := (time.process_time() - start) / 60 / minutes) < 1:
        optim.param_groups[0]["lr"] = 2e-3 * min(1, step / 50 + .02) * (.5 + .5 * math.cos(math.pi * t))
        some = torch.randint(len(train[0]), (96,))
        z = codec.vectors(train[0][some])
        near = 10 / far * (2 * z @ codec.codebook.T - codec.codebook.square().sum(1))
        wanted = table.flatten(0, 2)[train[1][some]]
        loss = F.cross_entropy(near.flatten(0, 1), wanted.flatten())
        optim.zero_grad()
        loss.backward()
        optim.step()
        step += 1
        if step % 100 == 0:
            print(f"E {step} {t * minutes:.1f}min loss {loss.item():.4f} right {(near.argmax(-1) == wanted).float().mean():.4f}", flush=True)
    return table


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--to", required=True)
    args.add_argument("--minutes", type=float, default=5)
    args.add_argument("--threads", type=int, default=1)
    args = args.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    train, held = poses(12000, seed=1)[0], poses(1000, seed=2)[0]
    codec = Codec()
    optim = torch.optim.Adam(codec.parameters(), 2e-3)
    count, total = torch.ones(CODES), torch.zeros_like(codec.codebook)  # running counts and sums of each code's vectors
    start, step = time.process_time(), 0
    while (t := (time.process_time() - start) / 60 / args.minutes) < 1:
        optim.param_groups[0]["lr"] = 2e-3 * min(1, step / 50 + .02) * (.5 + .5 * math.cos(math.pi * t))
        masks = train[torch.randint(len(train), (96,))]
        z = codec.vectors(masks)
        quantized, commit = z, 0.0
        if step >= 150:  # before, an auto-encoder without codes
            flat = z.detach().flatten(0, 1)
            if step % 100 == 50 and t < .6 or step == 150:  # codes that few vectors use start again on random vectors
                idle = count < (.2 if step > 150 else 1e9)
                total[idle] = flat[torch.randperm(len(flat))[:int(idle.sum())]]
                count[idle] = 1
                codec.codebook.copy_(total / count[:, None])
            codes = codec.nearest(flat)
            one_hot = F.one_hot(codes, CODES).float()
            count.mul_(.98).add_(one_hot.sum(0), alpha=.02)
            total.mul_(.98).add_(one_hot.T @ flat, alpha=.02)
            codec.codebook.copy_(total / count.clamp(min=1e-3)[:, None])
            rows = codec.codebook[codes].view_as(z)
            commit = (z - rows).square().mean()
            quantized = z + (rows - z).detach()
        picture = codec.pictures(quantized)
        loss = F.binary_cross_entropy_with_logits(CONTRAST * picture, masks / 2 + .5) + .25 * commit
        optim.zero_grad()
        loss.backward()
        optim.step()
        step += 1
        if step % 100 == 0:
            used = (count > .05).sum().item() if step > 150 else 0
            print(f"V {step} {t * args.minutes:.1f}min loss {loss.item():.4f} codes {used} IoU {agreement(codec, held):.4f}", flush=True)
    print(f"held-out shapes: IoU {agreement(codec, held):.4f}")
    torch.save(economise(codec, args.minutes), pathlib.Path(args.to) / "codes.pt")
    save(codec, pathlib.Path(args.to) / "vae-oid.npz")
    print(f"held-out shapes: IoU {agreement(codec, held):.4f}")


if __name__ == "__main__":
    main()
