"""What the interface and its session say to each other: plain values, so that a server can take the session's place.

Light on purpose: the first frame is painted before anything heavy is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

from codesearch.events import Event
from codesearch.types import Hit, Kind, Stale

if TYPE_CHECKING:
    from codesearch.related import Relation

KINDS = tuple(Kind)


@dataclass(frozen=True, slots=True)
class Only:
    """What may answer; the empty one lets everything."""

    languages: frozenset[str] = frozenset()
    globs: tuple[str, ...] = ()
    kinds: frozenset[Kind] = frozenset()
    tests: bool = True


@dataclass(frozen=True, slots=True)
class Question:
    """One question; a later one has a higher number, and its answer is never replaced by that of an earlier one."""

    number: int
    text: str
    only: Only = field(default_factory=Only)


@dataclass(frozen=True, slots=True)
class Answered:
    """What a question got: the nearest hits there are, and whether they are good enough to be called an answer."""

    question: Question
    hits: tuple[Hit, ...]
    ms: float
    confidence: float
    enough: bool
    state: Stale
    indexed: float = 1.0
    """Share of the files that was searched; less than 1 while the first index is being built."""


@dataclass(frozen=True, slots=True)
class Related:
    """What belongs to a hit, by relation, those with none left out."""

    number: int
    subject: Hit
    groups: tuple[tuple[str, tuple[Hit, ...]], ...]

    @classmethod
    def of(cls, number: int, hit: Hit, subject: Hit, found: Mapping[Relation, tuple[Hit, ...]]) -> Self:
        """Return what was FOUND of HIT, which is now SUBJECT, with the score that HIT had."""
        groups = tuple((str(relation), hits) for relation, hits in found.items() if hits)
        return cls(number, replace(subject, score=hit.score, reasons=hit.reasons), groups)


@dataclass(frozen=True, slots=True)
class Opened:
    """The index was looked at for the first time."""

    usable: bool
    """Whether it can answer while it is brought up to date."""


@dataclass(frozen=True, slots=True)
class Working:
    """The index is being brought up to date."""

    event: Event


@dataclass(frozen=True, slots=True)
class Indexed:
    """The index is as up to date as it gets, for now."""

    state: Stale
    files: int = 0
    chunks: int = 0
    languages: tuple[tuple[str, int], ...] = ()
    """Language and chunks; most chunks first."""
    adapted: bool = False
    said: str = ""
    """Why it is not up to date."""


@dataclass(frozen=True, slots=True)
class Adapting:
    """The retriever is being adapted."""

    event: Event


@dataclass(frozen=True, slots=True)
class Adapted:
    """Adapting came to an end; `accepted` is None where it was cancelled or failed."""

    accepted: bool | None
    said: str


@dataclass(frozen=True, slots=True)
class Refused:
    """One request could not be met, and why; everything goes on."""

    said: str


@dataclass(frozen=True, slots=True)
class Broken:
    """The session has ended by an error."""

    error: Exception


Told = Answered | Related | Opened | Working | Indexed | Adapting | Adapted | Refused | Broken
"""Everything a session says."""
