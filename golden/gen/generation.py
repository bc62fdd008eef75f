"""Writes golden/generation.json: answers of transformers' own generate() on the golden checkpoints.

    python golden/gen/generation.py

float32, eager attention, dynamic cache, token_type_ids passed. Ids that are no words are suppressed by generate's
suppress_tokens, except in the cases "free", which show that the reference would emit one. Log-probabilities are those of
the logits before penalties with the suppressed ids at -inf; a margin is the distance of the best score from the second
best after all processors.
"""

import json

import torch

import generate
import reference

PROMPTS = ["caption en", "detect cat", "answer en what is this?", "", "the lazy dog ;", "segment fox", "how many?", "quick brown"]


@torch.no_grad()
def answer(net, codes, cfg, files, prompt, suppress=True, **options):
    values = torch.stack([reference.pixels(generate.HERE / "pictures" / f, cfg.vision_config.image_size) for f in files])
    vision = cfg.vision_config
    patches = (vision.image_size // vision.patch_size) ** 2
    ids = [cfg.image_token_index] * (patches * len(files)) + [2] + codes.encode(prompt + "\n", add_special_tokens=False).ids
    ids = torch.tensor([ids])
    banned = reference.suppressed(net, codes, cfg)
    if suppress:
        options["suppress_tokens"] = banned
    out = net.generate(input_ids=ids, pixel_values=values, token_type_ids=torch.zeros_like(ids), attention_mask=torch.ones_like(ids),
                       do_sample=False, output_logits=True, output_scores=True, return_dict_in_generate=True, **options)
    tokens = out.sequences[0, ids.shape[1]:].tolist()
    logprobs, margins = [], []
    for token, logits, scores in zip(tokens, out.logits, out.scores):
        logits = logits[0].double().clone()
        logits[banned] = -float("inf")
        logprobs.append(round(float(torch.log_softmax(logits, -1)[token]), 7) if suppress else 0)
        top = scores[0].topk(2).values
        margins.append(round(float(top[0] - top[1]), 6))
    return dict(tokens=tokens, logprobs=logprobs, margins=margins, text=codes.decode(tokens, skip_special_tokens=True))


def main():
    rows = []
    for name in generate.CHECKPOINTS:
        net, codes, cfg = reference.load(str(generate.HERE / name))
        banned = reference.suppressed(net, codes, cfg)

        def add(kind, files, prompt, **options):
            got = answer(net, codes, cfg, files, prompt, suppress=kind != "free", **options)
            rows.append(dict(checkpoint=name, kind=kind, images=files, prompt=prompt, options=options) | got)
            return got
        plain = add("greedy", ["noise.png"], "caption en")  # no limit given: transformers generates 20 tokens
        add("penalty", ["shapes.png"], "answer en what is this?", repetition_penalty=1.3, max_new_tokens=18)
        add("bonus", ["shapes.png", "wide.png"], "the lazy dog", repetition_penalty=0.7, max_new_tokens=9)
        if name in ("pg2-odd", "pg1-bf16"):
            add("eos", ["noise.png"], "caption en", eos_token_id=[1, plain["tokens"][4]], max_new_tokens=11)
        for prompt in PROMPTS:  # a prompt to which the reference would answer with an id that is no word
            free = answer(net, codes, cfg, ["grey.png"], prompt, suppress=False, max_new_tokens=12)
            if set(free["tokens"]) & set(banned):
                rows.append(dict(checkpoint=name, kind="free", images=["grey.png"], prompt=prompt, options=dict(max_new_tokens=12)) | free)
                add("suppressed", ["grey.png"], prompt, max_new_tokens=12)
                break
    for r in rows:
        print(r["checkpoint"], r["kind"], r["tokens"], min(r["margins"]))
    (generate.HERE / "generation.json").write_text("[\n" + ",\n".join(json.dumps(r) for r in rows) + "\n]\n")


if __name__ == "__main__":
    main()
