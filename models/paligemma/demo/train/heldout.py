"""The held-out scenes: frozen before training began, with seeds, fonts and backgrounds that training never uses.

    python heldout.py OUT     writes the 500 pictures and OUT/questions.jsonl ({id, image, prompt, answer, kind})
"""

import json
import pathlib
import random
import sys

from scenes import Style, make
from tasks import examples

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


def write(out):
    out = pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    with open(out / "questions.jsonl", "w") as file:
        for i, (scene, asked) in enumerate(scenes()):
            scene.image.save(out / f"{i:03d}.png")
            for j, (kind, prompt, answer) in enumerate(asked):
                row = {"id": f"{i:03d}-{j}", "image": f"{i:03d}.png", "prompt": prompt, "answer": answer, "kind": kind}
                file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    write(sys.argv[1])
