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


@dataclass(frozen=True, slots=True)
class Adapting:
    """The retriever is being adapted to the repository; this is what is done for it now."""

    stage: str
    """In plain words: reading, training, proving."""


@dataclass(frozen=True, slots=True)
class Trained:
    """How training goes."""

    steps: int
    of: int
    """Steps at most."""
    progress: float
    """From 0 to 1, by steps or by time, whichever is further."""
    loss: float | None
    """Of the LM, nats a token; None without one."""
    gain: float | None
    """How much less its loss on unseen documents is for what the retriever shows it of others; None without any."""
    before: float
    """Mean reciprocal rank of the development questions with the base."""
    mrr: float | None
    """The same now; None without questions."""
    seconds: float


Event = Scanning | Planned | Progress | Skipped | Warned | Compacting | Done | Adapting | Trained
