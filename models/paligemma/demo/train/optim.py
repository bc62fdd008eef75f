"""Muon for matrices, Adam for the rest, and a learning rate that follows a clock."""

import math
import time

import torch


def orthogonalise(g):
    """The nearest semi-orthogonal matrix by five Newton-Schulz steps (Keller Jordan's quintic coefficients)."""
    x = g / (g.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    tall = x.size(-2) > x.size(-1)
    x = x.mT if tall else x
    for _ in range(5):
        a = x @ x.mT
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised per matrix; matrices of one shape are stacked and done together."""

    def __init__(self, params, lr, momentum=0.95):
        super().__init__(params, dict(lr=lr, momentum=momentum))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            by_shape = {}
            for p in group["params"]:
                if p.grad is None:
                    continue
                m = self.state[p].setdefault("m", torch.zeros_like(p))
                m.lerp_(p.grad, 1 - group["momentum"])
                by_shape.setdefault(p.shape, []).append((p, p.grad.lerp(m, group["momentum"])))
            for shape, pairs in by_shape.items():
                update = orthogonalise(torch.stack([u for _, u in pairs]))
                scale = group["lr"] * max(1, shape[0] / shape[1]) ** 0.5
                for (p, _), u in zip(pairs, update):
                    p.mul_(1 - group["lr"] * 0.01).add_(u, alpha=-scale)


def optimizers(named, muon_lr, adam_lr, scale):
    """Muon over hidden matrices and Adam over the rest; scale(name) multiplies a parameter's rate."""
    muon, adam = {}, {}
    for name, p in named:
        hidden = p.ndim == 2 and not any(s in name for s in ("embed", "out.weight", "patch", "position"))
        (muon if hidden else adam).setdefault(scale(name), []).append(p)
    made = [Muon([dict(params=ps, lr=muon_lr * s) for s, ps in muon.items()], muon_lr),
            torch.optim.Adam([dict(params=ps, lr=adam_lr * s) for s, ps in adam.items()], adam_lr, betas=(.9, .98))]
    for o in made:
        for g in o.param_groups:
            g["base"] = g["lr"]
    return made


class Clock:
    """Progress from 0 to 1 over `minutes` of the clock `now`, counted from `done` minutes; survives a resume."""

    def __init__(self, minutes, done=0.0, now=time.time):
        self.minutes, self.before, self.now, self.start = minutes, done, now, now()

    def done(self):
        return self.before + (self.now() - self.start) / 60

    def progress(self):
        return min(1.0, self.done() / self.minutes)

    def set_rate(self, made, progress=None, warm=0.02):
        t = self.progress() if progress is None else progress
        factor = min(1, t / warm + 0.02) * (0.5 + 0.5 * math.cos(math.pi * t)) + 1e-4
        for o in made:
            for g in o.param_groups:
                g["lr"] = g["base"] * factor
