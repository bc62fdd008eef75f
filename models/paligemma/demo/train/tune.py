"""Stage C: teaches a trained checkpoint to segment and repeats everything else, so that nothing is forgotten; and makes
the PaliGemma 2 model of it.

    python tune.py --kind gemma  --checkpoint .train/gemma --codec .train/vae-oid.npz --codes .train/codes.pt --minutes 120
    python tune.py --kind gemma2 --checkpoint .train/gemma …      (begins with what the first one has become)

It begins with fresh optimizers; <seg> embeddings start from the codebook, so that codes of like shapes are alike. The
checkpoint stays the teacher of both. Minutes are a process's CPU time. Run again with the same arguments it resumes. Workers
that torch.distributed.run starts train on batches of their own and average gradients.

    python tune.py --kind gemma --refine .train/gemma-settled.pt --checkpoint .train/gemma … --muon 0.0008 --adam 1.5e-4 --minutes 24

continues from a state's weights at a low rate, with fewer easy scenes and more of what is hardest to keep.
"""

import argparse
import copy
import os
import pathlib
import random
import time

import torch
import torch.nn.functional as F

import data
import pose
import tokenizer
import vae
from export import load_checkpoint
from grow import grown
from model import WIDTH
from optim import Clock, optimizers
from rows import Rows, pack, single
from train import logits_at, token_losses

KEEP = .3, 5.0  # weights of the features' squared error relative to their variance, on pictograms and elsewhere (text)
TEACHER = 5  # weight of what is forgotten
CAPTION = 2  # weight of a caption's tokens in exact rows
READ = data.encode("ocr", "")[0]
ROOM = 150  # tokens of text in a packed row
CODES, LOCATION = .3, 1.3  # weights of the sixteen codes of an object, together, and of a location, beside another token's


def start(kind, teacher, posed, codec, batch):
    """The model to begin with. PaliGemma 1: the teacher with the tower of pose.py and <seg> embeddings begun from a codec's
    codebook. PaliGemma 2: grown (grow.py) from a tuned PaliGemma 1 model, over a batch."""
    net = copy.deepcopy(teacher)
    if kind == "gemma2":
        net.load_state_dict(posed["net"])
        rows = Rows(single(batch["segment"], random.Random(0), 1))
        return grown(net, lambda net: logits_at(net, rows, net.model.multi_modal_projector(
            net.model.vision_tower(pixel_values=data.normalise(batch["pixels"])).last_hidden_state)))
    net.model.vision_tower.load_state_dict(posed["tower"])
    with torch.no_grad():
        table = net.model.language_model.embed_tokens.weight
        used = table[tokenizer.LOC0:tokenizer.LOC0 + 1024:8]  # the locations that training snaps to
        spread = (used - used.mean(0)).norm(dim=1).mean()
        rows = codec.codebook - codec.codebook.mean(0)
        rows = rows @ torch.nn.init.orthogonal_(torch.empty(vae.DEPTH, WIDTH))
        other = torch.nn.init.normal_(torch.empty(WIDTH))  # sets codes as a whole apart from locations
        rows = spread * (rows / rows.norm(dim=1).mean() + .5 * other / other.norm())
        table[tokenizer.SEG0:tokenizer.SEG0 + vae.CODES] = used.mean(0) + rows
    return net


class Turned(torch.nn.Module):
    """A throw-away head for flips and turns of whatever class at the image's tokens inside the language model, whose one
    key-value head passes on too few values to keep classes apart."""

    def __init__(self):
        super().__init__()
        self.norm, self.out = torch.nn.RMSNorm(WIDTH, elementwise_affine=False), torch.nn.Linear(WIDTH, 2)

    def loss(self, hidden, scene, target):
        """The loss at every patch of an object, the share of right flips, and the mean error of turns in -1…1."""
        at = target["cls"][scene] > 0
        flip, turn = self.out(self.norm(hidden[at])).unbind(-1)
        flipped, turned = target["turned"][scene][at].unbind(-1)
        off = (turn - turned).abs().mean()
        return F.binary_cross_entropy_with_logits(flip, flipped) + 2 * off, ((flip > 0) == (flipped > .5)).float().mean().item(), off.item()


