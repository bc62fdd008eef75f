"""How good the scores of detect are, on the held-out scenes made harder.

    python confidence.py EXECUTABLE OUT

writes the pictures to OUT, has `EXECUTABLE batch` detect what is in them, and prints the average precision at IoU 0.5 of
all boxes, how often a right box has a higher score than a wrong one, and the share of right boxes by score.
"""

import io
import json
import pathlib
import random
import subprocess
import sys

import numpy as np
from PIL import Image, ImageFilter

from heldout import scenes
from score import boxes, iou

COUNT = 350


def degrade(image, rng):
    """Blur, low resolution, noise, low contrast or JPEG artifacts, strong enough to make a model err."""
    kind = rng.choice(("blur", "small", "noise", "contrast", "jpeg"))
    w, h = image.size
    if kind == "blur":
        return image.filter(ImageFilter.GaussianBlur(rng.uniform(.012, .03) * w))
    if kind == "small":
        side = rng.randint(28, 44)
        return image.resize((side, max(1, side * h // w)), Image.BILINEAR).resize((w, h), Image.BILINEAR)
    pixels = np.asarray(image, dtype=np.float64)
    if kind == "noise":
        noise = np.random.default_rng(rng.randrange(1 << 32)).normal(0, rng.uniform(50, 100), pixels.shape)
        return Image.fromarray((pixels + noise).clip(0, 255).astype(np.uint8))
    if kind == "contrast":
        mean = pixels.mean((0, 1))
        return Image.fromarray((mean + (pixels - mean) * rng.uniform(.12, .3)).clip(0, 255).astype(np.uint8))
    data = io.BytesIO()
    image.save(data, "JPEG", quality=rng.randint(2, 6))
    return Image.open(data).convert("RGB")


def write(out):
    """The pictures and requests; returns the true boxes of each picture."""
    out.mkdir(parents=True, exist_ok=True)
    true = []
    with open(out / "requests.jsonl", "w") as file:
        for i, (scene, asked) in enumerate(scenes(COUNT)):
            degrade(scene.image, random.Random(i)).save(out / f"{i:03d}.png")
            # The longest question about places: two classes where there are so many.
            prompt, answer = max(((p, a) for kind, p, a in asked if kind == "detect"), key=lambda x: len(x[0]))
            classes = prompt.removeprefix("detect ").split(" ; ")
            file.write(json.dumps({"id": i, "images": [str(out / f"{i:03d}.png")], "task": "detect", "classes": classes,
                                   "min_score": 0, "nms": 1}) + "\n")
            true.append(boxes(answer))
    return true


def judged(found, true):
    """(score, right) of every box: right if it overlaps a true one of its label that no better box has taken."""
    out, taken = [], set()
    for b in sorted(found, key=lambda b: -b["score"]):
        over = [(iou(b["loc"], t[1]), k) for k, t in enumerate(true) if t[0] == b["label"] and k not in taken]
        best = max(over, default=(0, -1))
        if best[0] >= .5:
            taken.add(best[1])
        out.append((b["score"], best[0] >= .5))
    return out


def average_precision(ranked, total):
    """The area under precision over recall, precision made monotonic, at 101 recalls as COCO takes it."""
    right = np.cumsum([r for _, r in ranked])
    precision = right / np.arange(1, len(ranked) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    recall = right / total
    at = np.searchsorted(recall, np.linspace(0, 1, 101))
    return np.mean([precision[i] if i < len(precision) else 0 for i in at])


def main():
    exe, out = sys.argv[1], pathlib.Path(sys.argv[2])
    true = write(out)
    subprocess.run([exe, "batch", "--input", out / "requests.jsonl", "--output", out / "answers.jsonl"], check=True)
    answers = sorted(map(json.loads, open(out / "answers.jsonl")), key=lambda a: a["id"])
    ranked = sorted((x for a, t in zip(answers, true, strict=True) for x in judged(a["boxes"], t)), key=lambda x: -x[0])
    total = sum(map(len, true))
    right = np.array([s for s, r in ranked if r])
    wrong = np.array([s for s, r in ranked if not r])
    pairs = (right[:, None] > wrong).mean() + (right[:, None] == wrong).mean() / 2
    print(f"{len(true)} pictures, {total} objects, {len(ranked)} boxes, {len(wrong)} wrong")
    print(f"AP50 {average_precision(ranked, total):.3f}   right over wrong {pairs:.3f}")
    print("score        boxes   mean score   right")
    edges = [0, .25, .5, .6, .7, .8, .9, .95, 1]
    for low, high in zip(edges, edges[1:]):
        bin = [(s, r) for s, r in ranked if low <= s < high or s == high == 1]
        if bin:
            print(f"{low:.2f}–{high:.2f}  {len(bin):6}   {np.mean([s for s, _ in bin]):10.3f}   {np.mean([r for _, r in bin]):5.3f}")


if __name__ == "__main__":
    main()
