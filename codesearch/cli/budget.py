"""Answers that fit a reader with a limit: `--max-tokens`, for agents whose context is paid for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from codesearch.types import Hit

_BYTES_A_TOKEN: Final = 3.0
"""Tokenisers of large models need one for 3 to 4 bytes of code; the least is taken, so that the limit holds."""
_FEWEST: Final = 3
"""Lines of a text that are worth showing without the rest."""

CUT: Final = "…"
"""Last line of a text that goes on."""


def tokens(text: str) -> int:
    """Return at least as many tokens as a large model would read TEXT as, roughly."""
    return int(len(text.encode("utf-8", "replace")) / _BYTES_A_TOKEN) + 1


def fit(hits: Iterable[Hit], most: int, shown: Callable[[Hit], str]) -> list[Hit]:
    """Return of HITS the first that fit into MOST tokens when SHOWN, the last with its text cut, then some without any.

    Best first is what they are, so what comes first is shown whole before anything of what comes later; whoever reads
    knows from the places alone where to look further.
    """
    found: list[Hit] = []
    left = most
    whole = True
    for hit in hits:
        bare = replace(hit, text="")
        cost = tokens(shown(bare))
        if cost > left:
            break
        if whole and tokens(shown(hit)) <= left:
            fitting = hit
        elif whole:
            whole = False
            fitting = _cut(hit, left, shown) or bare
        else:
            fitting = bare
        left -= tokens(shown(fitting))
        found.append(fitting)
    return found


def _cut(hit: Hit, left: int, shown: Callable[[Hit], str]) -> Hit | None:
    lines = hit.text.split("\n")
    low, high = 0, len(lines)
    while low < high:
        middle = (low + high + 1) // 2
        if tokens(shown(replace(hit, text="\n".join([*lines[:middle], CUT])))) <= left:
            low = middle
        else:
            high = middle - 1
    return replace(hit, text="\n".join([*lines[:low], CUT])) if low >= _FEWEST else None
