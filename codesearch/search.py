"""From a question to hits: the nearest chunks, the matching ones, the ones so called, ranked, with their text.

Search reads one Snapshot of an index and knows nothing of how it is written. The nearest chunks are exact, over the
mirror in memory; the matching ones are LanceDB's, by its own statistics. Both only choose the files that are looked at;
what speaks for each of their chunks is worked out by `evidence`, and added up by `rank`. The index holds no source, so
what a hit says is read from its file, when the ranking is done.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from pathspec import GitIgnoreSpec

from codesearch.chunk import decode
from codesearch.confidence import Calibration, confidence
from codesearch.corpus import Corpus
from codesearch.errors import UsageError
from codesearch.evidence import Evidence, gather
from codesearch.files import FileEntry, read
from codesearch.prepare import digest
from codesearch.question import Question
from codesearch.rank import ADAPTED, CHUNK, MORE, Weights, page, reasons, totals, weights
from codesearch.roles import Role, roles
from codesearch.settings import Settings
from codesearch.types import Encoder, Hit, Span

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from codesearch.manifest import Manifest
    from codesearch.store import Mirror, Store

DEPTH: Final = 200
"""Candidates of each search; what comes later in both reaches no page."""
NAMESAKES: Final = 50
"""Definitions of one name, and files of one, that become candidates for their name alone."""
_COPY: Final = 0.97
"""Cosine, and share of the size, from which a chunk repeats another of its name; not 1, as the path is embedded."""
_APART: Final = -10.0
"""Holds all but the best chunk of each file back behind all files."""
_DEEPER: Final = 8
"""How many times as many matching chunks are asked for, as long as a filter leaves fewer than DEPTH of them."""
_DECIMALS: Final = 5
"""Similarities are compared to so many; the rest depends on where in the matrix a vector stands."""
_DOUBT: Final = 0.03
"""Of the last decimal: so near to the middle between two, where a vector stands would decide how it is rounded."""
_LONGEST: Final = 10_000
"""Characters of a hit's text. No chunk is so long, but the line may be that a chunk is a part of."""


class Mode(StrEnum):
    """Which searches answer; one alone is for measuring it."""

    FUSED = "fused"
    DENSE = "dense"
    TEXT = "text"


@dataclass(frozen=True)
class Snapshot:
    """One state of an index, open for reading: everything in it belongs together."""

    root: Path
    manifest: Manifest
    store: Store
    mirror: Mirror
    encoder: Encoder

    @cached_property
    def corpus(self) -> Corpus:
        """What can be known of it before any question."""
        return Corpus(self.mirror)

    @cached_property
    def calibration(self) -> Calibration | None:
        """How near it comes to questions that it does not answer."""
        return Calibration.recorded(self.manifest.get("foreign"))


@dataclass(frozen=True, slots=True)
class Filter:
    """Which files may answer; the empty one lets all."""

    globs: tuple[str, ...] = ()
    """Patterns as in .gitignore, relative to the root: a path must match one of them and none that begins with `!`."""
    languages: frozenset[str] = frozenset()
    """Names as the index has them."""
    paths: tuple[str, ...] = ()
    """Files, or folders with all in them, relative to the root; empty names, as of the root itself, let all."""
    kinds: frozenset[str] = frozenset()
    """Kinds of chunks, which are left out one by one, not by the file."""
    tests: bool = True
    """Whether files that test may answer."""

    def mask(self, mirror: Mirror) -> NDArray[np.bool_] | None:
        """Return which chunks of MIRROR may answer, shape (n,), or None for all; raise UsageError for a bad pattern."""
        if self == Filter():
            return None
        fits = np.ones(len(mirror.paths), np.bool_)
        if self.globs:
            fits &= fitting(self.globs, mirror.paths)
        if self.paths:
            below = tuple(f"{path}/" if path else "" for path in self.paths)
            fits &= [p in self.paths or p.startswith(below) for p in mirror.paths]
        if not self.tests:
            fits &= [Role.TEST not in roles(p) for p in mirror.paths]
        allowed: NDArray[np.bool_] = fits[mirror.path_of]
        if self.languages:
            allowed = allowed & np.isin(mirror.languages, list(self.languages))
        if self.kinds:
            allowed = allowed & np.isin(mirror.kinds, list(self.kinds))
        return allowed


