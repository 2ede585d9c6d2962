"""The proof that an adapted retriever helps, and the gate it has to pass: who is asked when, and what the ranks say.

Questions are split in three before training: those of TRAIN may be learnt from, those of DEVELOPMENT say when to stop,
those of TEST are asked once. A question's part follows from a digest of where it comes from, so it never moves from one
part to another, whatever else is in the repository and however often training runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from typing import Final

import numpy as np

FEWEST: Final = 50
"""Test questions without which no gain is believed."""
CONFIDENCE: Final = 0.9
"""Of the interval whose lower end must be above zero."""
DRAWS: Final = 10_000
"""Resamplings of the bootstrap: the interval's ends move by less than a hundredth of its width from seed to seed."""
_DEVELOPMENT: Final = 0.2
_TEST: Final = 0.3


class Part(StrEnum):
    """What a documented function or a commit message is used for."""

    TRAIN = "train"
    DEVELOPMENT = "development"
    TEST = "test"


def part_of(path: str, symbol: str, text: str = "") -> Part:
    """Return the part of the question TEXT about SYMBOL in the file at PATH, or of a commit message (TEXT alone)."""
    digest = blake2b("\0".join((path, symbol, text)).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    lot = int.from_bytes(digest) / 2**64
    if lot < _TEST:
        return Part.TEST
    return Part.DEVELOPMENT if lot < _TEST + _DEVELOPMENT else Part.TRAIN


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean of paired differences, with the ends of its bootstrap interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether an adapted retriever may answer, and why."""

    accepted: bool
    reason: str
    """One sentence for people."""
    questions: int
    gain: Interval | None = None
    """Of the mean reciprocal rank; None where there were too few questions."""


def gain(before: Sequence[float], after: Sequence[float], seed: int = 0) -> Interval:
    """Return the mean of AFTER - BEFORE, reciprocal ranks of the same questions, with its bootstrap interval.

    Percentiles of DRAWS resamplings in pairs (Efron and Tibshirani 1993, section 13.3). The same SEED gives the
    same interval. Raises ValueError for sequences that are empty or differ in length.
    """
    if not before or len(before) != len(after):
        raise ValueError(f"{len(before)} and {len(after)} reciprocal ranks are not pairs")
    differences = np.asarray(after, np.float64) - np.asarray(before, np.float64)
    rng = np.random.default_rng(seed)
    means = np.array([differences[rng.integers(len(differences), size=len(differences))].mean() for _ in range(DRAWS)])
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(float(differences.mean()), float(low), float(high))


def judge(before: Sequence[float], after: Sequence[float]) -> Verdict:
    """Return whether the retriever whose reciprocal ranks are AFTER replaces the one of BEFORE, on the same questions.

    The ranks are those of the ranking that users get. It does only if the lower end of the gain's interval is above
    zero, on at least FEWEST questions.
    """
    if len(before) < FEWEST:
        reason = f"only {len(before)} held-out questions, {FEWEST} are needed to prove a gain"
        return Verdict(False, reason, len(before))
    found = gain(before, after)
    interval = f"{found.mean:+.3f} MRR, 90 % interval {found.low:+.3f} to {found.high:+.3f}"
    if found.low > 0:
        return Verdict(True, f"it finds held-out functions better: {interval}", len(before), found)
    return Verdict(False, f"no gain that is surely more than chance: {interval}", len(before), found)
