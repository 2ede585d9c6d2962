"""What long work reports: small values that the terminal, servers and tests each show their own way.

A newer event of the same class replaces an older one on a display, except `Skipped` and `Warned`, which add up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_SOON: Final = 10.0
"""Seconds for which nobody plans anything else."""


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
    left: float = 0.0
    """Seconds that the rest of the plan will take, at the speed so far."""

    @property
    def wait(self) -> str:
        """`left` as the end of a sentence, `, 3 min left`; nothing where it is not worth saying."""
        return _wait(self.left)


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

    @property
    def wait(self) -> str:
        """How long it will take at most, as `Progress` says it."""
        return _wait(self.seconds * (1 - self.progress) / max(self.progress, 1e-6))


def _wait(left: float) -> str:
    if left < _SOON:
        return ""
    if left < 2 * 60:
        return f", {left:.0f} s left"
    minutes = round(left / 60)
    return f", {minutes} min left" if minutes < 60 else f", {minutes // 60} h {minutes % 60} min left"


Event = Scanning | Planned | Progress | Skipped | Warned | Compacting | Done | Adapting | Trained
