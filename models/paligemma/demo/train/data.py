"""Endless training data: worker processes make scenes and turn them into tensors."""

import random

import numpy as np
import torch
from PIL import Image
from tokenizers import Tokenizer

import tokenizer
import vae
from model import GRID, SIDE, TOKENS
from scenes import CHARS, CLASSES, COLOURS, TURN, make, shape, stamp
from tasks import examples, segment_examples

CODES = Tokenizer.from_str(tokenizer.build())


def pixels(image):
    """A PIL picture as uint8 [3, SIDE, SIDE] by Pillow's bicubic resize."""
    return np.asarray(image.convert("RGB").resize((SIDE, SIDE), Image.BICUBIC)).transpose(2, 0, 1).copy()


TURNS = 5  # the turns that answers tell apart: a picture of SIDE pixels hardly shows finer ones


def turns():
    """The middles of TURNS turns, in degrees."""
    return [TURN * (2 * t / (TURNS - 1) - 1) for t in range(TURNS)]


def coded(table, scene):
    """The codes of a scene's items by a table [classes, 2, TURNS, 16] (train_vae.py)."""
    return [table[pose(i)].tolist() for i in scene.items]


def pose(item):
    """(class, flip, the nearest of TURNS turns) of an item."""
    return item.cls, int(item.flip), round((item.angle / TURN + 1) / 2 * (TURNS - 1))


def dense(scene):
    """Per-patch targets: class, pose and box of the object at the patch's centre, its rank from the left among its class,
    the one or two characters whose centres lie in the patch, and the place of the first one in the string."""
    out = {k: np.zeros(TOKENS, np.int64) for k in ("cls", "pose", "rank", "first", "second", "order")}
    out["box"] = np.zeros((TOKENS, 4), np.float32)
    out["turned"] = np.zeros((TOKENS, 2), np.float32)  # flipped or not, and the turn in -1…1
    out["colour"] = np.int64(list(COLOURS).index(scene.colour))
    for item in scene.items:  # later ones lie on top
        x0, y0, x1, y1 = item.box
        rank = sum(o.cls == item.cls and o.box[0] + o.box[2] < x0 + x1 for o in scene.items)
        for p in range(TOKENS):
            cx, cy = (p % GRID + .5) / GRID, (p // GRID + .5) / GRID
            if x0 - .01 <= cx <= x1 + .01 and y0 - .01 <= cy <= y1 + .01:
                out["cls"][p], out["rank"][p] = item.cls + 1, rank + 1
                out["box"][p] = (x0 - cx, y0 - cy, x1 - cx, y1 - cy)
                out["turned"][p] = (item.flip, item.angle / TURN)
                cls, flip, turn = pose(item)
                out["pose"][p] = (cls * 2 + flip) * TURNS + turn
    for i, (c, x, y) in enumerate(scene.chars):
        p = min(GRID - 1, int(y * GRID)) * GRID + min(GRID - 1, int(x * GRID))
        slot = "second" if out["first"][p] else "first"
        out[slot][p] = CHARS.index(c) + 1 if c in CHARS else 0
        if slot == "first":
            out["order"][p] = min(i, 7) + 1
    return out


def encode(prompt, answer):
    """(prefix ids, suffix ids) of an example: <bos> prompt \\n | answer <eos>."""
    ids = lambda text: CODES.encode(text, add_special_tokens=False).ids if text else []
    return [tokenizer.BOS] + ids(prompt + "\n"), ids(answer) + [tokenizer.EOS]


class Scenes(torch.utils.data.IterableDataset):
    """Batches of `batch` scenes; with `text` also their encoded examples, with `table` (see coded) also the codes of
    masks and, apart from the examples, prompts to segment. `easy` is the share that is kept of scenes with at most two
    pictograms and no random string."""

    def __init__(self, seed, batch, text, table=None, easy=1):
        self.seed, self.batch, self.text, self.table, self.easy = seed, batch, text, table, easy

    def __iter__(self):
        worker = torch.utils.data.get_worker_info()
        rng = random.Random(self.seed * 1000 + (worker.id if worker else 0))
        while True:
            scenes = []
            while len(scenes) < self.batch:
                scene = make(rng.randrange(1_000_000_000))
                hard = len(scene.items) > 2 or scene.text and not scene.listed
                if scene.items and (hard or self.easy == 1 or rng.random() < self.easy):
                    scenes.append(scene)
            targets = [dense(s) for s in scenes]
            out = {k: torch.from_numpy(np.stack([t[k] for t in targets])) for k in targets[0]}
            out["pixels"] = torch.from_numpy(np.stack([pixels(s.image) for s in scenes]))
            if self.text:
                # Text answers are few tokens and the hardest: they count twice.
                out["examples"] = [[encode(p, a) for kind, p, a in examples(s, rng)
                                    for _ in range(2 if kind.startswith("ocr") else 1)] for s in scenes]
            if self.table is not None:
                out["segment"] = [[encode(p, a) for _, p, a in segment_examples(s, rng, c)] for s, c in
                                  ((s, coded(self.table, s)) for s in scenes)]
            yield out


def loader(seed, batch, text, workers=1, table=None, easy=1):
    return iter(torch.utils.data.DataLoader(Scenes(seed, batch, text, table, easy), batch_size=None, num_workers=workers,
                                            prefetch_factor=6))


def normalise(pixels_u8):
    """uint8 pixels to the model's range, x/127.5 - 1."""
    return pixels_u8.float() / 127.5 - 1
