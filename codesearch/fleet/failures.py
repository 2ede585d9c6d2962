"""What git, Ray and Lance say when something fails, in words of ours and without what nobody may read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from codesearch.errors import CodesearchError, StorageError

_USER: Final = re.compile(r"(\w+://)[^/@\s]+@")
_NOISE: Final = re.compile(r"^lance error: |^Invalid input, |LanceError\(\w+\): |, \S+\.rs:\d+:\d+")
"""What Lance says to its own developers."""


def safe(said: str) -> str:
    """Return what was SAID without users and tokens in its URLs."""
    return _USER.sub(r"\1", said)


def short(said: str) -> str:
    """Return the first line of what was SAID, in the same way."""
    return safe(_NOISE.sub("", said.strip().partition("\n")[0])).rstrip(". ")[:300]


def of_task(error: Exception) -> str:
    """Return, in the same way, why a task of Ray's failed: what it raised, or what became of its worker."""
    return short(str(getattr(error, "cause", error)))


@contextmanager
def storing(uri: str) -> Iterator[None]:
    """Turn what Lance raises about the store at URI into StorageError."""
    try:
        yield
    except CodesearchError:
        raise
    except (OSError, ValueError, RuntimeError) as error:
        raise StorageError(
            f"{uri} can not be read or written: {short(str(error))}. Check the address and the credentials, which come "
            "from the environment or the machine, then run the same command again; nothing that is in is lost."
        ) from error
