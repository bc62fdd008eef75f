"""Draws the sample pictures and writes their reference answers beside them.

    python samples.py pictures ../pictures                               draws the pictures (once)
    python samples.py answers ../pictures ../paligemma-demo ../paligemma2-demo   writes reference.json by transformers

Areas of masks are torch's, in float64.
"""

import dataclasses
import json
import pathlib
import random
import sys

import torch

import heldout
import vae
from export import MAX_NEW_TOKENS
from masks import objects, paste
from scenes import make
from tasks import examples, segment_examples

STYLE = dataclasses.replace(heldout.HELDOUT, sides=(300, 480))
CODEC = pathlib.Path(__file__).resolve().parent / "../paligemma-demo/vae-oid.npz"
SEEDS = [2_000_000_003 + i for i in range(40)]


def chosen():
    """A dozen scenes of different make-up: (name, scene, examples, where there is a codec with those to segment)."""
    out, seen, codec = [], set(), CODEC.exists() and vae.load(CODEC)
    for seed in SEEDS:
        scene = make(seed, STYLE)
        kind = (len(scene.items), bool(scene.text), scene.colour)
        if kind in seen or len(out) == 12:
            continue
        seen.add(kind)
        asked = examples(scene, random.Random(seed))
        if codec:
            asked += segment_examples(scene, random.Random(seed * 5), codec.encode([i.mask for i in scene.items]).tolist())
        out.append((f"{len(out):02d}-{scene.colour}", scene, asked))
    return out


def pictures(folder):
    folder.mkdir(exist_ok=True, parents=True)
    for name, scene, _ in chosen():
        scene.image.save(folder / f"{name}.png", optimize=True)


def areas(text, size):
    """The areas in pixels of the masks of an answer's objects, in a picture of a size (width, height)."""
    codec = vae.load(CODEC, torch.float64)
    return [int(paste(codec.decode(torch.tensor([codes]))[0].float().numpy(), box, *size).sum()) for _, box, codes in objects(text) if codes]


def answers(folder, checkpoints):
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[4] / "golden" / "gen"))
    import reference
    rows = []
    for path in checkpoints:
        net, codes, cfg = reference.load(path)
        for name, scene, asked in chosen():
            values = reference.pixels(folder / f"{name}.png", cfg.vision_config.image_size)[None]
            for kind, prompt, answer in asked:
                if kind == "segment" and not (pathlib.Path(path) / CODEC.name).exists():
                    continue  # a checkpoint that does not speak it
                got = reference.run(net, codes, cfg, values, prompt, new_tokens=MAX_NEW_TOKENS)
                tokens = got["generated"].tolist()
                text = codes.decode([t for t in tokens if t != 1], skip_special_tokens=True)
                row = dict(checkpoint=pathlib.Path(path).name, image=f"{name}.png", kind=kind, prompt=prompt, text=text,
                           tokens=tokens, margin=round(float(got["generated_margin"].min()), 5), true_answer=answer)
                rows.append(row | (dict(areas=areas(text, scene.image.size)) if kind == "segment" else {}))
    (folder / "reference.json").write_text("[\n" + ",\n".join(json.dumps(r) for r in rows) + "\n]\n")


if __name__ == "__main__":
    torch.set_num_threads(2)
    if sys.argv[1] == "pictures":
        pictures(pathlib.Path(sys.argv[2]))
    else:
        answers(pathlib.Path(sys.argv[2]), sys.argv[3:])
