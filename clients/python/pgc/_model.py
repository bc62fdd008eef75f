"""A compiled executable as an object."""

from __future__ import annotations

import collections
import json
import os
import subprocess
import weakref
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Callable, Deque, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Tuple, Type, Union, cast

from ._errors import Error, RequestError, WorkerError
from ._pictures import Picture
from ._requests import DetectSettings, Request, Settings, encode
from ._results import Answer, Detections, Embedding, Result, decode
from ._worker import Job, Worker, environment

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Literal, Unpack


class Model:
    """An executable that pgc compiled.

    It may be used from many threads: their requests are answered together, each with the bits that it has alone. The
    executable runs as a child process, from the first request on, and ends with close, with the Model, or with Python.

    Arguments:
        path: the executable.
        threads: threads to compute on; 0 means all processors.
        device: cpu, cuda, cuda:1 or auto.
        header: lines such as 'Authorization: Bearer …', sent with requests for pictures at URLs.
        env: variables of the process besides those of this one.
    """

    def __init__(
        self,
        path: Union[str, "os.PathLike[str]"],
        *,
        threads: int = 0,
        device: str = "auto",
        header: Sequence[str] = (),
        env: Optional[Mapping[str, str]] = None,
    ) -> None:
        self.path = os.path.abspath(os.fspath(path))
        self._arguments: Tuple[Any, ...] = (threads, device, tuple(header), dict(env) if env is not None else None)
        self.info = _info(self.path, env)
        command = [self.path, "batch", "--input", "-", "--output", "-", "--as-ready", "--threads", str(threads), "--device", device]
        for line in header:
            command += ["--header", line]
        self._worker = Worker(command, environment(self._arguments[3]))
        self._finalizer = weakref.finalize(self, Worker.close, self._worker)

    def __reduce__(self) -> Tuple[Any, ...]:
        return _again, (self.path, *self._arguments)

    def __repr__(self) -> str:
        return f"pgc.Model({self.path!r})"

    def __enter__(self) -> Model:
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        self.close()

    def close(self) -> None:
        """Ends the process. Requests under way are errors, as are later ones."""
        self._finalizer()

    @property
    def pid(self) -> Optional[int]:
        """The id of the process, None while there is none."""
        return self._worker.pid

    @property
    def embeds(self) -> bool:
        """Whether the model makes embeddings instead of text."""
        return bool(self.info.get("embedding_dim"))

    def generate(self, image: Union[Picture, Sequence[Picture]], prompt: str, **settings: Unpack[Settings]) -> Answer:
        """Answers a prompt as it stands about one picture or several."""
        return self._answer(Request(image, prompt, settings=settings))

    def caption(self, image: Picture, language: str = "en", **settings: Unpack[Settings]) -> Answer:
        """Describes a picture; the prompt is `caption en`."""
        return self._answer(Request(image, task="caption", language=language, settings=settings))

    def ask(self, image: Picture, question: str, language: str = "en", **settings: Unpack[Settings]) -> Answer:
        """Answers a question; the prompt is `answer en QUESTION`."""
        return self._answer(Request(image, question, task="ask", language=language, settings=settings))

    def ocr(self, image: Picture, **settings: Unpack[Settings]) -> Answer:
        """Reads the text in a picture; the prompt is `ocr`."""
        return self._answer(Request(image, task="ocr", settings=settings))

    def detect(self, image: Picture, classes: Union[str, Sequence[str]], **settings: Unpack[DetectSettings]) -> Detections:
        """Finds objects of classes, such as ["cat", "dog"]."""
        return cast(Detections, self.submit(Request(image, task="detect", classes=classes, settings=settings)).result())

    def segment(self, image: Picture, classes: Union[str, Sequence[str]], **settings: Unpack[DetectSettings]) -> Detections:
        """Finds objects of classes, and their masks."""
        return cast(Detections, self.submit(Request(image, task="segment", classes=classes, settings=settings)).result())

    def embed(self, image: Optional[Picture] = None, *, query: Optional[str] = None) -> Embedding:
        """Returns the embedding of a picture, or of a query."""
        if (image is None) == (query is None):
            raise ValueError("expected a picture or query=TEXT")
        return cast(Embedding, self.submit(Request(image, task="embed", query=query)).result())

    def submit(self, request: Request) -> Future[Result]:
        """Has a request answered, and returns at once, unless the process has enough to do."""
        if request.task is not None and (request.task == "embed") != self.embeds:
            raise Error(f"{self.path} makes {'embeddings' if self.embeds else 'texts'}, which is not what the task {request.task} is")
        encoded = encode(request)
        out: Future[Result] = Future()
        out.set_running_or_notify_cancel()
        path = self.path  # not self, which could not end while who reads answers has it

        def done(got: Future[Dict[str, Any]]) -> None:
            error = got.exception()
            if error is not None:
                out.set_exception(error)
                return
            try:
                out.set_result(decode(got.result(), request.id))
            except Exception as e:  # of an executable that answers otherwise
                out.set_exception(WorkerError(f"cannot read an answer of {path}: {e!r}"))

        try:
            job = Job(encoded.fields, encoded.done)
            job.future.add_done_callback(done)
            self._worker.submit(job)
        except BaseException:
            encoded.done()
            raise
        return out

    def batch(
        self,
        requests: Iterable[Union[Request, Picture]],
        prompt: Optional[str] = None,
        *,
        task: Optional[str] = None,
        classes: Union[str, Sequence[str], None] = None,
        language: str = "en",
        ordered: bool = True,
        errors: Literal["raise", "return"] = "raise",
        ahead: int = 32,
        **settings: Any,
    ) -> Iterator[Any]:
        """Answers requests, or the same about pictures, several at a time, and yields the results.

        Arguments:
            requests: any iterable; it is read as results are taken, at most `ahead` further.
            prompt, task, classes, language, settings: what is asked about pictures, as in Request, and in requests
                that ask nothing.
            ordered: results in the order of the requests; else as they are ready, told apart by the id of each.
            errors: raise the error of a request, or return it in the place of its result; it has the request's id.
            ahead: requests that are under way at a time, 1 or more.
        """
        if ahead < 1:
            raise ValueError(f"ahead is {ahead}, expected 1 or more")
        waiting: Deque[Tuple[Any, Future[Result]]] = collections.deque()
        same = Request(None, prompt, task, classes, language, settings=settings)
        source = (_asked(r, same) for r in requests)
        if not ordered:
            yield from self._as_ready(source, errors, ahead)
            return
        for r in source:
            waiting.append((r.id, self._try(r, errors)))
            if len(waiting) >= ahead:
                yield _take(*waiting.popleft(), errors)
        while waiting:
            yield _take(*waiting.popleft(), errors)

    def _as_ready(self, source: Iterable[Request], errors: str, ahead: int) -> Iterator[Any]:
        import queue

        ready: queue.SimpleQueue[Tuple[Any, Future[Result]]] = queue.SimpleQueue()

        def ready_with(id: Any) -> Callable[[Future[Result]], None]:
            return lambda f: ready.put((id, f))

        under_way = 0
        for r in source:
            self._try(r, errors).add_done_callback(ready_with(r.id))
            under_way += 1
            while under_way >= ahead or not ready.empty():
                yield _take(*ready.get(), errors)
                under_way -= 1
        for _ in range(under_way):
            yield _take(*ready.get(), errors)

    def _try(self, r: Request, errors: str) -> Future[Result]:
        """Submits a request; one that cannot be sent fails as others do if errors are returned."""
        try:
            return self.submit(r)
        except (OSError, TypeError, ValueError) as e:
            if errors == "raise":
                raise
            failed: Future[Result] = Future()
            failed.set_exception(RequestError(str(e)))
            return failed

    def _answer(self, r: Request) -> Answer:
        return cast(Answer, self.submit(r).result())


