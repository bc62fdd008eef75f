"""Scores the masks of answers on the held-out scenes.

    python score_masks.py QUESTIONS.jsonl ANSWERS.jsonl CODEC      (answers: {"id", "text"} a line; CODEC: a vae-oid.npz)

Mean IoU of the masks of objects whose box matches at IoU 0.5, and of what the codec makes of the true masks in the true
boxes of all objects asked for.
"""

import json
import sys

import torch

import heldout
import vae
from masks import iou, objects, paste, whole
from scenes import CLASSES
from score import matches
from tasks import bins, instances

NAMES = [c[0] for c in CLASSES]


def main():
    questions = [q for q in map(json.loads, open(sys.argv[1])) if q["kind"] == "segment"]
    answers = {a["id"]: a["text"] for a in map(json.loads, open(sys.argv[2]))}
    codec, scenes = vae.load(sys.argv[3], torch.float64), [scene for scene, _ in heldout.scenes()]
    got, own, missing = [], [], 0
    for q in questions:
        scene = scenes[int(q["id"].split("-")[0])]
        size = scene.image.size
        true = [i for c in q["prompt"].removeprefix("segment ").split(" ; ") for i in instances(scene, NAMES.index(c))]
        found = objects(answers.get(q["id"], ""))
        missing += sum(codes is None for _, _, codes in found)
        pairs = matches([(label, box) for label, box, _ in found], [(NAMES[i.cls], bins(i.box)) for i in true])
        for f, t in pairs:
            box, codes = found[f][1:]
            got.append(iou(paste(picture(codec, codes), box, *size), whole(true[t], *size)) if codes else 0.0)
        for i in true:
            x0, y0, x1, y1 = (v * 1024 for v in i.box)
            own.append(iou(paste(picture(codec, codec.encode([i.mask])[0].tolist()), (y0, x0, y1, x1), *size), whole(i, *size)))
    masks, best = sum(got) / max(1, len(got)), sum(own) / len(own)
    print(f"masks: mean IoU {masks:.4f} over {len(got)} objects whose box matches, of {len(own)}; {missing} answers without codes")
    print(f"codec: mean IoU {best:.4f}; masks reach {masks / best:.4f} of it")


def picture(codec, codes):
    return codec.decode(torch.tensor([codes]))[0].float().numpy()


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
