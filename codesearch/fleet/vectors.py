"""How vectors are indexed, by how many there are. Pure.

Below `EXACT` every vector is compared: nothing is missed, and it takes tens of milliseconds. Above, Lance's inverted
file groups them around centroids, a byte a number, and the nearest groups are looked into; what is found is compared
again by the vectors as they are stored. `python -m tests.bench.fleet vectors` measures what that misses.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Final

EXACT: Final = 100_000
"""Vectors up to which all are compared."""


@dataclass(frozen=True, slots=True)
class VectorIndex:
    """How vectors are indexed, and how the index is asked so that it finds what comparing all of them would."""

    partitions: int
    probes: int
    """Partitions that a question looks into."""
    refine: int
    """How many times as many as are wanted are compared exactly."""


def vector_index(rows: int) -> VectorIndex | None:
    """Return how ROWS vectors are indexed, or None where all are compared."""
    if rows <= EXACT:
        return None
    partitions = round(sqrt(rows))
    return VectorIndex(partitions, max(16, partitions // 20), 2)
