"""Writes golden/*/attention.safetensors: the masks of transformers' own forward pass, and the attention of steps of a greedy answer.

    python golden/gen/attention.py                                                      those of golden/
    python golden/gen/attention.py CHECKPOINT OUT.safetensors --image A.png … --prompt P [--suffix S]

Tensors: full_attention, sliding_attention uint8 [tokens, tokens], 1 where a query (row) attends to a key; a model whose layers are all of
one kind has that one. attentions.N float32 [layers, heads, image tokens]: of the step that chose token N of the answer to the prompt
alone. generated: the ids of the answer.
"""
import argparse
import pathlib

import torch
from transformers.models.paligemma import modeling_paligemma as modeling

import reference

HERE = pathlib.Path(__file__).resolve().parent.parent
STEPS = (0, 1, 5)


@torch.no_grad()
def look(net, codes, cfg, values, prompt, suffix):
    patches = (cfg.vision_config.image_size // cfg.vision_config.patch_size) ** 2 * len(values)
    encode = lambda text: codes.encode(text, add_special_tokens=False).ids
    prefix = [cfg.image_token_index] * patches + [2] + encode(prompt + "\n")
    tail = encode(suffix) + [1] if suffix is not None else []
    masks = {}

    def keeping(name, make):
        def kept(*args, **kw):
            out = make(*args, **kw)
            masks[name] = (out[0, 0] == 0).to(torch.uint8).contiguous()
            return out
        return kept
    makers = {"full_attention": "create_causal_mask", "sliding_attention": "create_sliding_window_causal_mask"}
    own = {name: getattr(modeling, f) for name, f in makers.items()}
    for name, f in makers.items():
        setattr(modeling, f, keeping(name, own[name]))
    ids, kinds = torch.tensor([prefix + tail]), torch.tensor([[0] * len(prefix) + [1] * len(tail)])
    net(input_ids=ids, pixel_values=values, token_type_ids=kinds, attention_mask=torch.ones_like(ids))
    for name, f in makers.items():
        setattr(modeling, f, own[name])
    layers = getattr(cfg.text_config, "layer_types", None) or ["full_attention"]
    tensors = {name: m for name, m in masks.items() if name in layers}

    banned = reference.suppressed(net, codes, cfg)
    n, tokens = len(prefix), []
    step = net(input_ids=ids[:, :n], pixel_values=values, token_type_ids=kinds[:, :n], attention_mask=torch.ones(1, n, dtype=torch.long),
               use_cache=True, output_attentions=True)
    for i in range(max(STEPS) + 1):
        row = step.logits[0, -1].clone()
        row[banned] = -float("inf")
        tokens.append(int(row.argmax()))
        if i in STEPS:
            # The cache of a sliding layer has the last keys only: those before them have no weight.
            rows = [torch.nn.functional.pad(a[0, :, -1], (n + i - a.shape[-1], 0)) for a in step.attentions]
            tensors[f"attentions.{i}"] = torch.stack(rows)[..., :patches].float().contiguous()
        if tokens[-1] == 1:
            break
        step = net(input_ids=torch.tensor([[tokens[-1]]]), attention_mask=torch.ones(1, n + i + 1, dtype=torch.long), token_type_ids=torch.tensor([[1]]),
                   past_key_values=step.past_key_values, use_cache=True, cache_position=torch.tensor([n + i]), output_attentions=True)
    return tensors | {"generated": torch.tensor(tokens).int()}


def write(checkpoint, out, images, prompt, suffix):
    net, codes, cfg = reference.load(checkpoint)
    values = torch.stack([reference.pixels(p, cfg.vision_config.image_size) for p in images])
    meta = dict(prompt=prompt, images=[pathlib.Path(p).name for p in images]) | ({"suffix": suffix} if suffix is not None else {})
    reference.write(out, look(net, codes, cfg, values, prompt, suffix), **meta)


if __name__ == "__main__":
    args = argparse.ArgumentParser()
    args.add_argument("checkpoint", nargs="?")
    args.add_argument("out", nargs="?")
    args.add_argument("--image", action="append")
    args.add_argument("--prompt")
    args.add_argument("--suffix")
    args = args.parse_args()
    if args.checkpoint:
        write(args.checkpoint, args.out, args.image, args.prompt, args.suffix)
    else:
        for name, suffix in (("pg1-odd", "a large cat"), ("pg2-odd", "a large cat ; two dogs"), ("pg2-mha", None)):
            pictures = [HERE / "pictures" / p for p in ("noise.png", "wide.png")][:1 if suffix is None else 2]
            write(str(HERE / name), HERE / name / "attention.safetensors", pictures, "answer en which is larger?", suffix)
