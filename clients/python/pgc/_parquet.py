"""Requests from Parquet tables."""

from __future__ import annotations

import os
from typing import Any, Iterator, Optional, Sequence, Union

from ._errors import Error
from ._requests import Request


def parquet(
    path: Union[str, "os.PathLike[str]", Sequence[Union[str, "os.PathLike[str]"]]],
    *,
    image: str = "image",
    prompt: Optional[str] = None,
    id: Optional[str] = None,
    task: Optional[str] = None,
    classes: Union[str, Sequence[str], None] = None,
    text: Optional[str] = None,
    rows: int = 64,
    **settings: Any,
) -> Iterator[Request]:
    """Yields a request for every row of a Parquet file, a folder or several files, which are read in parts. Needs pyarrow.

    Arguments:
        image: the column of pictures: bytes, paths, or {"bytes", "path"} as Hugging Face's datasets have them.
        prompt: the column of prompts. Without one, text, a task or what Model.batch is given is asked.
        id: the column of ids; without one, ids are the numbers of rows.
        rows: rows that are in memory at a time.
    """
    try:
        import pyarrow.dataset as dataset
    except ImportError as e:
        raise Error("Parquet needs pyarrow, which is not installed: pip install 'pgc[parquet]'") from e
    table = dataset.dataset(path, format="parquet")
    columns = [c for c in (image, prompt, id) if c is not None]
    missing = [c for c in columns if c not in table.schema.names]
    if missing:
        raise Error(f"{path} has no column {missing[0]!r}, expected one of {', '.join(table.schema.names)}")
    number = 0
    for part in table.to_batches(columns=columns, batch_size=rows, batch_readahead=1, fragment_readahead=1):
        for row in part.to_pylist():
            picture = row[image]
            if isinstance(picture, dict):
                picture = picture["bytes"] if picture.get("bytes") is not None else picture.get("path")
            yield Request(
                picture,
                prompt=row[prompt] if prompt else text,
                task=task,
                classes=classes,
                id=row[id] if id else number,
                settings=settings,
            )
            number += 1
