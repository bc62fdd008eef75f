"""Writes runtime/masks/testdata/masks.safetensors: masks with COCO's run-length codes from pycocotools, and boxes that values are pasted
into, resized by Pillow. usage: python golden/gen/masks.py"""
import pathlib

import numpy as np
from PIL import Image
from pycocotools import mask as coco
from safetensors.numpy import save_file

rng = np.random.default_rng(1)
tensors = {}

shapes = [(1, 1), (1, 1), (1, 40), (40, 1), (7, 5), (64, 64), (50, 33), (120, 160), (120, 160)]
for i, (h, w) in enumerate(shapes):
    y, x = np.mgrid[:h, :w]
    m = [np.zeros((h, w)), np.ones((h, w)), x % 7 < 3, y % 2, rng.random((h, w)) < 0.5, rng.random((h, w)) < 0.05, (x + y) % 9 < 4,
         np.hypot(x - 75, y - 50) < 38, np.hypot(x - 75, y - 50) % 23 < 11][i]
    m = np.asfortranarray(m.astype(np.uint8))
    tensors[f"rle.{i}.mask"] = np.ascontiguousarray(m)
    tensors[f"rle.{i}.counts"] = np.frombuffer(coco.encode(m)["counts"], np.uint8)

cases = [  # side, width, height, y0, x0, y1, x1, scale
    (64, 200, 100, 100, 200, 800, 900, 1024), (64, 200, 100, 100, 200, 800, 900, 1023), (64, 33, 47, 0, 0, 1023, 1023, 1024),
    (64, 64, 64, 0, 0, 1023, 1023, 1024), (64, 300, 200, 500, 500, 500, 500, 1024), (64, 301, 203, 1020, 1020, 1023, 1023, 1024),
    (32, 90, 1, 12, 77, 400, 900, 1024), (16, 130, 50, 101, 5, 1000, 777, 1023), (64, 500, 20, 3, 3, 1000, 1000, 1024)]
for i, (side, w, h, *loc, scale) in enumerate(cases):
    values = rng.standard_normal((side, side)).astype(np.float32)

    def span(a, b, size):
        px = (lambda v: int(v / 1023 * size)) if scale == 1023 else (lambda v: round(v / 1024 * size))
        first = min(max(px(a), 0), size - 1)
        return first, min(max(px(b), first + 1), size)
    (y0, y1), (x0, x1) = span(loc[0], loc[2], h), span(loc[1], loc[3], w)
    resized = np.asarray(Image.fromarray(values, "F").resize((x1 - x0, y1 - y0), Image.Resampling.BILINEAR))
    assert np.abs(resized).min() > 1e-7  # so that rounding does not decide a pixel
    m = np.zeros((h, w), np.uint8)
    m[y0:y1, x0:x1] = (resized > 0) * 255
    tensors |= {f"paste.{i}.values": values, f"paste.{i}.box": np.array([*loc, scale], np.int32), f"paste.{i}.mask": m}

save_file(tensors, pathlib.Path(__file__).parents[2] / "runtime/masks/testdata/masks.safetensors")
