"""What a store is called: a folder, or a URI, made of what was typed. Standard library only."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from codesearch.errors import UsageError

_SCHEMES: Final = ("s3", "gs", "az", "file")


def address(store: str, cwd: Path) -> str:
    """Return the URI of the STORE that was typed in CWD; a path becomes absolute, for workers stand elsewhere.

    Raises:
        UsageError: it begins with another scheme.
    """
    scheme, slashes, _ = store.partition("://")
    if not slashes:
        return str((cwd / store).absolute())
    if scheme not in _SCHEMES:
        raise UsageError(f"{store} is no place for a store. Give a folder, or a URI that begins with s3, gs or az.")
    return store.rstrip("/")
