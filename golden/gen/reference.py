"""Writes reference activations of any PaliGemma or ColPali checkpoint, for `pgc check --reference FILE`.

    python reference.py CHECKPOINT OUT.safetensors --image A.png [--image B.png] --prompt "caption en" [--suffix "a cat"]
    python reference.py CHECKPOINT OUT.safetensors --image A.png        a page, of a ColPali checkpoint

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
import contextlib
import json

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from tokenizers import Tokenizer
from transformers import AutoConfig, ColPaliForRetrieval, PaliGemmaForConditionalGeneration


def load(path):
    """The checkpoint in float32 with eager attention, its tokenizer, and its configuration."""
    cfg = AutoConfig.from_pretrained(path)
    kind = ColPaliForRetrieval if cfg.model_type == "colpali" else PaliGemmaForConditionalGeneration
    net = kind.from_pretrained(path, dtype=torch.float32, attn_implementation="eager").eval()
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


@contextlib.contextmanager
def activations(model):
    """Collects every layer's result of the runs inside; model is a PaliGemmaModel."""
    kept = {}

    def keep(name, many=False):
        def hook(_, __, out):
            value = out[0] if isinstance(out, tuple) else getattr(out, "last_hidden_state", out)
            kept[name] = (value if many else value[0]).float().contiguous().clone()
        return hook

    tower = getattr(model.vision_tower, "vision_model", model.vision_tower)
    hooks = [tower.embeddings.register_forward_hook(keep("vision.embeddings", True)),
             tower.post_layernorm.register_forward_hook(keep("vision.post_layernorm", True)),
             model.multi_modal_projector.register_forward_hook(keep("image_hidden_states", True)),
             model.language_model.norm.register_forward_hook(keep("norm"))]
    hooks += [m.register_forward_hook(keep(f"vision.layers.{i}", True)) for i, m in enumerate(tower.encoder.layers)]
    hooks += [m.register_forward_hook(keep(f"layers.{i}")) for i, m in enumerate(model.language_model.layers)]
    first = keep("inputs_embeds")
    hooks.append(model.language_model.layers[0].register_forward_pre_hook(
        lambda _, args, kw: first(None, None, args if args else (kw["hidden_states"],)), with_kwargs=True))
    yield kept
    for h in hooks:
        h.remove()


@torch.no_grad()
def page(net, codes, cfg, values):
    """All reference tensors of a page, as ColPaliProcessor lays it out. values: pixel_values [1, 3, side, side]."""
    vision = cfg.vlm_config.vision_config
    patches = (vision.image_size // vision.patch_size) ** 2
    text = codes.encode("Describe the image.\n", add_special_tokens=False).ids
    ids = torch.tensor([[cfg.vlm_config.image_token_index] * patches + [2] + text])
    kinds = torch.zeros_like(ids)
    with activations(net.vlm) as tensors:
        out = net(input_ids=ids, pixel_values=values, token_type_ids=kinds, attention_mask=torch.ones_like(ids))
    return tensors | {"input_ids": ids[0].int(), "token_type_ids": kinds[0].int(), "pixel_values": values.contiguous(),
                      "embeddings": out.embeddings[0].contiguous()}


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
    extra = {} if labels is None else {"labels": labels}
    with activations(net.model) as tensors:
        out = net(input_ids=ids, pixel_values=values, token_type_ids=kinds, attention_mask=torch.ones_like(ids), **extra)
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
    args.add_argument("--prompt")
    args.add_argument("--suffix")
    args = args.parse_args()
    net, codes, cfg = load(args.checkpoint)
    if cfg.model_type == "colpali":
        write(args.out, page(net, codes, cfg, pixels(args.image[0], cfg.vlm_config.vision_config.image_size)[None]), images=args.image)
        return
    values = torch.stack([pixels(p, cfg.vision_config.image_size) for p in args.image])
    tensors = run(net, codes, cfg, values, args.prompt, args.suffix)
    meta = dict(prompt=args.prompt, images=args.image)
    if args.suffix is not None:
        meta["suffix"] = args.suffix
    write(args.out, tensors, **meta)


if __name__ == "__main__":
    main()
