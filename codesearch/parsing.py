"""Parses text that may have been written to do harm: within bounds of time, of memory and of the stack.

tree-sitter keeps what it is in the midst of in a graph with a node a token, up to a kilobyte each where a grammar's
scanner has a state of its own: 1 MB of `f(` takes two gigabytes. It gives such a graph back by recursion, one frame a
node, and dies of that where the stack is small. So parsing is stopped when it has taken too long or too much, as its
progress callback can, and happens on a thread whose stack is deep enough for what memory is granted. The step that it
takes at the end of a text it can make nothing of asks nobody, and is not bounded (SECURITY.md, "What is not promised").
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from time import monotonic, thread_time
from typing import TYPE_CHECKING, Final, TypeVar

from codesearch import memory

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


def parse(parser: tree_sitter.Parser, data: bytes, time_limit: float = TIME_LIMIT) -> tree_sitter.Tree | None:
    """Return the tree of DATA, or None where it takes more than TIME_LIMIT seconds of work, or too much memory.

    To be called on the deep stack; see `deep`.
    """
    deadline = thread_time() + time_limit
    # Asked thousands of times a file; this thread's clock takes ten times as long to read as that on the wall.
    soonest = monotonic() + time_limit
    before = memory.resident()
    granted = min(_MEMORY + _MEMORY_A_BYTE * len(data), _MOST_MEMORY)
    reports = 0
    taken = 0

    def enough(_offset: int, _has_error: bool) -> bool:
        nonlocal reports, taken
        reports += 1
        if reports % _EVERY == 0:
            taken = max(taken, memory.resident() - before)
        return taken > granted or (monotonic() > soonest and thread_time() > deadline)

    view = memoryview(data)
    try:
        return parser.parse(lambda offset, _: view[offset : offset + _READ], progress_callback=enough)
    except ValueError:  # the parser's word for "cancelled"
        parser.reset()
        return None
    finally:
        if taken > _NOTABLE:
            memory.give_back()


def deep(work: Callable[[], _T]) -> _T:
    """Do WORK on the deep stack, one at a time, and return what it returns; it must not ask for another."""
    return _deep_thread().submit(work).result()


@cache
def _deep_thread() -> ThreadPoolExecutor:
    thread = ThreadPoolExecutor(1, "parsing")
    before = threading.stack_size(_STACK)
    try:
        thread.submit(int).result()  # it starts with the first work
    finally:
        threading.stack_size(before)
    return thread
