"""The errors of this package."""

from __future__ import annotations

from typing import Any


class Error(Exception):
    """Any error of this package."""


class RequestError(Error):
    """The executable refused a request, such as one about a picture that cannot be read. Others are not touched."""

    id: Any = None  # of the request, in a batch


class WorkerError(Error):
    """The executable cannot be started, or died at a request twice."""
