"""A child process that answers requests through pipes."""

from __future__ import annotations

import collections
import json
import logging
import os
import signal
import subprocess
import threading
import weakref
from concurrent.futures import Future
from typing import IO, Any, Callable, Deque, Dict, List, Optional, Sequence, cast

from ._errors import RequestError, WorkerError

log = logging.getLogger("pgc")


class Job:
    """A request that is to be answered."""

    def __init__(self, fields: Dict[str, Any], done: Callable[[], None]) -> None:
        self._text = _json(fields)
        self.done = done
        self.deaths = 0  # of processes that worked on it
        self.future: Future[Dict[str, Any]] = Future()
        self.future.set_running_or_notify_cancel()  # it cannot be taken back any more

    def line(self, number: int) -> bytes:
        """The line of JSON that asks."""
        return b'%s, "id": %d}\n' % (self._text[:-1], number)

    def finish(self, answer: Optional[Dict[str, Any]], error: Optional[Exception] = None) -> None:
        """Gives the answer, or why there is none."""
        self.done()
        if error is not None:
            self.future.set_exception(error)
        elif answer is not None and answer.get("error"):
            self.future.set_exception(RequestError(answer["error"]))
        elif answer is not None:
            self.future.set_result(answer)


def _json(fields: Dict[str, Any]) -> bytes:
    try:
        return json.dumps(fields, default=_plain, allow_nan=False).encode()
    except ValueError as e:
        raise ValueError(f"a setting cannot be sent, expected finite numbers: {e}") from e


