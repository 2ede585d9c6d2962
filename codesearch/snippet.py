"""The few lines of a hit that are worth showing first: those where most of the query's terms occur.

Pure and light, because every front end shows snippets and some of them must not load what search needs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from codesearch.text import query_terms, terms

_IDENTIFIER: Final = re.compile(r"\w+")
_WIDEST: Final = 400
"""Characters of a line that are looked at; more is data, and no screen shows it."""


@dataclass(frozen=True, slots=True)
class Mark:
    """An identifier that holds a query term: its line, and its characters from `start` up to `end`."""

    line: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Snippet:
    """Some lines of a hit, without blank ones at either end, and what in them matches."""

    start_line: int
    lines: tuple[str, ...]
    marks: tuple[Mark, ...] = ()


def snippet(text: str, start_line: int, query: str, height: int) -> Snippet:
    """Return at most HEIGHT lines of TEXT, which starts at START_LINE of its file.

    The window with most distinct terms of QUERY wins, the earliest of equal ones: a definition's first lines say most.
    """
    lines = [line.rstrip("\r")[:_WIDEST] for line in text.removesuffix("\n").split("\n")]
    wanted = frozenset(query_terms(query))
    found = [list(_matches(line, wanted)) for line in lines]
    distinct = [frozenset().union(*(terms for _, _, terms in matches)) for matches in found]
    first = _best_window(distinct, height)
    last = min(first + height, len(lines))
    while first < last and not lines[first].strip():
        first += 1
    while last > first and not lines[last - 1].strip():
        last -= 1
    marks = [Mark(start_line + i, start, end) for i in range(first, last) for start, end, _ in found[i]]
    return Snippet(start_line + first, tuple(lines[first:last]), tuple(marks))


def _matches(line: str, wanted: frozenset[str]) -> Iterator[tuple[int, int, frozenset[str]]]:
    for identifier in _IDENTIFIER.finditer(line):
        if here := wanted.intersection(terms(identifier[0])):
            yield *identifier.span(), here


def _best_window(distinct: list[frozenset[str]], height: int) -> int:
    def worth(first: int) -> int:
        return len(frozenset().union(*distinct[first : first + height]))

    return max(range(max(1, len(distinct) - height + 1)), key=lambda first: (worth(first), -first), default=0)
