"""Teaches the vision tower of a trained checkpoint what masks need and no earlier task asked: how pictograms are flipped
and turned, and their boxes to a fraction of a pixel. It keeps the features near the old ones, so that the language model
still reads them.

    python pose.py --checkpoint ../paligemma-demo --out .train --minutes 8
"""

import argparse
import copy
import pathlib
import time

import torch
import torch.nn.functional as F

import data
from export import load_checkpoint
from model import WIDTH
from optim import Clock, optimizers
from scenes import CLASSES

POSES = len(CLASSES) * 2 * data.TURNS
KEEP, BOX = 1.0, 40.0  # weights of the features' squared error, relative to their variance


class Heads(torch.nn.Module):
    """Throw-away heads: the pose and the box, per patch."""

    def __init__(self):
        super().__init__()
        self.out = torch.nn.Linear(WIDTH, POSES + 4)

    def loss(self, features, target):
        """The summed losses at every patch of an object (see data.dense), and the share of right flips given the class and
        the mean error of a box's side in pictures."""
        at = target["cls"] > 0
        logits, box = self.out(features[at]).split([POSES, 4], -1)
        wanted = target["pose"][at]
        found = logits.view(-1, len(CLASSES), 2 * data.TURNS)[range(len(wanted)), wanted // (2 * data.TURNS)].argmax(-1)
        flips = (found // data.TURNS == wanted // data.TURNS % 2).float().mean().item()
        off = (box - target["box"][at]).abs().mean().item()
        boxes = F.smooth_l1_loss(box, target["box"][at], beta=.004)
        return F.cross_entropy(logits, wanted) + BOX * boxes, flips, off


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--checkpoint", required=True)
    args.add_argument("--out", default=".train")
    args.add_argument("--minutes", type=float, default=8)
    args.add_argument("--muon", type=float, default=.01)
    args.add_argument("--batch", type=int, default=24)
    args.add_argument("--threads", type=int, default=1)
    args = args.parse_args()
    torch.set_num_threads(args.threads)
    net = load_checkpoint("gemma", args.checkpoint)
    tower, heads = net.model.vision_tower, Heads()
    old = copy.deepcopy(tower).requires_grad_(False)
    named = [("tower." + n, p) for n, p in tower.named_parameters()] + [("heads." + n, p) for n, p in heads.named_parameters()]
    made = optimizers(named, args.muon, 1e-3, lambda n: 1.0)
    clock, step, shown = Clock(args.minutes, now=time.process_time), 0, []
    batches = data.loader(1300, args.batch, text=False)
    while clock.progress() < 1:
        clock.set_rate(made)
        batch = next(batches)
        pixels = data.normalise(batch["pixels"])
        features = tower(pixel_values=pixels).last_hidden_state
        with torch.no_grad():
            kept = old(pixel_values=pixels).last_hidden_state
        drift = (features - kept).square().mean() / kept.var()
        loss, flips, off = heads.loss(features, batch)
        (loss + KEEP * drift).backward()
        for o in made:
            o.step()
            o.zero_grad(set_to_none=True)
        step += 1
        shown.append((loss.item(), flips, off, drift.item()))
        if step % 25 == 0:
            mean = torch.tensor(shown).mean(0).tolist()
            print(f"P {step} {clock.done():.1f}min loss {mean[0]:.3f} flips right {mean[1]:.3f} boxes off {mean[2]:.4f} drift {mean[3]:.4f}", flush=True)
            shown = []
        if step % 100 == 0 or clock.progress() >= 1:
            torch.save(dict(tower=tower.state_dict(), heads=heads.state_dict()), pathlib.Path(args.out) / "gemma-pose.pt")


if __name__ == "__main__":
    main()
