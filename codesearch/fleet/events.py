"""What a run over many repositories reports, as `codesearch.events` does of one. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Indexed:
    """A repository is in the store, as of a commit: this is said once it is committed."""

    repository: str
    commit: str
    files: int
    chunks: int


@dataclass(frozen=True, slots=True)
class Unchanged:
    """A repository was in already, as of the same commit."""

    repository: str


@dataclass(frozen=True, slots=True)
class Failed:
    """A repository could not be indexed, however often it was tried; what the store has of it stays."""

    repository: str
    reason: str


@dataclass(frozen=True, slots=True)
class Noted:
    """Something about a repository that a person should know and that stops nothing."""

    repository: str
    message: str


@dataclass(frozen=True, slots=True)
class Tidying:
    """Small fragments are merged, and what came in is added to the indexes."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The end of a run."""

    indexed: int
    unchanged: int
    failed: int
    chunks: int
    """Of what was indexed."""
    seconds: float


Event = Indexed | Unchanged | Failed | Noted | Tidying | Finished
