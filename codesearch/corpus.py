"""What can be known of files and chunks before any question: their names, what they define, where they point.

A view of one mirror that works things out when they are first needed and keeps them: a question touches a few hundred
files, and the next one mostly the same.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

import numpy as np

from codesearch.roles import Role, roles, stem, telling_name
from codesearch.text import TOLD, terms
from codesearch.types import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from codesearch.store import Mirror

_SHORTEST_PREFIX: Final = 3
"""Characters that two terms must begin with alike; fewer say nothing."""
_BUCKETS: Final = 64
"""Parts of a file's terms, by the highest bits of their codes; a question looks through one a term."""
_BUCKET_SHIFT: Final = 32 - 6
_HALF: Final = 1 << 16
"""As many numbers as half the bits of a code make."""
_CODE_BITS: Final = np.uint64(32)
"""Above a place in a file stands a code, so that one sort orders both."""
_BUCKET_BEGINS: Final = np.append(np.arange(_BUCKETS, dtype=np.uint64) << np.uint64(_BUCKET_SHIFT + 32), ~np.uint64(0))
_PLACE_MASK: Final = np.uint64((1 << 32) - 1)


class _Postings:
    """Rows of a term's code, a place and how often it has the term, to which more are added.

    A place is twice the number of a chunk among those of its file, and one more for its documentation.
    """

    def __init__(self) -> None:
        self._room = np.empty((1 << 10, 3), np.uint32)
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def add(self, columns: Sequence[NDArray[np.integer]]) -> None:
        """Add rows, given as three COLUMNS."""
        needed = self._length + len(columns[0])
        if needed > len(self._room):
            room = np.empty((2 * needed, 3), np.uint32)
            room[: self._length] = self.rows
            self._room = room
        for i, column in enumerate(columns):
            self._room[self._length : needed, i] = column
        self._length = needed

    @property
    def rows(self) -> NDArray[np.uint32]:
        """Shape (n, 3)."""
        return self._room[: self._length]


