"""Trains the mask codec on the pictograms' shapes, in every flip, rotation and size that scenes use.

    python train_vae.py --minutes 5 --to .train      writes vae-oid.npz, and codes.pt: the table of economical codes

First all of it together, faithful (faithful.npz; a later run begins behind it). Its encoder's codes change all over at a
turn of one degree. Then the encoder alone, to give codes that a language model can predict: the same over a range of
turns (data.TURNS), and between ranges most stay. Last the decoder alone, to draw what such codes mean best where boxes
and turns are a little off, as an answer's are (forgive). The codebook stays that of the first part.
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
from vae import CODES, SIDE, Codec, load, resized, save

SLACK = .02  # of IoU, for codes that change seldom
OFF, ASKEW = 1.3, 1.7  # the deviation of a box's sides in pixels of SIDE 140, and how far turns leave their range (1: to its end)
RIM, PLACES = 10, 24  # places of the grid beside a box, and misplaced masks of a pose
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


def framed(mask, corners):
    """What of a mask [h, w] lies on a grid of SIDE + 2 * RIM places a side whose SIDE middle ones span a box; corners: the
    box (x0, y0, x1, y1) in fractions of the mask's sides."""
    at = (np.arange(-RIM, SIDE + RIM) + .5) / SIDE
    (h, w), (x0, y0, x1, y1) = mask.shape, corners
    x, y = np.floor((x0 + at * (x1 - x0)) * w).astype(int), np.floor((y0 + at * (y1 - y0)) * h).astype(int)
    inside = np.ix_((y >= 0) & (y < h), (x >= 0) & (x < w))
    out = np.zeros((len(at), len(at)), bool)
    out[inside] = mask[np.ix_(y[(y >= 0) & (y < h)], x[(x >= 0) & (x < w)])]
    return out


def misplaced(rng, cls, flip, turn):
    """A mask of a class, flip and turn as framed by a box that an answer might give."""
    angle = turns()[turn] + rng.uniform(-ASKEW, ASKEW) * TURN / (TURNS - 1)
    mask = shape(stamp(cls, rng.uniform(40, 110), bool(flip), min(TURN, max(-TURN, angle))))
    scale = max(mask.shape) / rng.uniform(26, 60)  # sides in the pixels that the model sees
    off = [rng.gauss(0, OFF) * scale for _ in range(4)]
    h, w = mask.shape
    return framed(mask, (off[0] / w, off[1] / h, 1 + off[2] / w, 1 + off[3] / h))


def forgive(codec, table, minutes):
    """Trains the decoder alone: from each pose's codes it draws the picture whose IoU with that pose's misplaced masks is
    greatest in the mean, what of them lies outside the box included."""
    rng, codes = random.Random(4), table.flatten(0, 2)
    true = np.stack([[misplaced(rng, k // (2 * TURNS), k // TURNS % 2, k % TURNS) for _ in range(PLACES)] for k in range(len(codes))])
    area = torch.from_numpy(true.sum((2, 3))).float()
    true = torch.from_numpy(true[:, :, RIM:-RIM, RIM:-RIM].copy()).flatten(2)
    optim = torch.optim.Adam(codec.decoder.parameters(), 1.5e-3)
    start, step = time.process_time(), 0
    while (t := (time.process_time() - start) / 60 / minutes) < 1:
        optim.param_groups[0]["lr"] = 1.5e-3 * min(1, step / 30 + .02) * (.5 + .5 * math.cos(math.pi * t))
        some = torch.randperm(len(codes))[:48]
        drawn = torch.sigmoid(2 * CONTRAST * codec.pictures(codec.codebook[codes[some]])).flatten(1)
        both = (drawn[:, None] * true[some]).sum(2)
        loss = 1 - (both / (drawn.sum(1)[:, None] + area[some] - both)).mean()
        optim.zero_grad()
        loss.backward()
        optim.step()
        step += 1
        if step % 100 == 0:
            print(f"F {step} {t * minutes:.1f}min loss {loss.item():.4f}", flush=True)


def faithful(codec, minutes):
    """Trains all of a fresh codec together on the masks themselves."""
    train, held = poses(12000, seed=1)[0], poses(1000, seed=2)[0]
    optim = torch.optim.Adam(codec.parameters(), 2e-3)
    count, total = torch.ones(CODES), torch.zeros_like(codec.codebook)  # running counts and sums of each code's vectors
    start, step = time.process_time(), 0
    while (t := (time.process_time() - start) / 60 / minutes) < 1:
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
            print(f"V {step} {t * minutes:.1f}min loss {loss.item():.4f} codes {used} IoU {agreement(codec, held):.4f}", flush=True)


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--to", required=True)
    args.add_argument("--minutes", type=float, default=5)
    args.add_argument("--threads", type=int, default=1)
    args = args.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    out = pathlib.Path(args.to)
    first = out / "faithful.npz"
    if first.exists():
        codec = load(first).train()
    else:
        codec = Codec()
        faithful(codec, args.minutes)
        save(codec, first)
    held = poses(1000, seed=2)[0]
    print(f"faithful: IoU of held-out shapes {agreement(codec, held):.4f}")
    table = economise(codec, args.minutes)
    print(f"economical: IoU of held-out shapes {agreement(codec, held):.4f}")
    forgive(codec, table, args.minutes / 5)
    print(f"forgiving: IoU of held-out shapes {agreement(codec, held):.4f}")
    torch.save(table, out / "codes.pt")
    save(codec, out / "vae-oid.npz")


if __name__ == "__main__":
    main()
