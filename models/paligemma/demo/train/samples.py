"""Draws the sample pictures and writes their reference answers beside them.

    python samples.py pictures ../pictures                               draws the pictures (once)
    python samples.py answers ../pictures ../paligemma-demo ../paligemma2-demo   writes reference.json by transformers
"""

import dataclasses
import json
import pathlib
import random
import sys

import torch

import heldout
from scenes import make
from tasks import examples

STYLE = dataclasses.replace(heldout.HELDOUT, sides=(300, 480))
SEEDS = [2_000_000_003 + i for i in range(40)]


def chosen():
    """A dozen scenes of different make-up: (name, scene, examples)."""
    out, seen = [], set()
    for seed in SEEDS:
        scene = make(seed, STYLE)
        kind = (len(scene.items), bool(scene.text), scene.colour)
        if kind in seen or len(out) == 12:
            continue
        seen.add(kind)
        out.append((f"{len(out):02d}-{scene.colour}", scene, examples(scene, random.Random(seed))))
    return out


def pictures(folder):
    folder.mkdir(exist_ok=True, parents=True)
    for name, scene, _ in chosen():
        scene.image.save(folder / f"{name}.png", optimize=True)


def answers(folder, checkpoints):
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[4] / "golden" / "gen"))
    import reference
    rows = []
    for path in checkpoints:
        net, codes, cfg = reference.load(path)
        for name, _, asked in chosen():
            values = reference.pixels(folder / f"{name}.png", cfg.vision_config.image_size)[None]
            for kind, prompt, answer in asked:
                got = reference.run(net, codes, cfg, values, prompt, new_tokens=64)
                tokens = got["generated"].tolist()
                text = codes.decode([t for t in tokens if t != 1], skip_special_tokens=True)
                rows.append(dict(checkpoint=pathlib.Path(path).name, image=f"{name}.png", kind=kind, prompt=prompt, text=text,
                                 tokens=tokens, margin=round(float(got["generated_margin"].min()), 5), true_answer=answer))
    (folder / "reference.json").write_text("[\n" + ",\n".join(json.dumps(r) for r in rows) + "\n]\n")


if __name__ == "__main__":
    torch.set_num_threads(2)
    if sys.argv[1] == "pictures":
        pictures(pathlib.Path(sys.argv[2]))
    else:
        answers(pathlib.Path(sys.argv[2]), sys.argv[3:])