def _plain(value: Any) -> Any:
    """Returns numbers and arrays of numpy as JSON has them."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"a setting is a {type(value).__name__}, expected a number, a text or a list of those")


class Worker:
    """Keeps a process running while there are requests.

    If the process dies, the requests that it worked on are given to a new one, one after another, so that one that kills
    processes takes no other with it. A request at which a process dies a second time is a WorkerError.
    """

    def __init__(self, command: Sequence[str], env: Optional[Dict[str, str]]) -> None:
        self._command = list(command)
        self._env = env
        self._closed = False
        self._begin()
        _workers.add(self)

    def _begin(self) -> None:
        self._lock = threading.Lock()  # of everything below
        self._writing = threading.Lock()  # of the pipe to the process; never taken by who holds the other
        self._process: Optional[subprocess.Popen[bytes]] = None
        self._jobs: Dict[int, Job] = {}  # that the process works on
        self._again: Deque[Job] = collections.deque()  # that an earlier process left
        self._next = 0
        self._said: Deque[str] = collections.deque(maxlen=20)  # on standard error

    def forked(self) -> None:
        """Lets go of the process, which is the parent's: as long as a child has its pipes open, it does not see their end."""
        process = self._process
        self._begin()
        if process is not None:
            for pipe in (process.stdin, process.stdout, process.stderr):
                cast(Any, pipe).raw.close()  # which neither writes what the parent writes nor waits for a thread that is not here

    def submit(self, job: Job) -> None:
        """Gives a request to the process."""
        self._send(job)

    @property
    def pid(self) -> Optional[int]:
        """The id of the process, None while there is none."""
        process = self._process
        return None if process is None else process.pid

    def close(self, patience: float = 5.0) -> None:
        """Ends the process. Requests that are not answered yet are errors."""
        with self._lock:
            self._closed = True
            process, self._process = self._process, None
            left = [*self._jobs.values(), *self._again]
            self._jobs, self._again = {}, collections.deque()
        for job in left:
            job.finish(None, WorkerError("the model was closed before the request was answered"))
        if process is not None:
            if left:
                process.terminate()
            _close(process.stdin)
            try:
                process.wait(patience)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _send(self, job: Job) -> None:
        with self._writing:
            with self._lock:
                if self._closed:
                    raise WorkerError("the model is closed")
                process = self._process or self._start()
                number, self._next = self._next, self._next + 1
                self._jobs[number] = job
            try:
                assert process.stdin is not None
                process.stdin.write(job.line(number))
                process.stdin.flush()
            except (BrokenPipeError, ValueError):
                pass  # it died, which who reads its answers sees

    def _start(self) -> subprocess.Popen[bytes]:
        """Starts a process. The caller holds the lock."""
        try:
            process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=self._env,
                start_new_session=True,  # Ctrl-C is for the program, which may go on
            )
        except OSError as e:
            raise WorkerError(f"cannot start {self._command[0]}: {e.strerror or e}") from e
        self._process = process
        self._said.clear()
        errors = threading.Thread(target=self._listen, args=(process,), daemon=True)
        errors.start()
        threading.Thread(target=self._read, args=(process, errors), daemon=True).start()
        return process

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        """Reads standard error."""
        assert process.stderr is not None
        for line in process.stderr:
            text = line.decode(errors="replace").rstrip()
            self._said.append(text)
            if text.startswith("warning: "):
                log.warning("%s", text[len("warning: ") :])

    def _read(self, process: subprocess.Popen[bytes], errors: threading.Thread) -> None:
        """Reads answers until the process ends."""
        assert process.stdout is not None
        wrong = ""
        for line in process.stdout:
            if not line.endswith(b"\n"):
                break  # the process died while it wrote
            try:
                answer = json.loads(line)
                number = answer["id"]
            except (ValueError, TypeError, KeyError):  # of a script around the executable
                wrong = f"it wrote a line that is no answer: {line[:80]!r}"
                os.killpg(process.pid, signal.SIGKILL)
                break
            with self._lock:
                job = self._jobs.pop(number, None)
                after = self._again.popleft() if job is not None and job.deaths > 0 and self._again else None
            if job is not None:
                job.finish(answer)
            if after is not None:
                self._resend(after)
        code = process.wait()
        errors.join()
        if wrong:
            self._said.append(wrong)
        process.stdout.close()
        _close(process.stdin)
        self._died(process, code)

    def _died(self, process: subprocess.Popen[bytes], code: int) -> None:
        """Has the requests of a process that ended answered by another one."""
        reason = f"ended with status {code}" if code >= 0 else f"was ended by signal {-code}"
        error = f"the executable {self._command[0]} {reason} twice while it worked on this request"
        if self._said:
            error += ": " + self._said[-1]
        with self._lock:
            if self._process is not process:
                return  # it was closed
            self._process = None
            left, self._jobs = list(self._jobs.values()), {}
            gone: List[Job] = []
            for job in left:
                job.deaths += 1
                (gone if job.deaths > 1 else self._again).append(job)
            first = self._again.popleft() if self._again else None
        if left:
            log.warning("the executable %s %s; %d requests are given to a new one", self._command[0], reason, len(left) - len(gone))
        for job in gone:
            job.finish(None, WorkerError(error))
        if first is not None:
            self._resend(first)

    def _resend(self, job: Job) -> None:
        """Sends a request again on a thread of its own: who reads answers must not wait for who writes requests."""
        threading.Thread(target=self._retry, args=(job,), daemon=True).start()

    def _retry(self, job: Job) -> None:
        try:
            self._send(job)
        except WorkerError as e:
            with self._lock:
                left, self._again = [job, *self._again], collections.deque()
            for j in left:
                j.finish(None, e)


_workers: weakref.WeakSet[Worker] = weakref.WeakSet()


def _forked() -> None:
    for worker in list(_workers):
        worker.forked()


os.register_at_fork(after_in_child=_forked)


def _close(pipe: Optional[IO[bytes]]) -> None:
    try:
        if pipe is not None:
            pipe.close()
    except (BrokenPipeError, OSError):
        pass


def environment(extra: Optional[Dict[str, str]]) -> Optional[Dict[str, str]]:
    """Returns the environment of a process, None for that of this one."""
    return None if extra is None else {**os.environ, **extra}
