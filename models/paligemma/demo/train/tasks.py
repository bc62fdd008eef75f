"""Prompts and answers in PaliGemma's own task style, derived from a scene."""

import random

from scenes import CLASSES, COLOURS, NUMBERS

STEP = 8  # coordinates are snapped to multiples of this many of the 1024 location bins


def bins(box):
    """(y0, x0, y1, x1) location bins of a fractional (x0, y0, x1, y1) box, snapped to STEP."""
    x0, y0, x1, y1 = (min(1023, max(0, round(v * 1024 / STEP) * STEP)) for v in box)
    return y0, x0, y1, x1


def instances(scene, cls):
    """The items of a class, from left to right."""
    return sorted((i for i in scene.items if i.cls == cls), key=lambda i: (i.box[0] + i.box[2], i.box[1]))


def counted(n, cls):
    if n == 1:
        name = CLASSES[cls][0]
        return ("an " if name[0] in "aeiou" else "a ") + name
    return NUMBERS[n] + " " + CLASSES[cls][1]


def present(scene):
    return sorted({i.cls for i in scene.items})


def caption(scene):
    parts = [counted(sum(i.cls == c for i in scene.items), c) for c in present(scene)]
    listing = parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]
    return f"{listing} on {'an' if scene.colour[0] in 'aeiou' else 'a'} {scene.colour} background"


def located(box):
    return "".join(f"<loc{v:04d}>" for v in bins(box))


def detection(scene, classes):
    return " ; ".join(located(i.box) + f" {CLASSES[c][0]}" for c in classes for i in instances(scene, c))


def segmentation(scene, classes, codes):
    """As detection, with the mask's codes behind the box; codes: those of the scene's items, in their order."""
    of = {id(i): "".join(f"<seg{c:03d}>" for c in row) for i, row in zip(scene.items, codes)}
    return " ; ".join(located(i.box) + of[id(i)] + f" {CLASSES[c][0]}" for c in classes for i in instances(scene, c))


def absent(rng, scene):
    return rng.choice([c for c in range(len(CLASSES)) if c not in present(scene)])


def left_of(scene):
    """(reference class, answer class) pairs with one unambiguous nearest neighbour to the left."""
    pairs = []
    items = sorted(scene.items, key=lambda i: i.box[0] + i.box[2])
    for a, b in zip(items, items[1:]):
        single = sum(i.cls == b.cls for i in items) == 1
        if single and a.cls != b.cls and (b.box[0] + b.box[2]) - (a.box[0] + a.box[2]) > .1:
            pairs.append((b.cls, a.cls))
    return pairs


def examples(scene, rng):
    """Every kind of task once or twice: a list of (kind, prompt, answer)."""
    name = lambda c: CLASSES[c][0]
    here = present(scene)
    some, other = rng.choice(here), absent(rng, scene)
    out = [("caption", "caption en", caption(scene)),
           ("count", f"answer en how many {CLASSES[some][1]} are there?",
            NUMBERS[sum(i.cls == some for i in scene.items)]),
           ("colour", "answer en what colour is the background?", scene.colour)]
    asked = some if rng.random() < .5 else other
    out.append(("exists", f"answer en is there {counted(1, asked)}?", "yes" if asked in here else "no"))
    pairs = left_of(scene)
    if pairs:
        ref, answer = rng.choice(pairs)
        out.append(("relation", f"answer en what is to the left of the {name(ref)}?", name(answer)))
    if rng.random() < .08:
        out.append(("detect", f"detect {name(other)}", ""))
    else:
        out.append(("detect", f"detect {name(some)}", detection(scene, [some])))
    if len(here) > 1:
        two = rng.sample(here, 2)
        out.append(("detect", f"detect {name(two[0])} ; {name(two[1])}", detection(scene, two)))
    if scene.text:
        out.append(("ocr word" if scene.listed else "ocr string", "ocr", scene.text))
    elif rng.random() < .1:
        out.append(("ocr none", "ocr", ""))
    return out


def segment_examples(scene, rng, codes):
    """One or two prompts to segment: a list of (kind, prompt, answer); codes as in segmentation."""
    name = lambda c: CLASSES[c][0]
    here = present(scene)
    if rng.random() < .05:
        out = [("segment", f"segment {name(absent(rng, scene))}", "")]
    else:
        some = rng.choice(here)
        out = [("segment", f"segment {name(some)}", segmentation(scene, [some], codes))]
    if len(here) > 1:
        two = rng.sample(here, 2)
        out.append(("segment", f"segment {name(two[0])} ; {name(two[1])}", segmentation(scene, two, codes)))
    return out


def vocabulary():
    """Text from which the tokenizer learns its merges: every word of every prompt and answer but what OCR reads."""
    lines = []
    rng = random.Random(0)
    for one, many, _ in CLASSES:
        lines += [f"caption en\n{counted(1, CLASSES.index((one, many, _)))}, {n} {many} and an {one} on a {c} background"
                  for n in NUMBERS for c in COLOURS]
        lines += [f"answer en how many {many} are there?\n", f"answer en is there a {one}?\nyes no",
                  f"answer en what is to the left of the {one}?\n", f"detect {one} ; {one}\n {one} ; ", f"segment {one}\n",
                  "answer en what colour is the background?\n", "ocr\n"] * 4
    rng.shuffle(lines)
    return lines
