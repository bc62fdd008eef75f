"""The demo model: transformers' own PaliGemma at a size two CPU cores can train, and its exact forward for training."""

import math

import torch
import torch.nn.functional as F
from transformers import PaliGemmaConfig, PaliGemmaForConditionalGeneration

import tokenizer

SIDE, PATCH = 140, 14
GRID = SIDE // PATCH
TOKENS = GRID * GRID
WIDTH = 192


def config(kind):
    """The configuration of kind "gemma" (PaliGemma 1) or "gemma2" (PaliGemma 2)."""
    text = dict(model_type=kind, vocab_size=tokenizer.VOCAB, hidden_size=WIDTH, intermediate_size=512,
                num_hidden_layers=4, num_attention_heads=6, num_key_value_heads=1, head_dim=32,
                hidden_activation="gelu_pytorch_tanh", max_position_embeddings=512, pad_token_id=0, bos_token_id=2,
                eos_token_id=1, tie_word_embeddings=True)
    if kind == "gemma2":
        text |= dict(num_key_value_heads=2, sliding_window=64, attn_logit_softcapping=50.0,
                     final_logit_softcapping=30.0, query_pre_attn_scalar=32)
    vision = dict(model_type="siglip_vision_model", hidden_size=WIDTH, intermediate_size=512, num_hidden_layers=6,
                  num_attention_heads=6, image_size=SIDE, patch_size=PATCH, num_image_tokens=TOKENS,
                  projection_dim=WIDTH, vision_use_head=False)
    return PaliGemmaConfig(text_config=text, vision_config=vision, image_token_index=tokenizer.IMAGE,
                           projection_dim=WIDTH, hidden_size=WIDTH, pad_token_id=0, bos_token_id=2, eos_token_id=1)


def sincos(grid, width):
    """2-D sines and cosines [grid*grid, width], from which position embeddings start."""
    rate = 1 / 100 ** (torch.arange(width // 4) / (width // 4))
    at = torch.arange(grid).float()[:, None] * rate * math.pi / 4
    one = torch.cat([at.sin(), at.cos()], 1)
    return torch.cat([one[:, None].expand(grid, grid, -1), one[None].expand(grid, grid, -1)], -1).reshape(grid * grid, -1)


def smooth_locations(width):
    """Starting embeddings of <loc0000>…<loc1023> [1024, width]: neighbours are alike."""
    at = torch.arange(1024)[:, None] / 1024
    k = torch.arange(1, width // 2 + 1)[None] / 3
    return torch.cat([(math.pi * k * at).cos(), (math.pi * k * at).sin()], 1) * 0.02 * 0.7


def build(kind):
    """A fresh model with the starts that make it learn quickly."""
    torch.manual_seed(1)
    cfg = config(kind)
    cfg._attn_implementation = "eager" if kind == "gemma2" else "sdpa"
    net = PaliGemmaForConditionalGeneration(cfg).float()
    with torch.no_grad():
        vision = net.model.vision_tower
        vision = getattr(vision, "vision_model", vision)
        vision.embeddings.position_embedding.weight.copy_(sincos(GRID, WIDTH) * 0.3)
        table = net.model.language_model.embed_tokens.weight
        table[tokenizer.LOC0:tokenizer.LOC0 + 1024] = smooth_locations(WIDTH)
    return net


class Heads(torch.nn.Module):
    """Throw-away dense supervision of the vision tower, per patch (see data.dense for the targets)."""

    def __init__(self, classes, chars):
        super().__init__()
        self.sizes = [classes + 1, 4, 5, chars + 1, chars + 1, 9, 10]
        self.out = torch.nn.Linear(WIDTH, sum(self.sizes))

    def loss(self, features, target):
        """The summed losses and the accuracies of class and first character."""
        cls, box, rank, first, second, order, colour = self.out(features).split(self.sizes, -1)
        ce = lambda x, t, w=None: F.cross_entropy(x.flatten(0, 1), t.flatten(), weight=w)
        inside = (target["cls"] > 0).float()
        boxes = (F.smooth_l1_loss(box, target["box"], reduction="none", beta=.05).mean(-1) * inside).sum() / inside.sum().clamp(min=1)
        total = (ce(cls, target["cls"]) + 6 * boxes + .5 * ce(rank, target["rank"]) + 2.5 * ce(first, target["first"])
                 + .7 * ce(second, target["second"]) + .7 * ce(order, target["order"])
                 + .2 * F.cross_entropy(colour.mean(1), target["colour"]))
        hit = lambda x, t: ((x.argmax(-1) == t) & (t > 0)).sum() / (t > 0).sum().clamp(min=1)
        return total, {"cls": hit(cls, target["cls"]).item(), "char": hit(first, target["first"]).item(),
                       "box": boxes.item()}
