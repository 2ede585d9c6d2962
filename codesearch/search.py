"""From a question to hits: the nearest chunks, the matching ones, the ones so called, ranked, with their text.

Search reads one Snapshot of an index and knows nothing of how it is written. The nearest chunks are exact, over the
mirror in memory; the matching ones are LanceDB's, by its own statistics; all of these are then looked at by name,
because what a thing is called (its path and symbol) says more than any line of it. The index holds no source, so what
a hit says is read from its file, when the ranking is done.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from math import log, sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from pathspec import GitIgnoreSpec

from codesearch.chunk import decode
from codesearch.errors import UsageError
from codesearch.files import FileEntry, read
from codesearch.prepare import digest
from codesearch.rank import Candidate, Ranked, rank
from codesearch.settings import Settings
from codesearch.text import query_terms, terms
from codesearch.types import Encoder, Hit, Kind

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from codesearch.manifest import Manifest
    from codesearch.store import Mirror, Store

DEPTH: Final = 200
"""Candidates of each search; what comes later in both reaches no page."""
_DEEPER: Final = 8
"""How many times as many matching chunks are asked for, as long as a filter leaves fewer than DEPTH of them."""
_DECIMALS: Final = 5
"""Similarities are compared to so many; the rest depends on where in the matrix a vector stands."""
_LONGEST: Final = 10_000
"""Characters of a hit's text. No chunk is so long, but the line may be that a chunk is a part of."""