def fitting(globs: Sequence[str], paths: Sequence[str]) -> list[bool]:
    """Return for each of PATHS whether it fits GLOBS, as `Filter` has them; raise UsageError for a bad pattern."""
    wanted = _spec([glob for glob in globs if not glob.startswith("!")])
    unwanted = _spec([glob[1:] for glob in globs if glob.startswith("!")])
    return [(not len(wanted) or wanted.match_file(path)) and not unwanted.match_file(path) for path in paths]


def _spec(globs: list[str]) -> GitIgnoreSpec:
    try:
        return GitIgnoreSpec.from_lines(globs)
    except (ValueError, re.error) as error:
        raise UsageError(f"{error}. Give a pattern as in .gitignore, such as 'src/**/*.py'.") from error


def search(
    snapshot: Snapshot,
    query: str,
    limit: int,
    mode: Mode = Mode.FUSED,
    only: Filter | None = None,
    *,
    as_adapted: bool = False,
) -> tuple[list[Hit], float]:
    """Return at most LIMIT hits for QUERY, best first, without their text, and how sure it is that they answer it.

    AS_ADAPTED weighs vectors as those of an adapted retriever, whatever they are of: to compare by the same weights.
    """
    evidence = evidence_for(snapshot, Question(query), mode, only)
    kinds = only.kinds if only else frozenset()
    worth = ADAPTED if as_adapted else weights(snapshot.encoder)
    hits = ranked(snapshot.mirror, evidence, limit, mode, kinds, worth)
    # Vectors alone are for measuring them; nothing is held back then.
    sure = 1.0 if mode is Mode.DENSE else confidence(evidence, snapshot.calibration)
    return [hit for _, hit in hits], sure


def ranked(
    mirror: Mirror, evidence: Evidence, limit: int, mode: Mode, kinds: Collection[str], worth: Weights
) -> list[tuple[int, Hit]]:
    """Return at most LIMIT hits, best first, of the chunks of MIRROR that EVIDENCE speaks for; of KINDS, if any.

    With each comes where in the mirror it is. WORTH is what evidence counts, unless vectors alone are to.
    """
    if mode is Mode.DENSE:
        worth = Weights({"nearest": CHUNK["nearest"]}, {})
    speaks = sum((evidence.of_chunk[name] for name in ("nearest", "words", "definition", "line")), np.zeros(1)) > 0
    if kinds:  # evidence is of whole files
        speaks &= np.isin(mirror.kinds[evidence.positions], list(kinds))
    order, before = page(totals(evidence, *worth), evidence.file_of, _APART if mode is Mode.DENSE else MORE.value)
    hits: list[tuple[int, Hit]] = []
    for at, earlier in zip(order.tolist(), before.tolist(), strict=True):
        position = int(evidence.positions[at])
        if not speaks[at]:
            continue
        if (original := _copied(mirror, position, [shown for shown, _ in hits])) is not None:
            shown, hit = hits[original]
            hits[original] = shown, _with_copy(hit, mirror.hit(position))
        elif len(hits) < limit:
            hits.append((position, mirror.hit(position, reasons(evidence, at, earlier, *worth))))
        else:
            break
    return hits


def _copied(mirror: Mirror, position: int, shown: list[int]) -> int | None:
    """Return which of the chunks SHOWN the one at POSITION repeats: nearly the same, of the same name, elsewhere."""
    name = mirror.symbols[position].rpartition(".")[2]
    if not shown or not name:
        return None
    alike = mirror.vectors[shown] @ mirror.vectors[position]
    for which in np.flatnonzero(alike >= _COPY).tolist():
        original = shown[which]
        sizes = sorted(int(mirror.sizes[some]) for some in (original, position))
        if (
            mirror.path_of[original] != mirror.path_of[position]
            and mirror.symbols[original].rpartition(".")[2] == name
            and sizes[0] >= _COPY * sizes[1]
        ):
            return int(which)
    return None


