"""What comes back."""

from __future__ import annotations

import base64
import struct
from dataclasses import dataclass, field
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple, Union, overload


@dataclass(frozen=True)
class Mask:
    """A mask of the picture's size, as COCO's run lengths."""

    height: int
    width: int
    counts: str

    def runs(self) -> List[int]:
        """The lengths of runs, column by column, of zeros first."""
        out: List[int] = []
        at = 0
        while at < len(self.counts):
            value = shift = 0
            more = True
            while more:
                c = ord(self.counts[at]) - 48
                value |= (c & 0x1F) << shift
                shift += 5
                more = bool(c & 0x20)
                at += 1
            if c & 0x10:
                value |= -1 << shift
            out.append(value + out[-2] if len(out) > 2 else value)
        return out

    def numpy(self) -> Any:
        """The mask as a numpy array of bool [height, width]."""
        import numpy as np

        runs = self.runs()
        values = np.arange(len(runs)) % 2 == 1
        return np.repeat(values, runs).reshape(self.width, self.height).T


@dataclass(frozen=True)
class Box:
    """An object: where it is in pixels of the picture, and how sure the model is."""

    label: str
    xyxy: Tuple[float, float, float, float]
    score: Optional[float] = None
    mask: Optional[Mask] = None
    polygons: Tuple[Tuple[float, ...], ...] = ()
    raw: Dict[str, Any] = field(default_factory=dict, repr=False, compare=False)


class Answer(str):
    """The text of an answer, with everything else that is known of it."""

    id: Any
    raw: Dict[str, Any]

    def __new__(cls, raw: Dict[str, Any], id: Any = None) -> Answer:
        self = super().__new__(cls, raw["text"])
        self.raw, self.id = raw, id
        return self

    def __getnewargs__(self) -> Tuple[Dict[str, Any], Any]:  # type: ignore[override]
        return self.raw, self.id

    @property
    def text(self) -> str:
        """The text."""
        return str.__str__(self)

    @property
    def tokens(self) -> List[int]:
        """The generated ids."""
        return list(self.raw["tokens"])

    @property
    def logprobs(self) -> Optional[List[float]]:
        """The log-probabilities of the tokens, if logprobs=True was asked."""
        return self.raw.get("logprobs")

    @property
    def finish_reason(self) -> str:
        """stop or length."""
        return str(self.raw["finish_reason"])

    @property
    def boxes(self) -> List[Box]:
        """The objects that the text locates."""
        return [_box(b) for b in self.raw.get("boxes", ())]

    @property
    def prompt_tokens(self) -> int:
        """The number of tokens that were given."""
        return int(self.raw["prompt_tokens"])

    @property
    def timings(self) -> Dict[str, float]:
        """Seconds, by what they were used for."""
        return dict(self.raw["timings"])


class Detections(Sequence[Box]):
    """The objects that were found in a picture, the surest first."""

    def __init__(self, raw: Dict[str, Any], id: Any = None) -> None:
        self.raw, self.id = raw, id
        self._boxes = [_box(b) for b in raw["boxes"]]

    @overload
    def __getitem__(self, i: int) -> Box: ...
    @overload
    def __getitem__(self, i: slice) -> Sequence[Box]: ...
    def __getitem__(self, i: Union[int, slice]) -> Union[Box, Sequence[Box]]:
        return self._boxes[i]

    def __len__(self) -> int:
        return len(self._boxes)

    def __iter__(self) -> Iterator[Box]:
        return iter(self._boxes)

    def __repr__(self) -> str:
        return f"Detections({self._boxes!r})"

    @property
    def text(self) -> str:
        """The model's own answer."""
        return str(self.raw["text"])

    @property
    def classes(self) -> List[str]:
        """The classes that were asked for."""
        return list(self.raw["classes"])

    @property
    def width(self) -> int:
        """The picture's width in pixels."""
        return int(self.raw["width"])

    @property
    def height(self) -> int:
        """The picture's height in pixels."""
        return int(self.raw["height"])

    def to_supervision(self) -> Any:
        """A supervision.Detections: xyxy, confidence, mask, class_id in the order of classes, and data["class_name"]."""
        import numpy as np
        import supervision as sv

        if not self._boxes:
            return sv.Detections.empty()
        names = list(dict.fromkeys([*self.classes, *(b.label for b in self._boxes)]))
        scored = all(b.score is not None for b in self._boxes)
        masks = [b.mask.numpy() for b in self._boxes if b.mask is not None]
        return sv.Detections(
            xyxy=np.array([b.xyxy for b in self._boxes], dtype=np.float64),
            confidence=np.array([b.score for b in self._boxes], dtype=np.float64) if scored else None,
            mask=np.stack(masks) if len(masks) == len(self._boxes) else None,
            class_id=np.array([names.index(b.label) for b in self._boxes]),
            data={"class_name": np.array([b.label for b in self._boxes])},
        )


class Embedding:
    """Vectors of a picture or of a query, one a token."""

    def __init__(self, raw: Dict[str, Any], id: Any = None) -> None:
        self.id = id
        self.shape: Tuple[int, int] = (int(raw["shape"][0]), int(raw["shape"][1]))
        self.data = base64.b64decode(raw["embedding"])

    def __reduce__(self) -> Tuple[Any, ...]:
        raw = {"shape": self.shape, "embedding": base64.b64encode(self.data)}
        return Embedding, (raw, self.id)

    def tolist(self) -> List[List[float]]:
        """The vectors as lists."""
        n, dim = self.shape
        return [list(struct.unpack_from(f"<{dim}f", self.data, 4 * dim * i)) for i in range(n)]

    def numpy(self) -> Any:
        """The vectors as a numpy array, float32 [tokens, dim]."""
        import numpy as np

        return np.frombuffer(self.data, dtype="<f4").reshape(self.shape)

    def score(self, page: Embedding) -> float:
        """How well a page answers this query: for every vector of the query the greatest dot product, summed."""
        return float((self.numpy().astype("f8") @ page.numpy().astype("f8").T).max(axis=1).sum())


Result = Union[Answer, Detections, Embedding]


def _box(raw: Dict[str, Any]) -> Box:
    mask, (x0, y0, x1, y1) = raw.get("mask"), raw["box"]
    return Box(
        label=raw["label"],
        xyxy=(x0, y0, x1, y1),
        score=raw.get("score"),
        mask=Mask(mask["size"][0], mask["size"][1], mask["counts"]) if mask else None,
        polygons=tuple(tuple(p) for p in raw.get("polygons") or ()),
        raw=raw,
    )


def decode(raw: Dict[str, Any], id: Any) -> Result:
    """Returns the result that a line of JSON is."""
    if "embedding" in raw:
        return Embedding(raw, id)
    return Detections(raw, id) if "task" in raw else Answer(raw, id)