def _ranges(begins: NDArray[np.intp], ends: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the numbers from each of BEGINS to before its of ENDS, one range after the other, and their lengths."""
    lengths = ends - begins
    skipped = begins - (np.cumsum(lengths) - lengths)
    return np.repeat(skipped, lengths) + np.arange(lengths.sum()), lengths


class _Numbers(dict[str, int]):
    """The number of each term, the next one where it is new; then it is put among those that begin alike."""

    def __init__(self, by_beginning: dict[str, list[str]]) -> None:
        self._by_beginning = by_beginning

    def __missing__(self, term: str) -> int:
        self._by_beginning.setdefault(term[:_SHORTEST_PREFIX], []).append(term)
        number = self[term] = len(self)
        return number


class Vocabulary:
    """Names, each some distinct terms, and the terms that they are made of, both numbered as they come.

    A question is compared with each term once, however many names have it, and what it says of hundreds of names is
    looked up by their numbers.
    """

    def __init__(self) -> None:
        """Hold none yet."""
        self._by_beginning: dict[str, list[str]] = {}
        self._numbers = _Numbers(self._by_beginning)
        self._members = array("q")
        """Numbers of the terms of each name, in their order, one name after the other."""
        self._bounds = array("q", [0])
        """Where in these each name begins, and the last one ends."""
        self._sizes = array("q")
        """Characters of each name."""

    def __len__(self) -> int:
        """Return how many terms there are."""
        return len(self._numbers)

    def add(self, terms: Iterable[str]) -> int:
        """Return the number of a new name made of TERMS."""
        distinct = sorted(set(filter(None, terms)))
        self._members.extend(map(self._numbers.__getitem__, distinct))
        self._bounds.append(len(self._members))
        self._sizes.append(sum(map(len, distinct)))
        return len(self._sizes) - 1

    def alike(self, asked: str) -> Iterator[tuple[str, int, float]]:
        """Yield each term that ASKED is like, with its number and how like they are.

        A term is like itself by 1, and like a longer one that it begins by its share of it: `auth` and `authent` are
        alike, `authent` and `author` are not. What is alike begins alike, so of many terms few are compared.
        """
        for term in self._by_beginning.get(asked[:_SHORTEST_PREFIX], ()):
            if term.startswith(asked) or asked.startswith(term):
                likeness = min(len(term), len(asked)) / max(len(term), len(asked))
                yield term, self._numbers[term], likeness

    def members(self, names: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
        """Return the terms of NAMES, one name after the other, and how many terms and characters each has."""
        bounds = np.asarray(self._bounds)
        at, lengths = _ranges(bounds[names], bounds[names + 1])
        return np.asarray(self._members)[at], lengths, np.asarray(self._sizes)[names]


class Asked:
    """The terms of a question, as they are like those that a vocabulary holds by then."""

    def __init__(self, vocabulary: Vocabulary, terms: Iterable[str]) -> None:
        """Compare TERMS with all of VOCABULARY."""
        self._vocabulary = vocabulary
        self._terms = sorted(set(terms))
        alike = [(column, *found) for column, asked in enumerate(self._terms) for found in vocabulary.alike(asked)]
        rows = {number: row for row, number in enumerate(dict.fromkeys(number for _, _, number, _ in alike), 1)}
        self._row_of = np.zeros(len(vocabulary), np.intp)
        """Shape (terms of the vocabulary,): the row of each below, 0 for those that are like nothing that is asked."""
        self._likeness = np.zeros((len(rows) + 1, len(self._terms)))
        """Shape (rows, asked terms)."""
        self._worth = np.zeros(len(rows) + 1)
        """Shape (rows,): so many characters of the term are said."""
        for column, term, number, likeness in alike:
            self._row_of[number] = row = rows[number]
            self._likeness[row, column] = likeness
            self._worth[row] = max(self._worth[row], len(term) * likeness)

    def shares(self, names: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return how much of each of NAMES is said, by the lengths of its terms."""
        owners, rows, sizes = self._found(names)
        # As below, sums are taken from left to right, so a figure does not depend on what else is looked up.
        shares: NDArray[np.float64] = np.bincount(owners, self._worth[rows], len(names)) / np.maximum(sizes, 1)
        return shares

    def recall(self, names: NDArray[np.intp], weights: Mapping[str, float]) -> NDArray[np.float64]:
        """Return how much of what is asked, its terms weighed by WEIGHTS, each of NAMES says."""
        recall = np.zeros(len(names))
        owners, rows, _ = self._found(names)
        if len(owners):
            first = np.flatnonzero(np.diff(owners, prepend=-1))
            said = np.maximum.reduceat(self._likeness[rows], first) * [weights[term] for term in self._terms]
            recall[owners[first]] = said.cumsum(1)[:, -1]
        return recall / (sum(weights.values()) or 1.0)

    def _found(self, names: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
        """Return, for each term of NAMES that is like one that is asked, which name has it and its row; then sizes."""
        members, lengths, sizes = self._vocabulary.members(names)
        rows = self._row_of[members]
        found = np.flatnonzero(rows)
        return np.searchsorted(np.cumsum(lengths), found, "right"), rows[found], sizes


@dataclass(frozen=True, slots=True)
class FileNames:
    """What one file, its folders and its definitions are called; what is a number is one of the vocabulary's names."""

    word: str
    """The file's name up to its first dot, in lower case."""
    squeezed: str
    """The same without what joins words."""
    stem: int
    """Of the file's telling name."""
    folder: int
    """Of the folder it lies in."""
    all: int
    """Of its path and of everything it defines."""
    defined: frozenset[str]
    """The last parts of its definitions' qualified names, as they stand there."""
    lowered: frozenset[str]
    """The same in lower case."""
    roles: int
    """A bit for each `Role`, in their order from the lowest: whether it plays it."""


@dataclass(frozen=True, slots=True)
class Said:
    """The terms of all chunks of some files."""

    buckets: NDArray[np.intp]
    """Shape (files, _BUCKETS + 1): where in the postings each bucket of a file begins."""
    postings: NDArray[np.uint32]
    """Shape (n, 3): the code of a term, which place in its file has it, and how often."""
    starts: NDArray[np.intp]
    """Shape (files,): where the chunks of each file begin."""
    chunks: int

    def count(self, term: str) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
        """Return how often TERM stands in each chunk, shape (chunks,), and which chunks have it in documentation."""
        wanted = code(term)
        bucket = wanted >> _BUCKET_SHIFT
        at, lengths = _ranges(self.buckets[:, bucket], self.buckets[:, bucket + 1])
        found = np.flatnonzero(self.postings[at, 0] == wanted)
        _, place, times = self.postings[at[found]].T
        which = np.repeat(self.starts, lengths)[found] + (place >> 1)
        return np.asarray(np.bincount(which, times, self.chunks), np.float64), which[(place & 1).nonzero()[0]]


class Corpus:
    """What is known of the chunks of one mirror."""

    def __init__(self, mirror: Mirror, only: Iterable[str] | None = None) -> None:
        """View MIRROR, of whose terms none will be counted but ONLY these, where they are given."""
        self.mirror = mirror
        self.vocabulary = Vocabulary()
        """Of the names that were asked for so far."""
        self._names: dict[int, FileNames] = {}
        self._symbols = np.full(len(mirror), -1, np.intp)
        """Shape (chunks,): the name of each, -1 where it is not known yet."""
        self._pulls = np.full(len(mirror.paths), np.nan)
        self._postings = _Postings()
        self._buckets = np.zeros((len(mirror.paths), _BUCKETS + 1), np.intp)
        self._read = np.zeros(len(mirror.paths), np.bool_)
        """Shape (files,): whether its terms are in the postings."""
        self._counted: NDArray[np.bool_] | None = None
        """Shape (_HALF,): which codes are kept, by their upper halves; None for all."""
        if only is not None:
            self._counted = np.zeros(_HALF, np.bool_)
            self._counted[[code(term) // _HALF for term in only]] = True

    def rows(self, files: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return the positions of the chunks of FILES, one file after the other, and how many each has."""
        order, bounds = self.mirror.by_path
        at, lengths = _ranges(bounds[files], bounds[files + 1])
        return order[at], lengths

    def names(self, files: NDArray[np.intp]) -> list[FileNames]:
        """Return what each of FILES, indices into the mirror's paths, and its definitions are called."""
        return [self._names.get(file) or self._names_of(file) for file in files.tolist()]

    def symbols(self, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """Return what the chunk at each of ROWS is called, without what that belongs to, as names."""
        for row in rows[self._symbols[rows] < 0].tolist():
            last = self.mirror.symbols[row].rpartition("." if self.is_definition(row) else " > ")[2]
            self._symbols[row] = self.vocabulary.add(terms(last))
        return self._symbols[rows]

    def _names_of(self, file: int) -> FileNames:
        path = self.mirror.paths[file]
        rows = self.mirror.rows(file)
        symbols = {self.mirror.symbols[row] for row in rows[self._defines[rows]].tolist()}
        defined = frozenset(filter(None, (symbol.rpartition(".")[2] for symbol in symbols)))
        folders = path.split("/")[:-1]
        telling = terms(telling_name(path))
        word = stem(path).lower()
        plays = roles(path)
        named = self.vocabulary.add
        names = self._names[file] = FileNames(
            word=word,
            squeezed=word.replace("_", "").replace("-", ""),
            stem=named(telling),
            folder=named(terms(folders[-1]) if folders else ()),
            all=named((*telling, *terms("/".join(folders)), *terms("\n".join(symbols)))),
            defined=defined,
            lowered=frozenset(name.lower() for name in defined),
            roles=sum((role in plays) << bit for bit, role in enumerate(Role)),
        )
        return names

    @cached_property
    def _defines(self) -> NDArray[np.bool_]:
        return np.asarray(self.mirror.kinds != Kind.SECTION, np.bool_)

    def is_definition(self, row: int) -> bool:
        """Tell whether the chunk at ROW defines what its symbol names, as a heading does not."""
        return bool(self._defines[row])

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

    def said(self, files: NDArray[np.intp], starts: NDArray[np.intp], chunks: int) -> Said:
        """Return the terms of FILES, whose chunks begin at STARTS and are so many."""
        for file in files[~self._read[files]].tolist():
            self._read_terms(file)
        return Said(self._buckets[files], self._postings.rows, starts, chunks)

    def _read_terms(self, file: int) -> None:
        rows = self.mirror.rows(file)
        found, at = codes(self.mirror.terms(rows))
        ends = np.searchsorted(at, np.cumsum(self.mirror.sizes[rows], dtype=np.int64))
        lengths = np.diff(ends, prepend=0)
        begun = np.cumsum(np.append(False, found == code(TOLD)))  # documentations, before each term
        told = begun[1:] > np.repeat(begun[ends - lengths], lengths)
        places = np.repeat(np.arange(0, 2 * len(rows), 2, dtype=np.uint64), lengths) + told
        if self._counted is not None:
            kept = np.flatnonzero(self._counted[found // _HALF])
            found, places = found[kept], places[kept]
        pairs = np.sort(found.astype(np.uint64) << _CODE_BITS | places)
        first = np.flatnonzero(np.diff(pairs, prepend=~pairs[:1]))
        distinct = pairs[first]
        self._buckets[file] = len(self._postings) + np.searchsorted(distinct, _BUCKET_BEGINS)
        times = np.diff(first, append=len(pairs))
        self._postings.add((distinct >> _CODE_BITS, distinct & _PLACE_MASK, times))
        self._read[file] = True

    def pulls(self, files: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return the length of the sum of the unit vectors of each of FILES: the more alike they are, the longer."""
        for file in files[np.isnan(self._pulls[files])].tolist():
            total = self.mirror.vectors[self.mirror.rows(file)].sum(0)
            self._pulls[file] = np.sqrt(total @ total)
        return self._pulls[files]

    @property
    def chunks(self) -> int:
        """How many chunks there are."""
        return len(self.mirror)

    @property
    def files(self) -> int:
        """How many files have chunks."""
        return len(self.mirror.paths)

    @cached_property
    def mean_size(self) -> float:
        """Mean size of a chunk, in bytes of its terms."""
        return max(float(self.mirror.sizes.mean()), 1.0) if len(self.mirror) else 1.0

    @property
    def mean_file_size(self) -> float:
        """Mean size of a file, in bytes of its chunks' terms."""
        return self.mean_size * self.chunks / max(self.files, 1)


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
    blanks = np.flatnonzero(text == _BLANK)  # before a term, behind it, before the next
    starts, ends = blanks[::2] + 1, blanks[1::2]
    length = 1 << max(len(text), 1).bit_length()  # few lengths, so that the powers of most files are at hand
    sums = np.zeros(len(text) + 1, np.uint64)
    np.multiply(text, _powers(_BASE, length)[: len(text)], out=sums[1:])
    np.cumsum(sums[1:], out=sums[1:])
    found = (sums[ends] - sums[starts]) * _powers(_INVERSE, length)[starts]
    return ((found * _MIX) >> np.uint64(32)).astype(np.uint32), starts


@lru_cache(1 << 10)
def code(term: str) -> int:
    """Return the number that `codes` gives TERM."""
    return int(codes(f" {term} ".encode("utf-8", "surrogatepass"))[0][0])