def _with_copy(hit: Hit, copy: Hit) -> Hit:
    return replace(hit, copies=(*hit.copies, f"{copy.place}:{copy.span.start_line}"))


def evidence_for(
    snapshot: Snapshot, question: Question, mode: Mode = Mode.FUSED, only: Filter | None = None
) -> Evidence:
    """Return what speaks for the files that QUESTION may mean, and for all their chunks."""
    known = snapshot.manifest.frequencies(question.counted)
    return gather(snapshot.corpus, known, question, *candidates(snapshot, question, mode, only))


def candidates(
    snapshot: Snapshot, question: Question, mode: Mode = Mode.FUSED, only: Filter | None = None
) -> tuple[NDArray[np.intp], NDArray[np.float32] | None]:
    """Return the positions of the chunks that QUESTION may mean, and how near every chunk is to it, if vectors count.

    Positions are distinct and ascending; similarities are cosines of shape (len(mirror),).
    """
    mirror = snapshot.mirror
    mask = only.mask(mirror) if only else None
    similarities = None
    found = [np.empty(0, np.intp)]
    if mode is not Mode.TEXT:
        similarities = cosines(mirror.vectors, snapshot.encoder.encode([question.text], "query")[0])
        found.append(_nearest(similarities, mask))
    if mode is not Mode.DENSE:
        found.append(_matching(snapshot, question, mask))
        found.append(_named(snapshot, question, mask))
    return np.unique(np.concatenate(found)), similarities


def cosines(vectors: NDArray[np.float32], asked: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the cosine of each of VECTORS with ASKED, all of unit length, rounded; shape (n,).

    It is the same wherever in VECTORS one stands: an index that grew has its rows in another order than one built
    afresh, and is to rank them alike. So the few that could be rounded either way are multiplied in double precision.
    """
    exact = vectors @ asked
    rounded: NDArray[np.float32] = np.round(exact, _DECIMALS)
    doubtful = np.flatnonzero(np.abs(np.abs(exact - rounded) * 10**_DECIMALS - 0.5) < _DOUBT)
    rounded[doubtful] = np.round(vectors[doubtful].astype(np.float64) @ asked.astype(np.float64), _DECIMALS)
    return rounded


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
    return tuple(replace(hit, text=text_of(lines.get(hit.path, []), hit.span)) for hit in hits), same


def text_of(lines: Sequence[str], span: Span) -> str:
    """Return what is shown of the chunk at SPAN of a file with these LINES."""
    return "\n".join(lines[span.start_line - 1 : span.end_line])[:_LONGEST]


def _nearest(similarities: NDArray[np.float32], mask: NDArray[np.bool_] | None) -> NDArray[np.intp]:
    """Return the positions of the DEPTH chunks whose vectors are nearest."""
    if mask is not None:
        similarities = np.where(mask, similarities, 0)
    positions = np.arange(len(similarities))
    if len(positions) > DEPTH:
        positions = np.argpartition(-similarities, DEPTH)[:DEPTH]
    return positions[similarities[positions] > 0]


def _matching(snapshot: Snapshot, question: Question, mask: NDArray[np.bool_] | None) -> NDArray[np.intp]:
    """Return the positions of the DEPTH chunks that LanceDB finds to have most of the question's terms."""
    limit = DEPTH
    while True:
        row_ids, _ = snapshot.store.matching(question.terms, limit)
        positions = snapshot.mirror.positions(row_ids)
        if mask is not None:
            positions = positions[mask[positions]]
        if len(row_ids) < limit or len(positions) >= DEPTH:
            return positions[:DEPTH]
        limit *= _DEEPER


def _named(snapshot: Snapshot, question: Question, mask: NDArray[np.bool_] | None) -> NDArray[np.intp]:
    """Return the positions of what the question calls by its name: definitions, and the first chunks of files."""
    corpus = snapshot.corpus
    found: list[int] = []
    for name in sorted(question.names.union(question.name[-1:])):
        found += corpus.defining(name)[:NAMESAKES]
    for place in question.places:
        found += [int(snapshot.mirror.rows(file)[0]) for file in corpus.at(place.path)[:NAMESAKES]]
    positions = np.array(found, np.intp)
    return positions if mask is None else positions[mask[positions]]
