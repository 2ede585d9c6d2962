"""What can be known of files and chunks before any question: their names, what they define, where they point.

A view of one mirror that works things out when they are first needed and keeps them: a question touches a few hundred
files, and the next one mostly the same.
"""

from __future__ import annotations

from bisect import bisect_left
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
    """Some distinct terms, to be compared with those of a question."""

    __slots__ = ("_members", "_sorted")

    def __init__(self, members: Iterable[str]) -> None:
        """Hold MEMBERS."""
        self._sorted = sorted({term for term in members if term})
        self._members = frozenset(self._sorted)

    def __iter__(self) -> Iterator[str]:
        return iter(self._sorted)

    def __len__(self) -> int:
        return len(self._sorted)

    def likeness(self, term: str) -> float:
        """Return 1 for a member, else the share that TERM and the member most like it have as a common beginning.

        One of the two must be the beginning: `auth` and `authent` are alike, `authent` and `author` are not.
        """
        if term in self._members:
            return 1.0
        best = 0.0
        if len(term) >= _SHORTEST_PREFIX:
            for at in range(bisect_left(self._sorted, term), len(self._sorted)):
                if not self._sorted[at].startswith(term):
                    break
                best = max(best, len(term) / len(self._sorted[at]))
        beginnings = _beginnings(term)
        if not self._members.isdisjoint(beginnings):
            longest = next(beginning for beginning in beginnings if beginning in self._members)
            best = max(best, len(longest) / len(term))
        return best


@lru_cache(1 << 10)
def _beginnings(term: str) -> tuple[str, ...]:
    """Return what TERM begins with, longest first, itself left out."""
    return tuple(term[:length] for length in range(len(term) - 1, _SHORTEST_PREFIX - 1, -1))


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
