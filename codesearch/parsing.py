"""Parses text that may have been written to do harm: within bounds of time, of memory and of the stack.

tree-sitter keeps what it is in the midst of in a graph with a node a token, up to a kilobyte each where a grammar's
scanner has a state of its own: 1 MB of `f(` takes two gigabytes. It gives such a graph back by recursion, one frame a
node, and dies of that where the stack is small. So parsing is stopped when it has taken too long or too much, as its
progress callback can, and happens on a thread whose stack is deep enough for what memory is granted.

In the step that it takes at the end of a text it can make nothing of, it looks at all ways through that graph and asks
nobody: 10 kB of `x => ` as C take a gigabyte there, growing with the square of the length. Nothing tells before whether
that will come. So only texts that are little work are parsed in any process; for the others it must be one that is
`confine`d, which the system ends when it takes too much: a worker of a pool (`prepare`), or the one in `apart`.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from time import monotonic, thread_time
from typing import TYPE_CHECKING, Final, TypeVar

from codesearch import memory

try:
    import resource
except ImportError:  # not on Windows
    resource = None  # type: ignore[assignment]

if TYPE_CHECKING:
    import tree_sitter

_T = TypeVar("_T")

TIME_LIMIT: Final = 4.0
"""Seconds of work on parsing a file; a file of 1 MB takes a third of a second, one that takes seconds is hostile. They
are this thread's and not the clock's, by which a file would be cut in another way on a busy machine."""

_MEMORY: Final = 256 << 20
_MEMORY_A_BYTE: Final = 64
_MOST_MEMORY: Final = 768 << 20
"""Bytes of memory that parsing may take: so many, and as many more for each byte of a file, and never more than the
last. A megabyte of honest code takes up to fifty megabytes."""
_NOTABLE: Final = 64 << 20
"""Bytes that are worth returning to the system at once; kept by the C library, they would hide what the next takes."""
_EVERY: Final = 64
"""Progress is reported some thousand times a megabyte; asking for the memory each time would be felt."""
_STACK: Final = 256 << 20
"""Bytes of the stack. It recurses into fifty bytes a node, and `_MOST_MEMORY` holds three million nodes. What is not
used costs addresses, no memory."""
_READ: Final = 1 << 16
"""Bytes handed to the parser at a time."""
_LITTLE: Final = 32
"""Reports, a hundred tokens and reductions each, up to which a text is little work: for three files of four. The last
step costs up to 72 MB (Python, `/*`) and a third of a second (Swift, `/*`) then; with 64 it is 350 MB and 2 seconds."""
_LONG: Final = 8192
"""Bytes of a text that is taken for more than that without a trial, as nine of ten such are."""
_GRACE: Final = 2.0
_MARGIN: Final = 128 << 20
"""Seconds and bytes beyond what stops a parse, after which the process is ended: for the steps between two reports, and
for the query."""

_confined = False


class TooMuchHereError(Exception):
    """The text is more work than is done in a process that must not be ended."""


def confine() -> None:
    """Let this process be ended when a text takes more than it is granted; for one that is there for such work alone.

    What ends it is the system, and where that knows no such limits (Windows), nothing is: see `apart` for its patience.
    """
    global _confined
    _confined = True
    if hasattr(signal, "SIGPROF"):
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
    if resource is not None:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def parse(parser: tree_sitter.Parser, data: bytes, time_limit: float = TIME_LIMIT) -> tree_sitter.Tree | None:
    """Return the tree of DATA, or None where it takes more than TIME_LIMIT seconds of work, or too much memory.

    To be called on the deep stack, and raise what that does; see `deep`.
    """
    deadline = thread_time() + time_limit
    # Asked thousands of times a file; this thread's clock takes ten times as long to read as that on the wall.
    soonest = monotonic() + time_limit
    before = memory.resident()
    granted = _granted(len(data))
    most = float("inf") if _confined else _LITTLE
    reports = 0
    taken = 0

    def enough(_offset: int, _has_error: bool) -> bool:
        nonlocal reports, taken
        reports += 1
        if reports % _EVERY == 0:
            taken = max(taken, memory.resident() - before)
        return reports > most or taken > granted or (monotonic() > soonest and thread_time() > deadline)

    view = memoryview(data)
    parser.reset()  # an error may have left it in the midst of another text
    try:
        return parser.parse(lambda offset, _: view[offset : offset + _READ], progress_callback=enough)
    except ValueError:  # the parser's word for "cancelled"
        parser.reset()  # which gives back what it holds
        if reports > most:
            raise TooMuchHereError from None
        return None
    finally:
        if taken > _NOTABLE:
            memory.give_back()


def deep(work: Callable[[], _T], size: int) -> _T:
    """Do WORK on a text of SIZE bytes on the deep stack, one at a time, and return what it returns.

    It must not ask for another. In a confined process it is within bounds, which end the process.

    Raises:
        TooMuchHereError: the process is not confined, and that is needed.
    """
    if not _confined and size > _LONG:
        raise TooMuchHereError
    thread = _deep_thread()
    if not _confined:
        return thread.submit(work).result()
    with _bounds(size):
        try:
            return thread.submit(work).result()
        except MemoryError:  # Python looks where tree-sitter does not
            os._exit(1)


@contextmanager
def _bounds(size: int) -> Iterator[None]:
    """Have the system end this process where a text of SIZE bytes takes more than it may.

    An allocation is refused, which tree-sitter does not survive; a timer of the process's own work ends it.
    """
    with ExitStack() as lifted:
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_PROF, TIME_LIMIT + _GRACE)
            lifted.callback(signal.setitimer, signal.ITIMER_PROF, 0)
        if resource is not None and (space := memory.addresses()):
            limits = resource.getrlimit(resource.RLIMIT_AS)
            most = space + _granted(size) + _MARGIN
            if not 0 <= limits[0] < most:
                resource.setrlimit(resource.RLIMIT_AS, (most, limits[1]))
                lifted.callback(resource.setrlimit, resource.RLIMIT_AS, limits)
        yield


def _granted(size: int) -> int:
    """Return how many bytes of memory parsing a text of SIZE bytes may take."""
    return min(_MEMORY + _MEMORY_A_BYTE * size, _MOST_MEMORY)


@cache
def _deep_thread() -> ThreadPoolExecutor:
    thread = ThreadPoolExecutor(1, "parsing")
    before = threading.stack_size(_STACK)
    try:
        thread.submit(int).result()  # it starts with the first work
    finally:
        threading.stack_size(before)
    return thread
