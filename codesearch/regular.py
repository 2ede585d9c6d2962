"""Opens what may be no file at all: a regular one, or an error at once, and never a wait for who writes to a pipe."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Final

_FLAGS: Final = os.O_RDONLY | sum(getattr(os, flag, 0) for flag in ("O_NONBLOCK", "O_CLOEXEC", "O_BINARY"))


@contextmanager
def opened(path: Path, *, follow: bool = True) -> Iterator[BufferedReader]:
    """Open the regular file PATH to read its bytes; unless FOLLOW, a link is none.

    Raises:
        OSError: as opening does, and where it is something else.
    """
    with os.fdopen(os.open(path, _FLAGS if follow else _FLAGS | getattr(os, "O_NOFOLLOW", 0)), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(f"{path.name} is no file")
        yield file