class Mode(StrEnum):
    """Which searches answer; one alone is for measuring it."""

    FUSED = "fused"
    DENSE = "dense"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One state of an index, open for reading: everything in it belongs together."""

    root: Path
    manifest: Manifest
    store: Store
    mirror: Mirror
    encoder: Encoder


@dataclass(frozen=True, slots=True)
class Filter:
    """Which files may answer; the empty one lets all."""

    globs: tuple[str, ...] = ()
    """Patterns as in .gitignore, relative to the root: a path must match one of them and none that begins with `!`."""
    languages: frozenset[str] = frozenset()
    """Names as the index has them."""

    def mask(self, mirror: Mirror) -> NDArray[np.bool_] | None:
        """Return which chunks of MIRROR may answer, shape (n,), or None for all; raise UsageError for a bad pattern."""
        if not (self.globs or self.languages):
            return None
        allowed = np.ones(len(mirror), np.bool_)
        if self.globs:
            wanted = _spec([glob for glob in self.globs if not glob.startswith("!")])
            unwanted = _spec([glob[1:] for glob in self.globs if glob.startswith("!")])
            fits = [(not len(wanted) or wanted.match_file(p)) and not unwanted.match_file(p) for p in mirror.paths]
            allowed &= np.array(fits, np.bool_)[mirror.path_of]
        if self.languages:
            allowed &= np.isin(mirror.languages, list(self.languages))
        return allowed


def _spec(globs: list[str]) -> GitIgnoreSpec:
    try:
        return GitIgnoreSpec.from_lines(globs)
    except ValueError as error:
        raise UsageError(f"{error}. Give a pattern as in .gitignore, such as 'src/**/*.py'.") from error


def search(
    snapshot: Snapshot, query: str, limit: int, mode: Mode = Mode.FUSED, only: Filter | None = None
) -> list[Hit]:
    """Return at most LIMIT hits for QUERY, best first, without their text."""
    mirror = snapshot.mirror
    mask = only.mask(mirror) if only else None
    found: dict[str, list[Candidate]] = {}
    if mode is not Mode.TEXT:
        found["dense"] = _nearest(snapshot, query, mask)
    if mode is not Mode.DENSE:
        found["text"] = _matching(snapshot, query, mask)
    if mode is Mode.FUSED:
        found["name"] = _called(snapshot, query, {*found["dense"], *found["text"]})
    return [_hit(mirror, ranked) for ranked in rank(found)[:limit]]


def with_text(snapshot: Snapshot, hits: Sequence[Hit], settings: Settings) -> tuple[tuple[Hit, ...], bool]:
    """Return HITS with the text of their lines, and whether every file is still as the index knows it.

    A file that has changed gives the lines that stand there now; one that is gone, or must not be read, gives none.
    """
    lines: dict[str, list[str]] = {}
    same = True
    for path in {hit.path for hit in hits}:
        data = read(FileEntry(path, str(snapshot.root), 0, 0), settings)
        known = snapshot.manifest.file(path)
        if not isinstance(data, bytes):
            same = False
            continue
        same = same and known is not None and digest(data) == known.hash
        lines[path] = decode(data).split("\n")
    return tuple(replace(hit, text=_text(lines.get(hit.path, []), hit)) for hit in hits), same


def _text(lines: list[str], hit: Hit) -> str:
    return "\n".join(lines[hit.span.start_line - 1 : hit.span.end_line])[:_LONGEST]


def _nearest(snapshot: Snapshot, query: str, mask: NDArray[np.bool_] | None) -> list[Candidate]:
    mirror = snapshot.mirror
    vector = snapshot.encoder.encode([query], "query")[0]
    if not len(mirror) or not vector.any():
        return []
    similarities = np.round(mirror.vectors @ vector, _DECIMALS)
    if mask is not None:
        similarities[~mask] = -np.inf
    positions = np.arange(len(mirror))
    if len(positions) > DEPTH:
        positions = np.argpartition(-similarities, DEPTH)[:DEPTH]
    positions = positions[similarities[positions] > 0]
    return _ordered(mirror, positions, similarities[positions])


def _matching(snapshot: Snapshot, query: str, mask: NDArray[np.bool_] | None) -> list[Candidate]:
    mirror = snapshot.mirror
    wanted = query_terms(query)
    limit = DEPTH
    while True:
        row_ids, scores = snapshot.store.matching(wanted, limit)
        exhausted = len(row_ids) < limit
        positions = mirror.positions(row_ids)
        if mask is not None:
            scores = scores[mask[positions]]
            positions = positions[mask[positions]]
        if exhausted or len(positions) >= DEPTH:
            return _ordered(mirror, positions[:DEPTH], scores[:DEPTH])
        limit *= _DEEPER


def _called(snapshot: Snapshot, query: str, candidates: Iterable[Candidate]) -> list[Candidate]:
    """Return those of CANDIDATES whose path or symbol holds a term of QUERY, best first.

    A term counts by how rare it is in the index, and a long name, of which much is not asked for, for less.
    """
    wanted = frozenset(query_terms(query))
    total = len(snapshot.mirror)
    rarity = {t: log(1 + total / chunks) for t, (chunks, _) in snapshot.manifest.frequencies(wanted).items()}
    scored = []
    for candidate in candidates:
        name = frozenset(terms(f"{candidate.path} {snapshot.mirror.symbols[candidate.key]}"))
        if asked := name & rarity.keys():
            score = sum(rarity[term] for term in sorted(asked)) / sqrt(len(name))
            scored.append((-score, candidate.path, candidate.line, candidate.key))
    return [Candidate(key, path, line) for _, path, line, key in sorted(scored)]


def _ordered(mirror: Mirror, positions: NDArray[np.intp], scores: NDArray[np.float32]) -> list[Candidate]:
    """Return the chunks at POSITIONS by their SCORES, and by their places where those are the same."""
    lines = mirror.columns["start_line"].take(positions).to_pylist()
    candidates = [
        (-float(score), mirror.paths[mirror.path_of[position]], line, int(position))
        for position, score, line in zip(positions, scores, lines, strict=True)
    ]
    return [Candidate(position, path, line) for _, path, line, position in sorted(candidates)]


def _hit(mirror: Mirror, ranked: Ranked) -> Hit:
    row = mirror.row(ranked.candidate.key)
    return Hit(
        row.id, row.path, row.span, row.language, Kind(row.kind), row.symbol, ranked.score, reasons=ranked.reasons
    )