def forgotten(teacher, rows, features, logits, weight):
    """How far the logits of rows are from the teacher's: the weighted KL divergence over the answers' tokens, beside their number."""
    with torch.no_grad():
        wanted = F.log_softmax(logits_at(teacher, rows, features), -1)
    each = F.kl_div(F.log_softmax(logits, -1), wanted, log_target=True, reduction="none").sum(-1)
    return (each * weight).sum() / len(weight)


def groups(batch, rng, exact):
    """A step's rows, in groups of like length: packed ones with all prompts to segment and as many others as fit into
    ROOM tokens, or exact ones, of each scene one prompt to segment, the caption, the text, if there is any, and others."""
    pairs = list(zip(batch["segment"], batch["examples"]))
    if exact:  # captions and texts are forgotten first
        captions = [o[:1] for _, o in pairs]
        texts = [[e for e in o if e[0] == READ and len(e[1]) > 1] or o[1:] for _, o in pairs]
        others = [[e for e in o[1:] if e[0] != READ] for _, o in pairs]
        return [single([s for s, _ in pairs], rng, 1), single(captions, rng, 1) + single(texts, rng, 1) + single(others, rng, 1)]
    rows = []
    for segment, others in pairs:
        row = list(segment)
        for one in rng.sample(others, len(others)):
            if len(row) == len(segment) or sum(len(p) + len(a) for p, a in [*row, one]) <= ROOM:
                row.append(one)
        rows.append(row)
    return [pack(rows)]


