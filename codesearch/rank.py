"""Candidates in, a ranking out: what several searches found becomes one list, and everything in it can say why.

Searches score on scales that can not be compared (a cosine, BM25), so ranks are fused: a candidate at rank r of a
search, from 0, is worth 1 / (OFFSET + r). Each sum is kept as named `reasons`, which add up to the score.

What people ask for is seldom in one function: a file that a search finds three times is a better answer than one that
it finds once, and one function may have the meaning where another has the words. So each candidate also has what its
file is worth to each search.

Then one file must not fill the page: the best chunk of each file first, the other chunks after them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

OFFSET: Final = 10
"""How much the first ranks stand out. 60, of the literature, is for many long runs; here are a few short ones."""

FILE_CHUNKS: Final = 5
"""Chunks that speak for their file in a search; if all did, long files would win by their length."""


class Candidate(NamedTuple):
    """A chunk that a search found: what telling it from others and ordering it needs."""

    key: int
    """Whatever the caller knows it by."""
    path: str
    line: int
    """Where it starts in its file."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """A candidate with its score and the named reasons that add up to it."""

    candidate: Candidate
    score: float
    reasons: tuple[tuple[str, float], ...]


def rank(found: Mapping[str, Sequence[Candidate]]) -> list[Ranked]:
    """Return every candidate once, best first, for what each search FOUND, best first, by the search's name."""
    reasons: defaultdict[Candidate, list[tuple[str, float]]] = defaultdict(list)
    of_file: defaultdict[str, list[tuple[str, float]]] = defaultdict(list)
    for search, candidates in found.items():
        in_file: defaultdict[str, list[float]] = defaultdict(list)
        for r, candidate in enumerate(candidates):
            worth = 1 / (OFFSET + r)
            reasons[candidate].append((search, worth))
            in_file[candidate.path].append(worth)
        if len(found) == 1:
            break  # one search alone keeps its own order, so that it can be measured
        for path, worths in in_file.items():
            of_file[path].append((f"{search} file", sum(worths[:FILE_CHUNKS])))
    ranked = [_ranked(candidate, (*own, *of_file[candidate.path])) for candidate, own in reasons.items()]
    # Place breaks ties, so that an index grown file by file answers as one built afresh does.
    ranked.sort(key=lambda r: (-r.score, r.candidate.path, r.candidate.line, r.candidate.key))
    return spread(ranked)


def spread(ranked: Sequence[Ranked]) -> list[Ranked]:
    """Return RANKED, best first, with the best of each file before all that are not the best of theirs."""
    seen: set[str] = set()
    first: list[Ranked] = []
    later: list[Ranked] = []
    for one in ranked:
        (later if one.candidate.path in seen else first).append(one)
        seen.add(one.candidate.path)
    return first + later


def _ranked(candidate: Candidate, reasons: tuple[tuple[str, float], ...]) -> Ranked:
    return Ranked(candidate, sum(worth for _, worth in reasons), reasons)
