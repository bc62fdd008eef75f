"""Masks in pictures: pastes the codec's 64x64 pictures into boxes, as `segment` of a compiled executable does."""

import re

import numpy as np
from PIL import Image

OBJECT = re.compile(r"<loc(\d{4})><loc(\d{4})><loc(\d{4})><loc(\d{4})>((?:<seg\d{3}>){16})? ?([^;<]*)")


def objects(text):
    """(label, (y0, x0, y1, x1) bins, 16 codes or None) of each object of an answer."""
    return [(m[6].strip(), tuple(int(v) for v in m.groups()[:4]), [int(c) for c in re.findall(r"\d{3}", m[5])] if m[5] else None)
            for m in OBJECT.finditer(text)]


def paste(picture, bins, width, height):
    """The mask [height, width] of a decoder's picture [64, 64] in a box of location bins: corners at round(v/1024 of
    the side), half to even, at least one pixel; a triangle filter in float32; True where positive."""
    y0, x0, y1, x1 = (min(side, max(0, round(v * side / 1024))) for v, side in zip(bins, (height, width, height, width)))
    y0, x0 = min(y0, height - 1), min(x0, width - 1)
    y1, x1 = max(y1, y0 + 1), max(x1, x0 + 1)
    out = np.zeros((height, width), bool)
    out[y0:y1, x0:x1] = np.asarray(Image.fromarray(picture, mode="F").resize((x1 - x0, y1 - y0), Image.BILINEAR)) > 0
    return out


def whole(item, width, height):
    """The true mask [height, width] of a scene's item."""
    out = np.zeros((height, width), bool)
    x, y = round(item.box[0] * width), round(item.box[1] * height)
    out[y:y + item.mask.shape[0], x:x + item.mask.shape[1]] = item.mask
    return out


def iou(a, b):
    """Intersection over union of two masks."""
    return (a & b).sum() / max(1, (a | b).sum())
