"""What long work reports: small values that the terminal, servers and tests each show their own way.

A newer event of the same class replaces an older one on a display, except `Skipped` and `Warned`, which add up.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scanning:
    """Files are being listed and compared with the manifest."""

    files: int


@dataclass(frozen=True, slots=True)
class Planned:
    """The comparison is done: this is the work."""

    files: int
    """Files to chunk and encode."""
    removed: int
    """Files to forget."""
    unchanged: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Progress:
    """So much of the plan is safely in the store."""

    files: int
    chunks: int
    bytes: int
    encoded: int
    """Chunks that went through the encoder; the others' vectors were reused."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """One file is not indexed, and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Warned:
    """Something a person should know that stops nothing."""

    message: str


@dataclass(frozen=True, slots=True)
class Compacting:
    """The store is being compacted and old versions cleaned up."""


@dataclass(frozen=True, slots=True)
class Done:
    """The index is complete and answers."""

    files: int
    """Files in the index now."""
    chunks: int
    """Chunks in the index now."""
    indexed: int
    """Files (re)indexed in this run."""
    removed: int
    encoded: int
    reused: int
    skipped: int
    seconds: float


Event = Scanning | Planned | Progress | Skipped | Warned | Compacting | Done
