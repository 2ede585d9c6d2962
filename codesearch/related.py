"""What belongs to a given piece of code: its tests, its documentation, what calls it, and what is most like it.

Found by name, then read: chunks that have the name's term are candidates, and those that really say the name, as a
whole word and not only to define it, count. No grammar tells here what a name refers to; so where several things are
called the same, chunks come first that also say what it belongs to, call it, or lie in its file or beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from codesearch.chunk import decode
from codesearch.errors import UsageError
from codesearch.files import FileEntry, read
from codesearch.roles import Role, roles, stem
from codesearch.search import cosines, with_text
from codesearch.text import terms
from codesearch.types import Hit, Kind

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from codesearch.search import Snapshot
    from codesearch.settings import Settings
    from codesearch.store import Mirror

_CANDIDATES: Final = 300
"""Chunks with the name's term that are read; a name that more have is too common to tell what belongs to it."""

Reasons = list[tuple[str, float]]


class Relation(StrEnum):
    """How a chunk belongs to another; a chunk has one relation only, the first that is true."""

    TEST = "test"
    DOCUMENTATION = "documentation"
    CALLER = "caller"
    """Code that says its name: calls it, extends it, or passes it on."""
    SIMILAR = "similar"


class Code(Protocol):
    """What is looked through: a folder, or one repository of a store."""

    @property
    def mirror(self) -> Mirror:
        """All its chunks."""
        ...

    def matching(self, terms: Iterable[str], limit: int) -> NDArray[np.uint64]:
        """Return the numbers of at most LIMIT rows that hold any of TERMS, best first."""
        ...

    def hits(self, positions: Sequence[int]) -> Sequence[Hit]:
        """Return the chunks at POSITIONS of the mirror, with their text."""
        ...

    def text(self, path: str) -> str:
        """Return the text of the file at PATH; empty where it can not be read any more."""
        ...


@dataclass(frozen=True, slots=True)
class OfFolder:
    """The code of a folder, whose text is in its files."""

    snapshot: Snapshot
    settings: Settings

    @property
    def mirror(self) -> Mirror:
        """All its chunks."""
        return self.snapshot.mirror

    def matching(self, terms: Iterable[str], limit: int) -> NDArray[np.uint64]:
        """Return the numbers of at most LIMIT rows that hold any of TERMS, best first."""
        return self.snapshot.store.matching(terms, limit)[0]

    def hits(self, positions: Sequence[int]) -> Sequence[Hit]:
        """Return the chunks at POSITIONS of the mirror, with their text."""
        return with_text(self.snapshot, [self.mirror.hit(position) for position in positions], self.settings)[0]

    def text(self, path: str) -> str:
        """Return the text of the file at PATH, as it is now."""
        data = read(FileEntry(path, str(self.snapshot.root), 0, 0), self.settings)
        return decode(data) if isinstance(data, bytes) else ""


def related(code: Code, path: str, line: int, limit: int) -> tuple[Hit, dict[Relation, tuple[Hit, ...]]]:
    """Return the chunk at LINE of the file PATH, and for each relation at most LIMIT chunks, best first, with text.

    Raises:
        UsageError: the file is not indexed, or has no such line.
    """
    mirror = code.mirror
    at = _position(mirror, path, line)
    (subject,) = code.hits([at])
    similarities = cosines(mirror.vectors, mirror.vectors[at])
    found: dict[Relation, list[Hit]] = {relation: [] for relation in Relation}
    taken = {int(row) for row in mirror.rows(int(mirror.path_of[at])) if _same(mirror, int(row), at)}
    name = subject.symbol.rpartition(".")[2]
    if name and subject.kind is not Kind.SECTION:
        for position, hit in _saying(code, name, taken):
            relation = _relation(hit)
            reasons = _reasons(subject, name, hit, relation, float(similarities[position]))
            found[relation].append(_scored(hit, reasons))
            taken.add(position)
    near = _nearest(mirror, similarities, taken, limit)
    for position, hit in zip(near, code.hits(near), strict=True):
        found[Relation.SIMILAR].append(_scored(hit, [("near", float(similarities[position]))]))
    return subject, {
        relation: tuple(sorted(hits, key=lambda hit: (-hit.score, hit.path, hit.span.start_line))[:limit])
        for relation, hits in found.items()
    }


