"""How much memory the process takes, and how a server keeps that small: what was freed goes back to the system.

The C library keeps a heap for each of many threads, and what is freed in them; Arrow keeps a pool of its own on top of
that. With 8,000 chunks, after some questions and changed files, that was 100 MB of 410.
"""

from __future__ import annotations

import ctypes
import gc
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

_ARENA_MAX: Final = -8
"""`M_ARENA_MAX` of glibc's malloc.h."""
_PAGE: Final = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


def be_small() -> None:
    """Let all threads share one heap, and Arrow use it; to be called before any of them is there."""
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    with suppress(OSError, AttributeError, TypeError):  # another C library
        ctypes.CDLL(None).mallopt(_ARENA_MAX, 1)


def give_back() -> None:
    """Return to the system what is free."""
    gc.collect()  # a command leaves cycles behind: its context, its console
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def resident() -> int:
    """Return the bytes of memory that this process takes, or 0 where that is not told."""
    return _statm(1)


def addresses() -> int:
    """Return the bytes of addresses that this process has, or 0 where that is not told."""
    return _statm(0)


def _statm(field: int) -> int:
    try:
        return int(Path("/proc/self/statm").read_bytes().split()[field]) * _PAGE
    except OSError:
        return 0
