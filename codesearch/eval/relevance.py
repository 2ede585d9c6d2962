"""nDCG@10, recall@10 and MRR@10 of a ranking against judged targets, by the rules of a public benchmark.

The rules are those of MinishLab/semble's benchmark (MIT), so that figures can be set beside published ones: the first
ten rows count as they stand (two chunks of one file take two rows), a target is found at the first row of its path
whose lines overlap the target's, where it names lines; a row that finds a target gains 1, and the ideal ranking has
every target on top. The headline of a run is the mean over repositories of each repository's mean over its queries.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Final, Protocol

from codesearch.types import Span

DEPTH: Final = 10
"""Rows that count: one page."""


class Row(Protocol):
    """One line of a ranking; a Hit and a Chunk are some."""

    @property
    def path(self) -> str:
        """Written as the targets write it."""
        ...

    @property
    def span(self) -> Span:
        """The lines shown."""
        ...


@dataclass(frozen=True, slots=True)
class Place:
    """The least that a Row needs."""

    path: str
    span: Span


@dataclass(frozen=True, slots=True)
class Target:
    """A file, or some lines of it, that answers a query."""

    path: str
    span: Span | None = None

    def found_by(self, row: Row) -> bool:
        """Tell whether ROW shows this target."""
        if row.path != self.path:
            return False
        if self.span is None:
            return True
        return row.span.start_line <= self.span.end_line and row.span.end_line >= self.span.start_line


@dataclass(frozen=True, slots=True)
class Score:
    """Figures of one ranking, or means of many; each from 0 to 1."""

    ndcg: float
    recall: float
    mrr: float


def score(rows: Sequence[Row], targets: Sequence[Target]) -> Score:
    """Return the figures of ROWS, best first, for a query answered by TARGETS (at least one)."""
    ranks = []
    for target in targets:
        found = next((rank for rank, row in enumerate(rows[:DEPTH]) if target.found_by(row)), None)
        if found is not None:
            ranks.append(found)
    ideal = sum(1 / math.log2(rank + 2) for rank in range(min(DEPTH, len(targets))))
    gained = sum(1 / math.log2(rank + 2) for rank in set(ranks))
    return Score(gained / ideal, len(ranks) / len(targets), 1 / (min(ranks) + 1) if ranks else 0.0)


def mean(scores: Iterable[Score]) -> Score:
    """Return the mean of each figure; of none at all, an error (statistics.StatisticsError)."""
    scores = list(scores)
    return Score(fmean(s.ndcg for s in scores), fmean(s.recall for s in scores), fmean(s.mrr for s in scores))
