"""How exactly an exported table is kept; apart from `export`, so that the command line starts without torch."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Precision(StrEnum):
    """How exactly the table of vectors is kept, which is how large the bundle is."""

    FLOAT32 = "float32"
    """As it was trained."""
    FLOAT16 = "float16"
    """Half of that."""
    INT8 = "int8"
    """A quarter: whole numbers from -127 to 127, with one scale a row."""

    @property
    def tolerance(self) -> float:
        """Largest difference of a component of a unit vector that this precision may cause."""
        return _TOLERANCES[self]


_TOLERANCES: Final = {Precision.FLOAT32: 1e-5, Precision.FLOAT16: 2e-3, Precision.INT8: 1e-2}
"""Several times what real texts show (`tests/bench/export.py`): pieces that cancel out make a vector less exact."""
