"""Which folders have an index: one small file each in the user's state folder, for `codesearch list` and `clear`.

A note that can not be written or read is no harm: the index itself is where it always is.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

_MAX_BYTES: Final = 16_384


def folder() -> Path:
    """Return where the notes are."""
    import platformdirs

    return Path(platformdirs.user_state_dir("codesearch", appauthor=False)) / "roots"


def note(root: Path, index: Path) -> None:
    """Remember that the index of ROOT is in the folder INDEX; both are absolute."""
    said = json.dumps({"root": str(root), "index": str(index)})
    file = _file(root, index)
    with suppress(OSError, UnicodeError):
        if file.exists() and file.read_text(encoding="utf-8") == said:
            return
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = file.with_suffix(f".{os.getpid()}")
        fresh.write_text(said, encoding="utf-8")
        fresh.replace(file)


def forget(root: Path, index: Path) -> None:
    """Remember no longer."""
    with suppress(OSError):
        _file(root, index).unlink()


def known() -> Iterator[tuple[Path, Path]]:
    """Yield root and index folder of each note, in order of the roots."""
    found = []
    for file in folder().glob("*.json"):
        with suppress(OSError, ValueError, TypeError, KeyError):
            if file.stat().st_size <= _MAX_BYTES:
                said = json.loads(file.read_text(encoding="utf-8"))
                found.append((Path(said["root"]), Path(said["index"])))
    yield from sorted(found)


def _file(root: Path, index: Path) -> Path:
    digest = hashlib.blake2b(os.fsencode(root) + b"\0" + os.fsencode(index), digest_size=8).hexdigest()
    return folder() / f"{digest}.json"
