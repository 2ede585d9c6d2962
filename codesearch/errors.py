"""The one small tree of errors; each message says what to do next.

CodesearchError            caught once, at the edge: message on stderr, exit code 2
├── RootError              ROOT is missing, not a folder, unreadable, or holds nothing to index
├── IndexFormatError       the index can not be read: it is not there, or written by a newer version
│   └── IndexDamagedError  or damaged; the next run that indexes builds it again
├── IndexBusyError         another process is writing this index
├── StorageError           disk full, read-only, or no permission for the index
├── BundleError            a model folder is missing files or does not match its fingerprint
├── GitError               git is missing or refused
├── UsageError             an argument or a setting makes no sense
└── ExtraMissingError      an optional part is not installed
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class CodesearchError(Exception):
    """Base of everything codesearch raises on purpose."""


class RootError(CodesearchError):
    """ROOT is missing, not a folder, unreadable, or holds nothing to index."""


class IndexFormatError(CodesearchError):
    """The index can not be read: it is not there, damaged, or written by a newer version."""


class IndexDamagedError(IndexFormatError):
    """The index is damaged: what was written is gone or was changed. Whoever indexes next builds it again."""

    def __init__(self, folder: Path, said: str) -> None:
        """Say of the index in FOLDER what is wrong with it."""
        super().__init__(
            f"the index in {folder} is damaged: {said}. Run `codesearch index --rebuild` to build it again; your files "
            "are not touched."
        )


class IndexBusyError(CodesearchError):
    """Another process is writing this index."""


class StorageError(CodesearchError):
    """Disk full, read-only, or no permission for the index."""


class BundleError(CodesearchError):
    """A model folder is missing files or does not match its fingerprint."""


class GitError(CodesearchError):
    """Git is missing or refused."""


class UsageError(CodesearchError):
    """An argument or a setting makes no sense."""


class ExtraMissingError(CodesearchError):
    """An optional part is not installed."""