def _asked(r: Union[Request, Picture], same: Request) -> Request:
    """Returns a request for what may be a picture alone."""
    if not isinstance(r, Request):
        return replace(same, image=r)
    if r.prompt is None and r.task is None and r.query is None:
        return replace(same, image=r.image, id=r.id, settings={**same.settings, **r.settings})
    return r


def _take(id: Any, f: Future[Result], errors: str) -> Union[Result, RequestError]:
    try:
        return f.result()
    except RequestError as e:
        e.id = id
        if errors == "raise":
            raise
        return e


def _again(path: str, threads: int, device: str, header: Sequence[str], env: Optional[Dict[str, str]]) -> Model:
    """Opens a pickled Model."""
    return Model(path, threads=threads, device=device, header=header, env=env)


def _info(path: str, env: Optional[Mapping[str, str]]) -> Dict[str, Any]:
    """What the executable says of itself."""
    if not os.path.exists(path):
        raise FileNotFoundError(f"there is no executable {path}, expected one that pgc compile made")
    try:
        got = subprocess.run([path, "info", "--json"], capture_output=True, env=environment(dict(env) if env else None), check=False)
    except OSError as e:
        raise WorkerError(f"cannot start {path}: {e.strerror}, expected an executable that pgc compile made") from e
    lines: List[str] = got.stderr.decode(errors="replace").strip().splitlines()
    try:
        info = json.loads(got.stdout)
        if isinstance(info, dict) and "model" in info:
            return info
    except ValueError:
        pass
    raise WorkerError(f"{path} is no executable that pgc compile made{': ' + lines[-1] if lines else ''}")
