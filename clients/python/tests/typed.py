"""A program of a user, for mypy alone: every kind of picture, and what results have."""

from __future__ import annotations

import pathlib
from typing import Iterator, List

import numpy as np
from PIL import Image

import pgc


def answers(m: pgc.Model, path: pathlib.Path) -> List[str]:
    first: pgc.Answer = m.caption(Image.open(path), max_new_tokens=20, stop=["x"])
    second = m.ask(Image.new("RGB", (2, 2)), "how many?", logprobs=True)
    third = m.generate([path, b"bytes", np.zeros((2, 2, 3), np.uint8)], "caption en")
    more: Iterator[pgc.Answer] = m.batch([path], "caption en", errors="return")
    return [first, second, third, *more]


def objects(m: pgc.Model, path: str) -> float:
    total = 0.0
    for box in m.detect(path, ["cat"], min_score=0.3):
        x0, y0, x1, y1 = box.xyxy
        total += (box.score or 0) * (x1 - x0) * (y1 - y0)
    mask = m.segment(path, "cat ; dog")[0].mask
    return total if mask is None else total + mask.height * sum(mask.runs())


def others(m: pgc.Model) -> pgc.Result:
    total: float = m.embed(query="x").tolist()[0][0]
    return m.submit(pgc.Request(bytearray(b"bytes"), task="ocr", id=total)).result()
