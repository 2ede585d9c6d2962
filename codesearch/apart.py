"""Asks a process of its own about a text that may take all there is: that process may end of it, and this one goes on.

It is begun when one is first needed, kept while more texts come, and ends with this process, when its input does. A
request is a line of JSON and then the bytes of the text; an answer is a line of JSON, which is data whatever the text
has made of the process that wrote it. The first line says that it is ready: one that can not be begun is no fault of a
text.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final

from codesearch.errors import CodesearchError

_PROGRAM: Final = "from codesearch.syntax import serve; serve()"
_PATIENCE: Final = 60.0
"""Seconds on the wall after which the process is ended, where the system has no means to; else it takes six at most."""

_REST: Final = 30.0
"""Seconds without a text after which it is ended: it takes 40 MB."""

_lock: Final = threading.Lock()
_process: subprocess.Popen[bytes] | None = None
_resting: threading.Timer | None = None


class EndedError(Exception):
    """The process ended of the text."""


def ask(request: list[Any], data: bytes) -> Any:
    """Return what the process answers to REQUEST about DATA, see `syntax.serve`.

    Raises:
        EndedError: it took more than it is granted, or crashed.
        CodesearchError: no process can be begun.
    """
    message = json.dumps([*request, len(data)]).encode() + b"\n" + data
    with _lock:
        for fresh in (_process is None, True):
            if answer := _exchange(message):
                return json.loads(answer)
            if fresh:  # else somebody may have ended it before
                break
    raise EndedError


def _exchange(message: bytes) -> bytes:
    """Return the line that the process answers to MESSAGE, or nothing where it ends instead."""
    global _resting
    if _resting is not None:
        _resting.cancel()
    process = _process or _begin()
    assert process.stdin is not None and process.stdout is not None
    patience = _after(_PATIENCE, process.kill)
    answer = b""
    try:
        with suppress(BrokenPipeError):
            process.stdin.write(message)
            process.stdin.flush()
            answer = process.stdout.readline()
    finally:
        patience.cancel()
        if answer.endswith(b"\n"):
            _resting = _after(_REST, end)
        else:  # or was interrupted: what it says next would be taken for the answer about another text
            answer = b""
            _end()
    return answer


def serve(answer: Callable[[list[Any], bytes], Any]) -> None:
    """Give what ANSWER returns to each request and its text, until the input ends."""
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    _say(answers, "ready")
    for line in requests:
        *request, size = json.loads(line)
        _say(answers, answer(request, requests.read(size)))


def end() -> None:
    """End the process if there is one and it does nothing; the next text begins another."""
    if _lock.acquire(blocking=False):
        try:
            _end()
        finally:
            _lock.release()


atexit.register(end)


def _after(seconds: float, work: Callable[[], None]) -> threading.Timer:
    timer = threading.Timer(seconds, work)
    timer.daemon = True
    timer.start()
    return timer


def _say(answers: IO[bytes], answer: Any) -> None:
    answers.write(json.dumps(answer).encode() + b"\n")
    answers.flush()


def _begin() -> subprocess.Popen[bytes]:
    global _process
    aside: dict[str, Any] = {"process_group": 0} if os.name == "posix" else {"creationflags": 0x08000000}
    try:
        # -P: nothing in a working directory is taken for a module. Ctrl-C is not for it, hence a group of its own.
        _process = subprocess.Popen(
            [sys.executable, "-P", "-c", _PROGRAM],
            cwd=Path(sys.executable).anchor,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            **aside,
        )
    except OSError as error:
        raise CodesearchError(f"files are parsed in a process of its own, which can not be begun: {error}") from error
    assert _process.stdout is not None
    if not _process.stdout.readline():
        _end()
        raise CodesearchError(
            "files are parsed in a process of its own, which ends at once; what it says is shown by "
            f"`{sys.executable} -P -c '{_PROGRAM}'`."
        )
    return _process


def _end() -> None:
    global _process
    if _process is not None:
        _process.kill()
        with suppress(BrokenPipeError):
            _process.communicate()
        _process = None
