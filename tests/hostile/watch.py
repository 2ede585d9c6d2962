"""Says whether anything at all, this process, its children or a library in C, has opened a file of a folder.

By the kernel's own word (inotify), so nothing that is tested can be forgotten, or get round it.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_OPEN: Final = 0x20
_ACCESS: Final = 0x01
_IS_FOLDER: Final = 0x40000000
_HEAD: Final = struct.Struct("iIII")


class Watch:
    """What was opened or read below some folders since it began."""

    def __init__(self, *folders: Path) -> None:
        """Watch FOLDERS, with all that is in them now."""
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        assert self._descriptor >= 0, os.strerror(ctypes.get_errno())
        self._names: dict[int, Path] = {}
        for folder in folders:
            for path in (folder, *(path for path in folder.rglob("*") if path.is_dir() and not path.is_symlink())):
                watch = self._libc.inotify_add_watch(self._descriptor, os.fsencode(path), _OPEN | _ACCESS)
                assert watch >= 0, os.strerror(ctypes.get_errno())
                self._names[watch] = path

    def opened(self) -> set[str]:
        """Return the files that were opened or read; listing a folder is not counted."""
        found: set[str] = set()
        data = b""
        with suppress(BlockingIOError):
            while more := os.read(self._descriptor, 1 << 16):
                data += more
        while data:
            watch, mask, _, length = _HEAD.unpack_from(data)
            name = data[_HEAD.size : _HEAD.size + length].rstrip(b"\0")
            data = data[_HEAD.size + length :]
            if not mask & _IS_FOLDER and name:
                found.add(str(self._names[watch] / os.fsdecode(name)))
        return found

    def close(self) -> None:
        os.close(self._descriptor)


@contextmanager
def nothing_opened(*folders: Path) -> Iterator[None]:
    """Assert that no file of FOLDERS is opened within; on other systems than Linux, nothing is asserted."""
    if sys.platform != "linux":
        yield
        return
    watch = Watch(*folders)
    try:
        yield
        assert not watch.opened()
        # It does see what is opened.
        probe = next(path for folder in folders for path in folder.rglob("*") if path.is_file())
        probe.read_bytes()
        assert str(probe) in watch.opened()
    finally:
        watch.close()
