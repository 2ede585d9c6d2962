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
from operator import itemgetter
from statistics import fmean, pstdev
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from codesearch.evidence import Evidence
    from codesearch.types import Encoder

    Chunks = tuple[Sequence[bytes], NDArray[np.float32]]
    """Digests of some chunks, and their vectors, shape (chunks, dimensions)."""

ENOUGH: Final = 0.2
"""Confidence from which an answer is given: refuses 98 in 100 foreign questions, and none of 399 judged ones."""

WEIGHTS: Final[Mapping[str, float]] = {"similarity": 1.65, "coverage": 2.25, "known": 2.84, "named": 1.43}
BIAS: Final = -7.06

_FEWEST: Final = 1e-3
"""The least deviation: an index of one chunk says hardly more of one foreign question than of another."""
_DECIMALS: Final = 5
"""As in `search`: the rest depends on what else is multiplied at the time."""
_USUAL: Final = 2.0
"""Deviations that stand in where similarity was not asked."""


@cache
def foreign_questions() -> tuple[str, ...]:
    """Return the questions about other worlds that calibrate."""
    text = (files("codesearch") / "foreign.txt").read_text(encoding="utf-8")
    return tuple(line for line in text.splitlines() if line and not line.startswith("#"))


_vectors: Final[WeakKeyDictionary[Encoder, NDArray[np.float32]]] = WeakKeyDictionary()


def _asked(encoder: Encoder) -> NDArray[np.float32]:
    """Return the vectors of the foreign questions, shape (questions, dimensions); each refresh asks them."""
    if encoder not in _vectors:
        _vectors[encoder] = encoder.encode(foreign_questions(), "query")
    return _vectors[encoder]


@dataclass(frozen=True, slots=True)
class Calibration:
    """How near an index comes to questions about other worlds: for each, its nearest chunk.

    It follows the index, chunk by chunk, so that one that grew is as sure as one that is built afresh.
    """

    cosines: tuple[float, ...]
    """How near the nearest chunk is to each foreign question, at least 0."""
    chunks: tuple[str, ...]
    """The digest of that chunk, in hexadecimal digits; empty where none is nearer than 0."""

    @classmethod
    def of(cls, encoder: Encoder, chunks: Iterable[Chunks]) -> Calibration:
        """Measure CHUNKS by ENCODER, which made their vectors."""
        asked = _asked(encoder)
        nearest = np.zeros(len(asked), np.float32)
        which = [b""] * len(asked)
        for digests, vectors in filter(itemgetter(0), chunks):
            cosines = np.round(vectors @ asked.T, _DECIMALS)
            best = cosines.argmax(0)
            found = cosines[best, np.arange(len(asked))]
            for question in np.flatnonzero(found > nearest).tolist():
                which[question] = digests[best[question]]
            nearest = np.maximum(nearest, found)
        return cls(tuple(nearest.tolist()), tuple(digest.hex() for digest in which))

    @classmethod
    def recorded(cls, said: Any) -> Calibration | None:
        """Return the calibration that a manifest has, or None where it has none by the questions that are here."""
        match said:
            case {"cosines": [*cosines], "chunks": [*chunks]}:
                if len(cosines) == len(chunks) == len(foreign_questions()):
                    return cls(tuple(cosines), tuple(chunks))
        return None

    def without(self, digests: Collection[bytes]) -> Calibration | None:
        """Return what is known once the chunks DIGESTS are gone: nothing if one of them was the nearest to anything."""
        return None if {digest.hex() for digest in digests}.intersection(self.chunks) else self

    def joined(self, other: Calibration) -> Calibration:
        """Return the calibration of the chunks of both."""
        pairs = zip(
            zip(self.cosines, self.chunks, strict=True), zip(other.cosines, other.chunks, strict=True), strict=True
        )
        best = [mine if mine[0] >= theirs[0] else theirs for mine, theirs in pairs]
        return Calibration(tuple(cosine for cosine, _ in best), tuple(chunk for _, chunk in best))

    def deviations(self, similarity: float) -> float:
        """Return by how many deviations SIMILARITY is more than that of a foreign question."""
        return (similarity - fmean(self.cosines)) / max(pstdev(self.cosines), _FEWEST)


def confidence(evidence: Evidence, calibration: Calibration | None) -> float:
    """Return how sure it is that something here answers the question, from 0 to 1."""
    if not len(evidence.positions):
        return 0.0
    if evidence.certain:
        return 1.0
    near = calibration.deviations(evidence.similarity) if calibration and evidence.similarity else _USUAL
    figures = {"similarity": near, "coverage": evidence.coverage, "known": evidence.known, "named": evidence.named}
    return 1 / (1 + exp(-min(sum(WEIGHTS[name] * figure for name, figure in figures.items()) + BIAS, 50.0)))
