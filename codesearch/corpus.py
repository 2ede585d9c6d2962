"""What can be known of files and chunks before any question: their names, what they define, where they point.

A view of one mirror that works things out when they are first needed and keeps them: a question touches a few hundred
files, and the next one mostly the same.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

import numpy as np

from codesearch.roles import Role, roles, stem, telling_name
from codesearch.text import terms
from codesearch.types import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from codesearch.store import Mirror

_SHORTEST_PREFIX: Final = 3
"""Characters that two terms must begin with alike; fewer say nothing."""


class Terms:
    """Some distinct terms: those of a question, or those that something is called by."""

    __slots__ = ("_by_beginning", "_size")

    def __init__(self, members: Iterable[str]) -> None:
        """Hold MEMBERS."""
        distinct = sorted({term for term in members if term})
        self._size = sum(map(len, distinct))
        self._by_beginning: dict[str, list[str]] = {}
        for term in distinct:
            self._by_beginning.setdefault(term[:_SHORTEST_PREFIX], []).append(term)

    def alike(self, others: Terms) -> Iterator[tuple[str, str, float]]:
        """Yield each of these with each of OTHERS that it is like, and how like they are.

        A term is like itself by 1, and like a longer one that it begins by its share of it: `auth` and `authent` are
        alike, `authent` and `author` are not. What is alike begins alike, so of many terms few are compared.
        """
        for beginning, asked in others._by_beginning.items():
            for term in self._by_beginning.get(beginning, ()):
                for other in asked:
                    if term.startswith(other) or other.startswith(term):
                        yield term, other, min(len(term), len(other)) / max(len(term), len(other))

    def said_by(self, question: Terms) -> float:
        """Return how much of these QUESTION says, by their lengths."""
        if self._by_beginning.keys().isdisjoint(question._by_beginning):
            return 0.0  # as for most names, before anything is made to compare them
        best: dict[str, float] = {}
        for term, _, likeness in self.alike(question):
            best[term] = max(likeness, best.get(term, 0.0))
        return sum(len(term) * likeness for term, likeness in best.items()) / max(self._size, 1)

    def say(self, question: Terms) -> dict[str, float]:
        """Return those of QUESTION that these are like, each with how like it the most alike is."""
        best: dict[str, float] = {}
        for _, other, likeness in self.alike(question):
            best[other] = max(likeness, best.get(other, 0.0))
        return best


@dataclass(frozen=True, slots=True)
class FileNames:
    """What one file, its folders and its definitions are called."""

    word: str
    """The file's name up to its first dot, in lower case."""
    stem: Terms
    """Of the file's telling name."""
    folder: Terms
    """Of the folder it lies in."""
    all: Terms
    """Of its path and of everything it defines."""
    defined: frozenset[str]
    """The last parts of its definitions' qualified names, as they stand there."""
    lowered: frozenset[str]
    """The same in lower case."""
    roles: frozenset[Role]


