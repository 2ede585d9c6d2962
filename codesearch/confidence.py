"""How sure an answer is: whether anything here answers the question at all, as one number from 0 to 1.

A ranking always has a best candidate, also for a question about kitchens. What tells the two apart are four figures
that are not relative: how much of the question is known here at all, how much of it one file has, how much of it is
in the names of one, and how near the nearest vector is. What is near depends on the retriever and on the repository,
so that is measured by `foreign.txt`, questions about other worlds: an index knows how near its chunks come to those.

The weights of the four are a logistic regression of judged questions against those of `foreign.txt`, over twenty
repositories (`python -m tests.relevance.confidence`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from math import exp
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from codesearch.evidence import Evidence
    from codesearch.types import Encoder

ENOUGH: Final = 0.2
"""Confidence from which an answer is given: refuses 98 in 100 foreign questions, and none of 399 judged ones."""

WEIGHTS: Final[Mapping[str, float]] = {"similarity": 1.65, "coverage": 2.25, "known": 2.84, "named": 1.43}
BIAS: Final = -7.06

_FEWEST: Final = 1e-3
"""The least deviation: an index of one chunk says hardly more of one foreign question than of another."""
_USUAL: Final = 2.0
"""Deviations that stand in where similarity was not asked."""


@cache
def foreign_questions() -> tuple[str, ...]:
    """Return the questions about other worlds that calibrate."""
    text = (files("codesearch") / "foreign.txt").read_text(encoding="utf-8")
    return tuple(line for line in text.splitlines() if line and not line.startswith("#"))


@dataclass(frozen=True, slots=True)
class Calibration:
    """How near the nearest chunk of an index comes to foreign questions, as cosines."""

    mean: float
    deviation: float

    @classmethod
    def of(cls, encoder: Encoder, vectors: Iterable[NDArray[np.float32]]) -> Calibration:
        """Measure an index by ENCODER from its VECTORS, in batches of shape (n, dimensions)."""
        asked = encoder.encode(foreign_questions(), "query")
        nearest = np.zeros(len(asked), np.float32)
        for batch in vectors:
            if len(batch):
                nearest = np.maximum(nearest, (batch @ asked.T).max(0))
        return cls(float(nearest.mean()), float(nearest.std()))

    @classmethod
    def recorded(cls, said: Any) -> Calibration | None:
        """Return the calibration that a manifest has, or None."""
        match said:
            case {"mean": float(mean), "deviation": float(deviation)}:
                return cls(mean, deviation)
        return None

    def deviations(self, similarity: float) -> float:
        """Return by how many deviations SIMILARITY is more than that of a foreign question."""
        return (similarity - self.mean) / max(self.deviation, _FEWEST)


def confidence(evidence: Evidence, calibration: Calibration | None) -> float:
    """Return how sure it is that something here answers the question, from 0 to 1."""
    if not len(evidence.positions):
        return 0.0
    if evidence.certain:
        return 1.0
    near = calibration.deviations(evidence.similarity) if calibration and evidence.similarity else _USUAL
    figures = {"similarity": near, "coverage": evidence.coverage, "known": evidence.known, "named": evidence.named}
    return 1 / (1 + exp(-min(sum(WEIGHTS[name] * figure for name, figure in figures.items()) + BIAS, 50.0)))