def agreed(parameters, progress, workers):
    """Averages the gradients of parameters over all workers, and progress with them, which it returns."""
    if workers == 1:
        return progress
    grads = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([g.flatten() for g in grads] + [torch.tensor([progress])])
    torch.distributed.all_reduce(flat)
    flat /= workers
    for g, mean in zip(grads, flat[:-1].split([g.numel() for g in grads])):
        g.copy_(mean.view_as(g))
    return flat[-1].item()


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--kind", default="gemma", choices=["gemma", "gemma2"])
    args.add_argument("--checkpoint", required=True, help="the PaliGemma 1 checkpoint of stage B")
    args.add_argument("--codec", required=True)
    args.add_argument("--codes", required=True, help="train_vae.py's table")
    args.add_argument("--out", default=".train")
    args.add_argument("--minutes", type=float, default=45)
    args.add_argument("--packed", type=float, default=.5, help="share of the time spent on packed rows")
    args.add_argument("--refine", help="the state to refine, by exact rows alone")
    args.add_argument("--batch", type=int, default=16)
    args.add_argument("--muon", type=float, default=.004)
    args.add_argument("--adam", type=float, default=7e-4)
    args = args.parse_args()
    torch.set_num_threads(1)
    worker, workers = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    if workers > 1:
        torch.distributed.init_process_group("gloo")
    out = pathlib.Path(args.out)
    out.mkdir(exist_ok=True, parents=True)
    teacher = load_checkpoint("gemma", args.checkpoint).requires_grad_(False)
    table, fresh = torch.load(args.codes), args.kind == "gemma"
    posed = torch.load(out / ("gemma-pose.pt" if fresh else "gemma-tuned.pt"))
    net = start(args.kind, teacher, posed, vae.load(args.codec), next(data.loader(77, 48, text=True, table=table)))
    if args.refine:
        net.load_state_dict(torch.load(args.refine)["net"])
    net.requires_grad_()
    heads = pose.Heads()
    heads.load_state_dict(posed["heads"])
    turned = Turned()
    named = list(net.named_parameters()) + [("heads." + n, p) for n, p in [*heads.named_parameters(), *turned.named_parameters()]]
    made = optimizers(named, args.muon, args.adam, lambda n: .6 if "vision" in n else 1.0)
    state = out / f"{args.kind}-{'refined' if args.refine else 'tuned'}.pt"
    clock, step = Clock(args.minutes, now=time.process_time), 0
    if state.exists():
        saved = torch.load(state)
        net.load_state_dict(saved["net"]), heads.load_state_dict(saved["heads"])
        [o.load_state_dict(s) for o, s in zip(made, saved["optim"])]
        clock, step = Clock(args.minutes, saved["minutes"], now=time.process_time), saved["step"]
    window = getattr(net.config.text_config, "sliding_window", None) or 10**6
    rng = random.Random(step)
    batches = data.loader((950 if args.refine else 900) + step + 10**6 * worker, args.batch, text=True, table=table, easy=.4 if args.refine else 1)
    shown, progress = [], clock.progress()
    while progress < 1:
        clock.set_rate(made, progress)
        batch = next(batches)
        exact = bool(args.refine) or progress > args.packed
        pixels = data.normalise(batch["pixels"])
        features = net.model.vision_tower(pixel_values=pixels).last_hidden_state
        projected = net.model.multi_modal_projector(features)
        rows = [Rows(g, window) for g in groups(batch, rng, exact)]
        parts, middles = zip(*(logits_at(net, r, projected, middle=True) for r in rows))
        logits, target = torch.cat(parts), torch.cat([r.target for r in rows])
        code = (target >= tokenizer.SEG0) & (target < tokenizer.SEG0 + vae.CODES)
        location = (target >= tokenizer.LOC0) & (target < tokenizer.SEG0)
        weight = (~code).float() + location * (LOCATION - 1)
        if exact:  # captions stand first in the second group
            begin, size = len(rows[0].target), sum(len(o[0][1]) for o in batch["examples"])
            weight[begin:begin + size] *= CAPTION
        each = token_losses(logits, target)
        loss = (each * weight).sum() / weight.sum() + CODES * 16 * each[code].mean()
        dense, flips, off = heads.loss(features, batch)
        inside, *seen = turned.loss(middles[0], rows[0].scene, batch)
        total = loss if args.refine else loss + (.2 if progress < .8 else .1) * (dense + 2 * inside)
        with torch.no_grad():
            kept = teacher.model.vision_tower(pixel_values=pixels).last_hidden_state
        drift = (features - kept).square().mean(-1) / kept.var()
        total = total + (torch.where(batch["cls"] > 0, *KEEP) * drift).mean()
        if exact:
            taught = teacher.model.multi_modal_projector(kept)
            total = total + TEACHER * forgotten(teacher, rows[1], taught, parts[1], weight[begin:])
        total.backward()
        progress = agreed([p for _, p in named], clock.progress(), workers)
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        for o in made:
            o.step()
            o.zero_grad(set_to_none=True)
        step += 1
        with torch.no_grad():
            right = (logits.argmax(-1) == target).float()
            shown.append((loss.item(), flips, *seen, drift[batch["cls"] == 0].mean().item(), right[code].mean().item(), right[~code].mean().item()))
        if step % 25 == 0 and worker == 0:
            mean = torch.tensor(shown).mean(0).tolist()
            print(f"C {step} {clock.done():.1f}min loss {mean[0]:.4f} flips right {mean[1]:.3f} inside {mean[2]:.3f} turns off {mean[3]:.3f} "
                  f"drift {mean[4]:.4f} codes right {mean[5]:.4f} others {mean[6]:.4f}", flush=True)
            shown = []
        if (step % 100 == 0 or progress >= 1) and worker == 0:
            saved = dict(net=net.state_dict(), heads=heads.state_dict(), optim=[o.state_dict() for o in made],
                         minutes=clock.done(), step=step)
            torch.save(saved, state.with_suffix(".new"))
            state.with_suffix(".new").replace(state)


if __name__ == "__main__":
    main()
