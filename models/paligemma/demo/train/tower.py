"""Stage A: the vision tower alone, under dense per-patch supervision.

    python tower.py --out .train --minutes 22
"""

import argparse
import pathlib
import time

import torch

import data
from model import Heads, build
from optim import Clock, optimizers
from scenes import CHARS, CLASSES


def tower(net):
    return net.model.vision_tower


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--out", default=".train")
    args.add_argument("--minutes", type=float, default=22)
    args.add_argument("--threads", type=int, default=2)
    args = args.parse_args()
    torch.set_num_threads(args.threads)
    out = pathlib.Path(args.out)
    out.mkdir(exist_ok=True, parents=True)
    net, heads = build("gemma"), Heads(len(CLASSES), len(CHARS))
    named = [("tower." + n, p) for n, p in tower(net).named_parameters()] + [("heads." + n, p) for n, p in heads.named_parameters()]
    made = optimizers(named, 0.02, 2e-3, lambda n: 1.0)
    state, clock, step = out / "tower.pt", Clock(args.minutes), 0
    if state.exists():
        saved = torch.load(state)
        net.load_state_dict(saved["net"]), heads.load_state_dict(saved["heads"])
        [o.load_state_dict(s) for o, s in zip(made, saved["optim"])]
        clock, step = Clock(args.minutes, saved["minutes"]), saved["step"]
    see = torch.compile(lambda x: tower(net)(pixel_values=x).last_hidden_state)
    batches = data.loader(100 + step, 32, text=False)
    last = time.time()
    while clock.progress() < 1:
        clock.set_rate(made)
        batch = next(batches)
        with torch.autocast("cpu", torch.bfloat16):
            features = see(data.normalise(batch["pixels"]))
        loss, seen = heads.loss(features.float(), batch)
        loss.backward()
        for o in made:
            o.step()
            o.zero_grad(set_to_none=True)
        step += 1
        if step % 50 == 0:
            print(f"A {step} {clock.done():.1f}min {50 * 32 / (time.time() - last):.0f}/s loss {loss.item():.3f} "
                  + " ".join(f"{k} {v:.3f}" for k, v in seen.items()), flush=True)
            last = time.time()
        if step % 500 == 0 or clock.progress() >= 1:
            torch.save(dict(net=net.state_dict(), heads=heads.state_dict(), optim=[o.state_dict() for o in made],
                            minutes=clock.done(), step=step), state)


if __name__ == "__main__":
    main()
