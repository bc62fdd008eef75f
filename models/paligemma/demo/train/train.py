"""Stage B: the whole model on prompts and answers, first packed, then exact.

    python train.py --out .train --minutes 60      (starts from stage A's tower)
Run again with the same arguments it resumes; with more minutes it trains on.
"""

import argparse
import pathlib
import random
import time

import torch
import torch.nn.functional as F

import data
import tokenizer
from model import Heads, build
from optim import Clock, optimizers
from rows import Rows, pack, single
from scenes import CHARS, CLASSES
from tasks import STEP


def logits_at(net, rows, features, middle=False):
    """Logits [answers, vocabulary] at the places whose next token belongs to an answer; with `middle` also what the images'
    tokens have become after half of the layers [rows, TOKENS, width]."""
    language = net.model.language_model
    text = language.embed_tokens(rows.ids)
    hidden = torch.cat([features[rows.scene].to(text.dtype), text], 1)
    if net.config.text_config.model_type == "gemma2":
        additive = lambda m: torch.zeros(m.shape).masked_fill(~m, -1e9)
        mask = {"full_attention": additive(rows.mask), "sliding_attention": additive(rows.window_mask)}
    else:
        mask = rows.mask
    out = language(inputs_embeds=hidden, attention_mask=mask, position_ids=rows.position, use_cache=False, output_hidden_states=middle)
    hidden = out.last_hidden_state
    logits = hidden.flatten(0, 1)[rows.where].float() @ language.embed_tokens.weight.float().T
    cap = getattr(net.config.text_config, "final_logit_softcapping", None)
    logits = cap * torch.tanh(logits / cap) if cap else logits
    return (logits, out.hidden_states[len(language.layers) // 2][:, :features.shape[1]]) if middle else logits


def token_losses(logits, target):
    """The cross entropy of every token; a location shares some of its mass with the neighbouring bins."""
    logp = F.log_softmax(logits, -1)
    first, last = tokenizer.LOC0, tokenizer.LOC0 + 1023
    location = (target >= first) & (target <= last)
    loss = 0
    for step, weight in ((0, .7), (-STEP, .12), (STEP, .12), (-2 * STEP, .03), (2 * STEP, .03)):
        near = torch.where(location, (target + step).clamp(first, last), target)
        loss = loss - weight * logp.gather(1, near[:, None])[:, 0]
    return loss


def answer_loss(logits, target):
    """The mean loss of an answer's tokens, and the share of them that is right."""
    return token_losses(logits, target).mean(), (logits.argmax(-1) == target).float().mean().item()


def start(out):
    """A fresh model with stage A's tower, and the dense heads."""
    net, heads = build("gemma"), Heads(len(CLASSES), len(CHARS))
    saved = torch.load(out / "tower.pt")
    net.load_state_dict(net.state_dict() | {k: v for k, v in saved["net"].items() if "vision_tower" in k})
    heads.load_state_dict(saved["heads"])
    return net, heads


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--out", default=".train")
    args.add_argument("--minutes", type=float, default=60)
    args.add_argument("--packed", type=float, default=.6, help="share of the time spent on packed rows")
    args.add_argument("--threads", type=int, default=2)
    args = args.parse_args()
    torch.set_num_threads(args.threads)
    out = pathlib.Path(args.out)
    net, heads = start(out)
    named = list(net.named_parameters()) + [("heads." + n, p) for n, p in heads.named_parameters()]
    made = optimizers(named, .015, 3e-3, lambda n: .5 if "vision" in n else 1.0)
    state, clock, step = out / "gemma.pt", Clock(args.minutes), 0
    if state.exists():
        saved = torch.load(state)
        net.load_state_dict(saved["net"]), heads.load_state_dict(saved["heads"])
        [o.load_state_dict(s) for o, s in zip(made, saved["optim"])]
        clock, step = Clock(args.minutes, saved["minutes"]), saved["step"]
    see = torch.compile(lambda x: net.model.vision_tower(pixel_values=x).last_hidden_state)
    rng, batches = random.Random(step), data.loader(500 + step, 16, text=True)
    last, shown, prompts = time.time(), [], 0
    while clock.progress() < 1:
        clock.set_rate(made)
        batch = next(batches)
        exact = clock.progress() > args.packed
        rows = Rows(single(batch["examples"], rng, 3) if exact else pack(batch["examples"]))
        with torch.autocast("cpu", torch.bfloat16):
            features = see(data.normalise(batch["pixels"]))
            logits = logits_at(net, rows, net.model.multi_modal_projector(features))
        loss, right = answer_loss(logits, rows.target)
        dense, _ = heads.loss(features.float(), batch)
        (loss + (.1 if clock.progress() < .8 else .03) * dense).backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        for o in made:
            o.step()
            o.zero_grad(set_to_none=True)
        step += 1
        shown.append((loss.item(), dense.item(), right))
        prompts += sum(len(r) for r in batch["examples"]) if not exact else len(rows.scene)
        if step % 50 == 0:
            mean = torch.tensor(shown).mean(0).tolist()
            print(f"B {step} {clock.done():.1f}min {prompts / (time.time() - last):.0f} prompts/s "
                  f"loss {mean[0]:.4f} dense {mean[1]:.3f} tokens right {mean[2]:.4f}", flush=True)
            last, shown, prompts = time.time(), [], 0
        if step % 400 == 0 or clock.progress() >= 1:
            torch.save(dict(net=net.state_dict(), heads=heads.state_dict(), optim=[o.state_dict() for o in made],
                            minutes=clock.done(), step=step), state)


if __name__ == "__main__":
    main()
