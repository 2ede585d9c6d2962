"""Which index folders are this user's own: each bears a seal that only this user can have made.

An index is more than data: its database, its model and the names in it are handed to libraries that are not made for
a stranger's files, and its log and lock are written to. Anyone can put a `.codesearch/` into an archive, links and all,
so one is believed only with a file `seal` in it that is keyed with a secret in the user's data folder. A seal holds for
the folder's inode, which outlives a move, or for its path, where a file system numbers its folders anew; a copy of it
elsewhere is worth nothing.
"""

from __future__ import annotations

import hmac
import os
import secrets
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Final

from codesearch.regular import opened

SEAL: Final = "seal"
"""Name of the file in an index folder."""
_KEY: Final = 32
"""Bytes of the secret, and of what is made with it."""


def sealed(folder: Path) -> bool:
    """Tell whether FOLDER, a real one, bears this user's seal; where no secret can be kept, any folder counts as such.

    A user without a data folder (a bare container, a service) could else never have an index that lasts.
    """
    key = _secret()
    if key is None:
        return True
    said = _read(folder / SEAL, 2 * _KEY)
    if said is None or len(said) != 2 * _KEY:
        return False
    return any(
        hmac.compare_digest(said[at : at + _KEY], mark) for at, mark in zip((0, _KEY), _marks(folder, key), strict=True)
    )


def seal(folder: Path) -> None:
    """Put this user's seal on FOLDER.

    Raises:
        OSError: it can not be written.
    """
    key = _secret()
    if key is not None:
        _write(folder / SEAL, b"".join(_marks(folder, key)))


def _marks(folder: Path, key: bytes) -> tuple[bytes, bytes]:
    """Return what the seal of FOLDER holds: a mark for its inode, and one for its path."""
    facts = b"inode %d" % folder.stat().st_ino, b"path " + os.fsencode(folder.resolve())
    first, second = (hmac.digest(key, fact, "sha256") for fact in facts)
    return first, second


def _secret() -> bytes | None:
    """Return this user's secret, made when it is first needed, or None where none can be kept."""
    import platformdirs

    return _kept(Path(platformdirs.user_data_dir("codesearch", appauthor=False)) / "key")


@cache
def _kept(file: Path) -> bytes | None:
    """Return the secret in FILE."""
    if (found := _read(file, _KEY)) is None:
        with suppress(OSError):
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write(file, secrets.token_bytes(_KEY), replace=False)
        found = _read(file, _KEY)  # it may be another process's
    return found if found is not None and len(found) == _KEY else None


def _read(file: Path, size: int) -> bytes | None:
    """Return at most SIZE bytes of FILE, or None where that is no regular file of this user's."""
    try:
        with opened(file, follow=False) as held:
            return held.read(size)
    except OSError:
        return None


def _write(file: Path, content: bytes, *, replace: bool = True) -> None:
    """Write FILE at once, for this user alone; without REPLACE, one that is there stays."""
    fresh = file.with_name(f"{file.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as held:
            held.write(content)
        if replace:
            fresh.replace(file)
        else:
            with suppress(FileExistsError):
                os.link(fresh, file)
    finally:
        fresh.unlink(missing_ok=True)
