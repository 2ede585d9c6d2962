"""Linux's own record of what changes in folders: inotify, by way of the C library.

The kernel puts an event into the queue before the call that made the change returns, so whoever reads the queue until
it is empty has seen every change that was made before; and it says so when the queue was full and events were dropped.
Nothing has to run meanwhile. Both are why this is not watchfiles: its thread hands events on later, in batches with
pauses between them, it says nothing of dropped ones (they come without a path, and it passes over what has none), and
what comes just as it times out is dropped too.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys
from typing import Final

_CREATE: Final = 0x100
_MODIFY: Final = 0x2
_ATTRIB: Final = 0x4
_MOVED: Final = 0x40 | 0x80
_DELETE: Final = 0x200
_GONE: Final = 0x400 | 0x800
"""The folder itself was deleted or moved."""
_ONLY_FOLDERS: Final = 0x01000000
_NO_LINKS: Final = 0x02000000
_FOLDER: Final = 0x40000000
"""The event is about a folder."""
_EVENT: Final = struct.Struct("iIII")
"""Watch, what happened, which events belong together, length of the name that follows, zeros behind it included."""
_MASK: Final = _CREATE | _MODIFY | _ATTRIB | _MOVED | _DELETE | _GONE | _ONLY_FOLDERS | _NO_LINKS
_READ: Final = 1 << 16


class Inotify:
    """A queue of changes in the folders that are watched; the folders below them are others."""

    def __init__(self) -> None:
        """Begin to watch nothing; raise OSError where that is not possible."""
        if not sys.platform.startswith("linux"):
            raise OSError(errno.ENOSYS, "inotify is Linux's")
        library = ctypes.CDLL(None, use_errno=True)
        self._add = library.inotify_add_watch
        self._folders: dict[int, str] = {}
        """The folder of each watch."""
        self._descriptor: int = library.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._descriptor < 0:
            raise _error()

    def watch(self, folder: str) -> None:
        """Watch FOLDER from now on; raise OSError where it is none, or there are too many. Twice is as good as once."""
        watch = self._add(self._descriptor, os.fsencode(folder), _MASK)
        if watch < 0:
            raise _error()
        self._folders[watch] = folder

    def restart(self) -> None:
        """Forget what has changed so far, and the names of the folders, which are all to be watched again."""
        self.changed()
        self._folders.clear()

    def changed(self) -> set[str] | None:
        """Return the files that may have changed since the last call; only the kernel's queue is looked at.

        None means that anything may have: folders did, or there were more events than the kernel keeps.
        """
        found: set[str] | None = set()
        while True:
            try:
                data = os.read(self._descriptor, _READ)
            except BlockingIOError:
                return found
            if found is not None:
                found = self._joined(found, data)

    def _joined(self, found: set[str], data: bytes) -> set[str] | None:
        """Add to FOUND the files that the events in DATA are about; see `changed`."""
        at = 0
        while at < len(data):
            watch, what, _, length = _EVENT.unpack_from(data, at)
            at += _EVENT.size + length
            name = data[at - length : at].rstrip(b"\0")
            folder = self._folders.get(watch)
            if folder is None or not name or what & _FOLDER:
                return None
            found.add(f"{folder}/{os.fsdecode(name)}")
        return found

    def close(self) -> None:
        """Watch nothing any more."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __del__(self) -> None:
        self.close()


def _error() -> OSError:
    code = ctypes.get_errno()
    return OSError(code, os.strerror(code))
