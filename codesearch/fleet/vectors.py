"""How vectors are indexed, by how many there are. Pure.

Up to `EXACT` every vector is compared: nothing is missed, and it takes a tenth of a second. Above, Lance's inverted
file groups them around centroids, a byte a number, and the nearest groups are looked into. Questions are asked in other
words than code is written in, so what answers them lies in many groups: of 200,000 real vectors a third of the groups
must be looked into to find 95 % of the ten that are nearest. That is still a fraction of the time, for bytes are
compared faster than whole vectors are read. What is found is compared again by the vectors as they are stored.
`python -m tests.bench.fleet vectors` measures what that misses.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Final

EXACT: Final = 100_000
"""Vectors up to which all are compared."""

_LOOKED: Final = 0.4
"""Share of the partitions that a question looks into."""
ITERATIONS: Final = 10
SAMPLE: Final = 64
"""Rounds, and vectors a partition, from which Lance learns where the partitions are. Its own 50 and 256 take several
times as long and find no more."""


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
    return VectorIndex(partitions, round(_LOOKED * partitions), 1)