def _position(mirror: Mirror, path: str, line: int) -> int:
    if path not in mirror.paths:
        raise UsageError(f"{path} is not indexed. `codesearch inspect {path}` says why.")
    rows = mirror.rows(mirror.paths.index(path))
    first, last = (np.asarray(mirror.columns[name].take(rows).to_numpy()) for name in ("start_line", "end_line"))
    # A line may be cut within; what begins last on it is what is meant.
    holding = rows[(first <= line) & (line <= last)]
    if not len(holding):
        raise UsageError(f"{path} has no line {line}; it ends at line {last.max()}.")
    return int(holding[-1])


def _same(mirror: Mirror, row: int, at: int) -> bool:
    """Tell whether the chunks at ROW and AT, of one file, are parts of one definition."""
    symbols = mirror.symbols
    return row == at or (symbols[row] == symbols[at] != "")


def _saying(code: Code, name: str, taken: set[int]) -> list[tuple[int, Hit]]:
    """Return position and text of the chunks that say NAME, but for those TAKEN and those that only define it too."""
    row_ids = code.matching(terms(name)[-1:], _CANDIDATES)
    positions = [p for p in code.mirror.positions(row_ids).tolist() if p not in taken]
    says = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)")
    return [
        (position, hit)
        for position, hit in zip(positions, code.hits(positions), strict=True)
        if len(says.findall(hit.text)) > (hit.symbol.rpartition(".")[2] == name)
    ]


def _relation(hit: Hit) -> Relation:
    parts = roles(hit.path)
    if Role.TEST in parts:
        return Relation.TEST
    if Role.DOCUMENTATION in parts or hit.kind is Kind.SECTION:
        return Relation.DOCUMENTATION
    return Relation.CALLER


def _reasons(subject: Hit, name: str, hit: Hit, relation: Relation, similarity: float) -> Reasons:
    """Return what speaks for HIT, which says NAME, to mean SUBJECT by it."""
    owner = subject.symbol.rpartition(".")[0].rpartition(".")[2]
    here, there = PurePosixPath(subject.path), PurePosixPath(hit.path)
    called = re.search(rf"(?<!\w){re.escape(name)}[!?]?\s*(?:\(|<|::|\{{|!)", hit.text)
    of_file = stem(subject.path).lower().replace("_", "").replace("-", "")
    reasons = {
        "near": similarity,
        "calls it": 0.5 * bool(called),
        "says what it belongs to": 1.0 * bool(owner and re.search(rf"(?<!\w){re.escape(owner)}(?!\w)", hit.text)),
        "in its file": 0.5 * (here == there),
        "beside its file": 0.25 * (here.parent == there.parent),
        "named after its file": 1.0
        * (relation is Relation.TEST and of_file in stem(hit.path).lower().replace("_", "").replace("-", "")),
        "same language": 0.5 * (subject.language == hit.language),
    }
    return [(reason, worth) for reason, worth in reasons.items() if worth]


def _scored(hit: Hit, reasons: Reasons) -> Hit:
    return replace(hit, score=sum(worth for _, worth in reasons), reasons=tuple(reasons))


def _nearest(mirror: Mirror, similarities: NDArray[np.float32], taken: set[int], limit: int) -> list[int]:
    """Return the positions of the LIMIT nearest chunks that are not TAKEN, one a file."""
    files: set[int] = set()
    found: list[int] = []
    for position in np.argsort(-similarities, kind="stable").tolist():
        if len(found) == limit or similarities[position] <= 0:
            break
        file = int(mirror.path_of[position])
        if position not in taken and file not in files:
            files.add(file)
            found.append(position)
    return found
