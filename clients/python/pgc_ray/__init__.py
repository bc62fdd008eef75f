"""Answers about the pictures of a Ray dataset, on all nodes of a cluster.

    import ray, pgc_ray
    photos = ray.data.read_images("s3://bucket/photos", include_paths=True)
    pgc_ray.map(photos, "./captioner", task="caption").write_parquet("s3://bucket/captions")

Every row comes out once, with all that it had: Ray does the work of nodes and processes that die again.
"""

from __future__ import annotations

import os
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

import pgc

__all__ = ["map"]


def map(
    dataset: Any,
    path: Union[str, "os.PathLike[str]"],
    *,
    task: Optional[str] = None,
    prompt: Optional[str] = None,
    classes: Union[str, Sequence[str], None] = None,
    language: str = "en",
    image: str = "image",
    prompts: Optional[str] = None,
    num_cpus: Optional[int] = None,
    num_gpus: float = 0,
    concurrency: Union[int, Tuple[int, int], None] = None,
    batch_size: int = 32,
    **settings: Any,
) -> Any:
    """Returns the dataset with columns for the answers.

    They are text and finish_reason; for detect and segment also boxes, a list of {label, score, xyxy}, and for segment
    with mask, COCO's run lengths; for embed only embedding, lists of float32. error says why a row has no answer, such as
    a picture that cannot be read; it is null elsewhere.

    Arguments:
        path: the executable, which every node has there.
        task, prompt, classes, language, settings: what is asked, as in pgc.Request; prompts: the column of prompts.
        image: the column of pictures: arrays as read_images gives them, bytes, paths or {"bytes", "path"}.
        num_cpus: processors of one actor, and threads of its executable. By default all but one of the smallest node, so
            that pictures are read beside.
        concurrency: the number of actors, or the least and the most. By default one to as many as there are nodes.
        batch_size: rows that an actor is given at a time.
    """
    import ray

    path = os.path.abspath(os.fspath(path))
    known: Any = ray.nodes() if ray.is_initialized() else []  # type: ignore[no-untyped-call,unused-ignore]
    nodes = [int(n["Resources"].get("CPU", 0)) for n in known if n["Alive"]]
    nodes = [n for n in nodes if n > 0] or [os.cpu_count() or 1]
    if num_cpus is None:
        num_cpus = max(1, min(nodes) - 1)
    asked = pgc.Request(None, prompt, task, classes, language, settings=settings)
    return dataset.map_batches(
        _Actor,
        fn_constructor_args=(path, asked, image, prompts, num_cpus, "cuda" if num_gpus else "auto"),
        batch_format="pyarrow",
        batch_size=batch_size,
        num_cpus=num_cpus,
        num_gpus=num_gpus or None,
        concurrency=concurrency if concurrency is not None else (1, len(nodes)),
    )


class _Actor:
    """Keeps an executable."""

    def __init__(self, path: str, asked: pgc.Request, image: str, prompts: Optional[str], threads: int, device: str) -> None:
        self.model = pgc.Model(path, threads=threads, device=device)
        self.asked, self.image, self.prompts = asked, image, prompts

    def __call__(self, table: Any) -> Any:
        import pyarrow as pa

        results = list(self.model.batch(self._requests(table), errors="return"))
        for name, (values, kind) in _columns(results, self.asked.task).items():
            if name in table.column_names:
                table = table.drop_columns([name])
            table = table.append_column(name, pa.array(values, type=kind))
        return table

    def _requests(self, table: Any) -> List[pgc.Request]:
        if self.image not in table.column_names:
            raise pgc.Error(f"the dataset has no column {self.image!r}, expected one of {', '.join(table.column_names)}")
        pictures = _values(table.column(self.image))
        prompts = table.column(self.prompts).to_pylist() if self.prompts else [self.asked.prompt] * len(pictures)
        a = self.asked
        return [
            pgc.Request(picture, prompt, a.task, a.classes, a.language, settings=a.settings)
            for picture, prompt in zip(pictures, prompts)
        ]


def _values(column: Any) -> List[Any]:
    """Returns the pictures in a column."""
    import pyarrow as pa

    if isinstance(column.type, pa.ExtensionType):  # arrays
        return [picture for part in column.chunks for picture in part.to_numpy(zero_copy_only=False)]
    values = column.to_pylist()
    return [(v["bytes"] if v.get("bytes") is not None else v.get("path")) if isinstance(v, dict) else v for v in values]


def _columns(results: Sequence[Any], task: Optional[str]) -> Dict[str, Tuple[List[Any], Any]]:
    """Returns the columns of results and their types."""
    import pyarrow as pa

    ok = [None if isinstance(r, pgc.RequestError) else r for r in results]
    errors = [str(r) if isinstance(r, pgc.RequestError) else None for r in results]
    out: Dict[str, Tuple[List[Any], Any]] = {}
    if task == "embed":
        out["embedding"] = ([r and r.tolist() for r in ok], pa.list_(pa.list_(pa.float32())))
    else:
        out["text"] = ([r if r is None else r.text for r in ok], pa.string())
        out["finish_reason"] = ([r if r is None else r.raw["finish_reason"] for r in ok], pa.string())
    if task in ("detect", "segment"):
        fields = [("label", pa.string()), ("score", pa.float64()), ("xyxy", pa.list_(pa.float64()))]
        if task == "segment":
            fields.append(("mask", pa.struct([("height", pa.int32()), ("width", pa.int32()), ("counts", pa.string())])))
        boxes = [None if r is None else [_box(b) for b in r] for r in ok]
        out["boxes"] = (boxes, pa.list_(pa.struct(fields)))
    out["error"] = (errors, pa.string())
    return out


def _box(b: pgc.Box) -> Dict[str, Any]:
    mask = b.mask and {"height": b.mask.height, "width": b.mask.width, "counts": b.mask.counts}
    return {"label": b.label, "score": b.score, "xyxy": list(b.xyxy), "mask": mask}
