"""What is asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Sequence, TypedDict, Union, cast

from ._pictures import Picture, Sent, send


class Settings(TypedDict, total=False):
    """How an answer is generated; the settings of `FILE generate`."""

    max_new_tokens: int
    temperature: float
    top_k: int
    top_p: float
    repetition_penalty: float
    seed: int
    stop: Union[str, Sequence[str]]
    ignore_eos: bool
    parse_specials: bool
    logprobs: bool
    skip_special_tokens: bool
    adapter: str


class DetectSettings(TypedDict, total=False):
    """How objects are found; the settings of `FILE detect`."""

    min_score: float
    max_boxes: int
    nms: float
    per_class: bool
    free_labels: bool
    box_scale: int
    no_scores: bool
    adapter: str


TASKS = ("caption", "ask", "ocr", "detect", "segment", "embed")


@dataclass
class Request:
    """One request: pictures and a prompt, or a task.

    task is caption, ask (prompt is the question), ocr, detect or segment (of classes), or embed (of a picture, or of
    query). Without a task, prompt is what the model is given. A result has the request's id.
    """

    image: Union[Picture, Sequence[Picture], None] = None
    prompt: Optional[str] = None
    task: Optional[str] = None
    classes: Union[str, Sequence[str], None] = None
    language: str = "en"
    query: Optional[str] = None
    id: Any = None
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Encoded:
    """A request as a line of JSON has it, without its id."""

    fields: Dict[str, Any]
    pictures: List[Sent]

    def done(self) -> None:
        """Lets go of what the pictures took."""
        for p in self.pictures:
            p.done()


def encode(r: Request) -> Encoded:
    """Returns the fields of a request."""
    fields: Dict[str, Any] = dict(r.settings)
    if isinstance(fields.get("stop"), str):
        fields["stop"] = [fields["stop"]]
    if r.task is not None and r.task not in TASKS:
        raise ValueError(f"task is {r.task!r}, expected one of {', '.join(TASKS)}")
    if r.task == "embed" and r.query is not None:
        return Encoded({**fields, "query": r.query}, [])
    if r.image is None:
        raise ValueError("the picture is None, expected one")
    pictures = cast(List[Picture], list(r.image) if isinstance(r.image, (list, tuple)) else [r.image])
    if r.task in ("detect", "segment"):
        if r.classes is None:
            raise ValueError(f"classes is missing for the task {r.task}, expected a list such as ['cat', 'dog']")
        fields["task"] = r.task
        fields["classes"] = r.classes if isinstance(r.classes, str) else list(r.classes)
    elif r.task != "embed":
        fields["prompt"] = _prompt(r)
    sent = [send(p) for p in pictures]
    fields["images"] = [s.name for s in sent]
    return Encoded(fields, sent)


def _prompt(r: Request) -> str:
    """Returns the prompt that PaliGemma was trained with for a task."""
    if r.task == "caption":
        return f"caption {r.language}"
    if r.task == "ocr":
        return "ocr"
    if r.prompt is None:
        raise ValueError("the prompt is missing" if r.task is None else "the question is missing: expected it as prompt")
    return f"answer {r.language} {r.prompt}" if r.task == "ask" else r.prompt
