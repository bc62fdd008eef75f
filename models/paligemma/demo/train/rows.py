"""Rows of training: an image block and one or more prompts behind it, with the mask and positions PaliGemma gives them.

Packed rows hold all prompts of a scene: each prompt sees the image and itself, but the image does not see the prompts.
Exact rows hold one prompt, and the whole prefix is bidirectional, as in PaliGemmaForConditionalGeneration.
"""

import torch

from model import TOKENS


class Rows:
    """Tensors of a batch: ids, positions [B, L], mask and window mask [B, 1, L, L] (True = visible), and the places and
    ids of the answers' tokens."""

    def __init__(self, rows, window=10**6):
        """rows: a list of (scene index, [(prefix ids, suffix ids)…], exact); window: that of layers which have one."""
        longest = max(sum(len(p) + len(s) for p, s in segments) for _, segments, _ in rows)
        n, size = len(rows), TOKENS + longest
        self.scene = torch.tensor([r[0] for r in rows])
        self.ids = torch.zeros(n, longest, dtype=torch.long)
        self.position = torch.arange(1, size + 1).repeat(n, 1)
        segment = torch.full((n, size), -1)
        prefix = torch.zeros(n, size, dtype=torch.bool)
        segment[:, :TOKENS], prefix[:, :TOKENS] = 0, True
        where, target = [], []
        for b, (_, segments, _) in enumerate(rows):
            at = TOKENS
            for k, (head, tail) in enumerate(segments):
                end = at + len(head) + len(tail)
                self.ids[b, at - TOKENS:end - TOKENS] = torch.tensor(head + tail)
                self.position[b, at:end] = torch.arange(TOKENS + 1, TOKENS + 1 + end - at)
                segment[b, at:end], prefix[b, at:at + len(head)] = k + 1, True
                where += [b * size + i for i in range(at + len(head) - 1, end - 1)]
                target += tail
                at = end
        exact = torch.tensor([r[2] for r in rows])[:, None, None]
        same = segment[:, :, None] == segment[:, None, :]
        image_key, image_query = (segment == 0)[:, None, :], (segment == 0)[:, :, None]
        related = (same | image_key | (image_query & exact & prefix[:, None, :])) & (segment >= 0)[:, None, :]
        order = torch.arange(size)
        causal = (order[None, :] <= order[:, None])[None]
        both = prefix[:, :, None] & prefix[:, None, :]
        near = self.position[:, None, :] > self.position[:, :, None] - window
        self_key = torch.eye(size, dtype=torch.bool)[None]  # padding sees itself, so that no row is empty
        self.mask = (related & (causal | both) | self_key)[:, None]
        self.window_mask = (related & ((causal & near) | both) | self_key)[:, None]
        self.where, self.target = torch.tensor(where), torch.tensor(target)


def pack(examples):
    return [(i, segments, False) for i, segments in enumerate(examples)]


def single(examples, rng, per_scene):
    return [(i, [one], True) for i, segments in enumerate(examples)
            for one in rng.sample(segments, min(per_scene, len(segments)))]
