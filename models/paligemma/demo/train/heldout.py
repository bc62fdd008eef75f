"""The held-out scenes: frozen before training began, with seeds, fonts and backgrounds that training never uses.

    python heldout.py OUT [CODEC]   writes the 500 pictures and OUT/questions.jsonl ({id, image, prompt, answer, kind})

With CODEC (a vae-oid.npz) prompts to segment stand at the end; the codes of their answers are the codec's.
"""

import json
import pathlib
import random
import sys

import torch

import vae
from scenes import Style, make
from tasks import examples, segment_examples

HELDOUT = Style(
    fonts=("dejavu/DejaVuSansCondensed-Bold.ttf", "roboto/unhinted/RobotoTTF/Roboto-Black.ttf",
           "roboto/unhinted/RobotoCondensed-Medium.ttf", "noto/NotoSansDisplay-Bold.ttf"),
    textures=("diagonal", "stripes", "radial"),
    sides=(160, 320),
)
FIRST_SEED = 1_000_000_007  # training draws its seeds below 1_000_000_000
COUNT = 500


def scenes(count=COUNT):
    """(scene, examples) of the held-out set."""
    for i in range(count):
        scene = make(FIRST_SEED + i, HELDOUT)
        yield scene, examples(scene, random.Random(FIRST_SEED * 3 + i))


def write(out, codec=None):
    out, codec = pathlib.Path(out), codec and vae.load(codec)
    out.mkdir(parents=True, exist_ok=True)
    rows, last = [], []
    for i, (scene, asked) in enumerate(scenes()):
        scene.image.save(out / f"{i:03d}.png")
        segment = []
        if codec:
            codes = codec.encode([o.mask for o in scene.items]).tolist()
            segment = segment_examples(scene, random.Random(FIRST_SEED * 5 + i), codes)
        for to, name, some in ((rows, "", asked), (last, "s", segment)):
            to += [{"id": f"{i:03d}-{name}{j}", "image": f"{i:03d}.png", "prompt": prompt, "answer": answer, "kind": kind}
                   for j, (kind, prompt, answer) in enumerate(some)]
    (out / "questions.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows + last))


if __name__ == "__main__":
    torch.set_num_threads(1)
    write(*sys.argv[1:])
