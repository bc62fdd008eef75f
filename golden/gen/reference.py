"""Writes reference activations of any PaliGemma checkpoint, for `pgc check --reference FILE`.

    python reference.py CHECKPOINT OUT.safetensors --image A.png [--image B.png] --prompt "caption en" [--suffix "a cat"]

transformers in float32, eager attention, dynamic cache, token_type_ids passed: the only combination that computes
PaliGemma exactly. Pictures are resized with Pillow's two-pass bicubic and fed as pixel_values. Tensors:

    input_ids, token_type_ids [tokens]   pixel_values [images,3,H,W]   image_hidden_states [images,N,H]
    vision.embeddings, vision.layers.{i}, vision.post_layernorm [images,N,width]
    inputs_embeds, layers.{i}, norm [tokens,H]   logits [tokens,vocabulary]
    with a suffix: labels [tokens], loss [1], token_logprobs [suffix tokens with <eos>]
    generated [n], generated_margin [n]: greedy continuation of the prompt without suffix, ids that are no words
    suppressed, and at each step the distance of the best allowed logit from the second best
"""

import argparse
import json

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from tokenizers import Tokenizer
from transformers import AutoConfig, PaliGemmaForConditionalGeneration


def load(path):
    """The checkpoint in float32 with eager attention, its tokenizer, and its configuration."""
    cfg = AutoConfig.from_pretrained(path)
    net = PaliGemmaForConditionalGeneration.from_pretrained(path, dtype=torch.float32, attn_implementation="eager").eval()
    return net, Tokenizer.from_file(f"{path}/tokenizer.json"), cfg


def pixels(path, side):
    """pixel_values [3, side, side] of a picture; transparency is composited on white."""
    image = Image.open(path)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image)
    image = image.convert("RGB").resize((side, side), Image.BICUBIC)
    scaled = (np.asarray(image).astype(np.float64) * (1 / 255)).astype(np.float32)
    return torch.from_numpy(((scaled - np.float32(.5)) / np.float32(.5)).transpose(2, 0, 1).copy())


def suppressed(net, codes, cfg):
    """Ids that are no words: <image>, <pad>, <bos> and rows beyond the tokenizer."""
    vocab = net.config.text_config.vocab_size
    ids = {cfg.image_token_index, 0, 2} | set(range(codes.get_vocab_size(), vocab))
    return sorted(i for i in ids if i < vocab)


@torch.no_grad()
def run(net, codes, cfg, values, prompt, suffix=None, new_tokens=16):
    """All reference tensors of one case. values: pixel_values [images, 3, side, side]."""
    vision = cfg.vision_config
    patches = (vision.image_size // vision.patch_size) ** 2
    encode = lambda text: codes.encode(text, add_special_tokens=False).ids
    prefix = [cfg.image_token_index] * (patches * len(values)) + [2] + encode(prompt + "\n")
    tail = encode(suffix) + [1] if suffix is not None else []
    ids = torch.tensor([prefix + tail])
    kinds = torch.tensor([[0] * len(prefix) + [1] * len(tail)])
    labels = torch.tensor([[-100] * len(prefix) + tail]) if tail else None
    kept = {}

    def keep(name, many=False):
        def hook(_, __, out):
            value = out[0] if isinstance(out, tuple) else getattr(out, "last_hidden_state", out)
            kept[name] = value if many else value[0]
        return hook

    tower = net.model.vision_tower
    tower = getattr(tower, "vision_model", tower)
    hooks = [tower.embeddings.register_forward_hook(keep("vision.embeddings", True)),
             tower.post_layernorm.register_forward_hook(keep("vision.post_layernorm", True)),
             net.model.multi_modal_projector.register_forward_hook(keep("image_hidden_states", True)),
             net.model.language_model.norm.register_forward_hook(keep("norm"))]
    hooks += [m.register_forward_hook(keep(f"vision.layers.{i}", True)) for i, m in enumerate(tower.encoder.layers)]
    hooks += [m.register_forward_hook(keep(f"layers.{i}")) for i, m in enumerate(net.model.language_model.layers)]
    hooks.append(net.model.language_model.layers[0].register_forward_pre_hook(
        lambda _, args, kw: kept.__setitem__("inputs_embeds", (args[0] if args else kw["hidden_states"])[0]), with_kwargs=True))
    extra = {} if labels is None else {"labels": labels}
    out = net(input_ids=ids, pixel_values=values, token_type_ids=kinds, attention_mask=torch.ones_like(ids), **extra)
    for h in hooks:
        h.remove()
    tensors = {k: v.float().contiguous().clone() for k, v in kept.items()}
    tensors |= {"input_ids": ids[0].int(), "token_type_ids": kinds[0].int(), "pixel_values": values.contiguous(),
                "logits": out.logits[0].float().contiguous()}
    if labels is not None:
        logp = torch.log_softmax(out.logits[0].double(), -1)
        tensors |= {"labels": labels[0].int(), "loss": out.loss.reshape(1).float(),
                    "token_logprobs": torch.stack([logp[len(prefix) - 1 + i, t] for i, t in enumerate(tail)]).float()}
    banned = suppressed(net, codes, cfg)
    step = net(input_ids=ids[:, :len(prefix)], pixel_values=values, token_type_ids=kinds[:, :len(prefix)],
               attention_mask=torch.ones_like(ids[:, :len(prefix)]), use_cache=True)
    tokens, margins = [], []
    for i in range(new_tokens):
        row = step.logits[0, -1].clone()
        row[banned] = -float("inf")
        top = row.topk(2)
        tokens.append(int(top.indices[0]))
        margins.append(float(top.values[0] - top.values[1]))
        if tokens[-1] == 1:
            break
        total = len(prefix) + i + 1
        step = net(input_ids=torch.tensor([[tokens[-1]]]), attention_mask=torch.ones(1, total, dtype=torch.long),
                   token_type_ids=torch.tensor([[1]]), past_key_values=step.past_key_values, use_cache=True,
                   cache_position=torch.tensor([total - 1]))
    return tensors | {"generated": torch.tensor(tokens).int(), "generated_margin": torch.tensor(margins)}


def write(path, tensors, **metadata):
    import transformers
    save_file(tensors, path, {k: v if isinstance(v, str) else json.dumps(v) for k, v in metadata.items()}
              | {"transformers": transformers.__version__})


def main():
    args = argparse.ArgumentParser()
    args.add_argument("checkpoint")
    args.add_argument("out")
    args.add_argument("--image", action="append", required=True)
    args.add_argument("--prompt", required=True)
    args.add_argument("--suffix")
    args = args.parse_args()
    net, codes, cfg = load(args.checkpoint)
    values = torch.stack([pixels(p, cfg.vision_config.image_size) for p in args.image])
    tensors = run(net, codes, cfg, values, args.prompt, args.suffix)
    meta = dict(prompt=args.prompt, images=args.image)
    if args.suffix is not None:
        meta["suffix"] = args.suffix
    write(args.out, tensors, **meta)


if __name__ == "__main__":
    main()