class Corpus:
    """What is known of the chunks of one mirror."""

    def __init__(self, mirror: Mirror) -> None:
        """View MIRROR."""
        self.mirror = mirror
        self._names: dict[int, FileNames] = {}
        self._pulls: dict[int, float] = {}
        self._symbols: dict[int, Terms] = {}
        self._codes: dict[int, tuple[NDArray[np.uint32], NDArray[np.intp]]] = {}

    def names(self, file: int) -> FileNames:
        """Return what the file `mirror.paths[FILE]` and its definitions are called."""
        if (known := self._names.get(file)) is None:
            known = self._names[file] = self._names_of(file)
        return known

    def symbol(self, row: int) -> Terms:
        """Return the terms of what the chunk at ROW is called, without what that belongs to."""
        if (known := self._symbols.get(row)) is None:
            symbol = self.mirror.symbols[row]
            last = symbol.rpartition("." if self.is_definition(row) else " > ")[2]
            known = self._symbols[row] = Terms(terms(last))
        return known

    def _names_of(self, file: int) -> FileNames:
        path = self.mirror.paths[file]
        symbols = {self.mirror.symbols[row] for row in self.mirror.rows(file) if self.is_definition(row)}
        defined = frozenset(filter(None, (symbol.rpartition(".")[2] for symbol in symbols)))
        folders = PurePosixPath(path).parent.parts
        telling = terms(telling_name(path))
        return FileNames(
            word=stem(path).lower(),
            stem=Terms(telling),
            folder=Terms(terms(folders[-1]) if folders else ()),
            all=Terms({*telling, *terms("/".join(folders)), *terms("\n".join(symbols))}),
            defined=defined,
            lowered=frozenset(name.lower() for name in defined),
            roles=roles(path),
        )

    @cached_property
    def _kinds(self) -> NDArray[np.object_]:
        return np.asarray(self.mirror.columns["kind"].to_numpy(zero_copy_only=False))

    def is_definition(self, row: int) -> bool:
        """Tell whether the chunk at ROW defines what its symbol names, as a heading does not."""
        return bool(self._kinds[row] != Kind.SECTION)

    @cached_property
    def _defining(self) -> dict[str, list[int]]:
        found: defaultdict[str, list[int]] = defaultdict(list)
        for row, symbol in enumerate(self.mirror.symbols):
            if symbol and self.is_definition(row):
                found[symbol.rpartition(".")[2].lower()].append(row)
        return found

    def defining(self, name: str) -> list[int]:
        """Return the positions of the chunks that define NAME, whatever its case and whatever qualifies it."""
        return self._defining.get(name.lower(), [])

    @cached_property
    def _called(self) -> dict[str, list[int]]:
        found: defaultdict[str, list[int]] = defaultdict(list)
        for file, path in enumerate(self.mirror.paths):
            found[path.rpartition("/")[2].lower()].append(file)
        return found

    def at(self, path: str) -> list[int]:
        """Return the files whose paths end as PATH does: of all with its name, those that have most of its folders."""
        wanted = PurePosixPath(path.lower()).parts[::-1]
        agreeing: dict[int, int] = {}
        for file in self._called.get(wanted[0], ()) if wanted else ():
            parts = PurePosixPath(self.mirror.paths[file].lower()).parts[::-1]
            pairs = enumerate(zip(wanted, parts, strict=False))
            agreeing[file] = next((n for n, (a, b) in pairs if a != b), min(len(wanted), len(parts)))
        most = max(agreeing.values(), default=0)
        return [file for file, n in agreeing.items() if n == most]

    def codes(self, file: int) -> tuple[NDArray[np.uint32], NDArray[np.intp]]:
        """Return the codes of the terms of FILE in order, and how many of them each of its chunks has."""
        if (known := self._codes.get(file)) is None:
            rows = self.mirror.rows(file)
            found, starts = codes(self.mirror.terms(rows))
            ends = np.cumsum(self.mirror.sizes[rows], dtype=np.int64)
            known = self._codes[file] = found, np.diff(np.searchsorted(starts, ends), prepend=0)
        return known

    def pull(self, file: int) -> float:
        """Return the length of the sum of the unit vectors of FILE's chunks: the more alike they are, the longer."""
        if (known := self._pulls.get(file)) is None:
            total = self.mirror.vectors[self.mirror.rows(file)].sum(0)
            known = self._pulls[file] = float(np.sqrt(total @ total))
        return known

    @cached_property
    def mean_size(self) -> float:
        """Mean size of a chunk, in bytes of its terms."""
        return max(float(self.mirror.sizes.mean()), 1.0) if len(self.mirror) else 1.0

    @cached_property
    def mean_file_size(self) -> float:
        """Mean size of a file, in bytes of its chunks' terms."""
        return self.mean_size * len(self.mirror) / max(len(self.mirror.paths), 1)


_BASE: Final = 0x9E3779B97F4A7C15
_INVERSE: Final = pow(_BASE, -1, 1 << 64)
"""Of a polynomial hash modulo 2**64, where an odd number has an inverse: so all terms are hashed by one running sum."""
_MIX: Final = np.uint64(0xBF58476D1CE4E5B9)
_BLANK: Final = 32


@lru_cache(64)  # both bases in every length; together they are twice the longest
def _powers(base: int, length: int) -> NDArray[np.uint64]:
    powers = np.full(length, base, np.uint64)
    powers[:1] = 1
    return np.multiply.accumulate(powers)


def codes(blob: bytes) -> tuple[NDArray[np.uint32], NDArray[np.intp]]:
    """Return a number for each term of BLOB, where each stands between blanks of its own, and where each begins.

    Comparing numbers costs a question far less than looking for its terms in the text. Two terms share a number by a
    chance of one in four billion, which would count one as the other.
    """
    text = np.frombuffer(blob, np.uint8)
    blank = text == _BLANK
    starts = np.flatnonzero(blank[:-1] & ~blank[1:]) + 1
    ends = np.flatnonzero(~blank[:-1] & blank[1:]) + 1
    length = 1 << max(len(text), 1).bit_length()  # few lengths, so that the powers of most files are at hand
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(text * _powers(_BASE, length)[: len(text)])])
    found = (sums[ends] - sums[starts]) * _powers(_INVERSE, length)[starts]
    return ((found * _MIX) >> np.uint64(32)).astype(np.uint32), starts


@lru_cache(1 << 10)
def code(term: str) -> int:
    """Return the number that `codes` gives TERM."""
    return int(codes(f" {term} ".encode("utf-8", "surrogatepass"))[0][0])
