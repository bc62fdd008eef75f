"""Runs PaliGemma checkpoints that pgc compiled to executables.

    with pgc.Model("./captioner") as m:
        print(m.caption("photo.jpg"))
        for box in m.detect("photo.jpg", ["cat", "dog"]):
            print(box.label, box.score, box.xyxy)

A Model starts the executable as a child process, talks to it through pipes, and starts it again if it dies.
"""

from ._compile import compile
from ._errors import Error, RequestError, WorkerError
from ._model import Model
from ._parquet import parquet
from ._pictures import Picture
from ._requests import Request, Settings
from ._results import Answer, Box, Detections, Embedding, Mask, Result

__all__ = [
    "Answer",
    "Box",
    "Detections",
    "Embedding",
    "Error",
    "Mask",
    "Model",
    "Picture",
    "Request",
    "RequestError",
    "Result",
    "Settings",
    "WorkerError",
    "compile",
    "parquet",
]
