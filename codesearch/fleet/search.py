"""A question, asked of a fleet: candidates from the store's indexes, then ranked as in a folder.

The index of a folder is held in memory whole. Here the store finds the candidates, by vectors, by words and by names,
and of the files that they are of all chunks are read: a *shelf*, which is a mirror as far as the ranking can tell. What
that needs of the whole corpus, how many chunks and files there are and how common each term is, the store counts for
what the caller may see. So a store that holds one repository answers as that repository's own index does.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property, partial, reduce
from operator import and_
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow.compute as pc

from codesearch import bundle
from codesearch.confidence import ENOUGH, Calibration, confidence, foreign_questions
from codesearch.corpus import Corpus
from codesearch.encode import OnnxEncoder
from codesearch.errors import UsageError
from codesearch.evidence import gather
from codesearch.fleet.access import Access, Wanted
from codesearch.fleet.store import FleetStore, bundle_of
from codesearch.gist import SURE, Gist, gist
from codesearch.question import Question
from codesearch.rank import weights
from codesearch.related import related
from codesearch.search import DEPTH, NAMESAKES, Mode, cosines, fitting, ranked
from codesearch.store import Mirror, col
from codesearch.types import Answer, Hit, Stale

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from codesearch.fleet.schema import Entry
    from codesearch.related import Relation

_NOBODY: Final = ""
"""A name that no repository, no visibility and no file has."""
_AT_ONCE: Final = 8
"""Queries of a question that run beside each other; it has four, and one for each name and file in it."""


@dataclass(frozen=True)
class Shelf(Mirror):
    """All chunks of some files, of any repositories; its columns also say of which, as of which commit."""

    @cached_property
    def _files(self) -> tuple[list[str], NDArray[np.int32]]:
        keys = pc.binary_join_element_wise(self.columns["repository"], self.columns["path"], "\0")
        encoded = keys.combine_chunks().dictionary_encode()
        paths = [key.partition("\0")[2] for key in encoded.dictionary.to_pylist()]
        return paths, np.asarray(encoded.indices.to_numpy())

    @property
    def paths(self) -> list[str]:
        """The path of each file within its repository; two repositories may have the same."""
        return self._files[0]

    @property
    def path_of(self) -> NDArray[np.int32]:
        """Shape (n,): index into `paths` of each chunk's file."""
        return self._files[1]

    def hit(self, position: int, why: tuple[tuple[str, float], ...] = ()) -> Hit:
        """Return the chunk at POSITION, without its text, with the reasons WHY that add up to its score."""
        its = {name: self.columns[name][position].as_py() for name in ("repository", "commit")}
        return replace(super().hit(position, why), **its)


@dataclass(frozen=True)
class Visible:
    """The corpus of one caller: what of a store he may see, and its statistics."""

    store: FleetStore
    access: Access
    entries: tuple[Entry, ...]
    calibration: Calibration | None

    @classmethod
    def of(cls, store: FleetStore, access: Access) -> Visible:
        """Return what ACCESS shows of STORE."""
        entries, foreign = store.entries(_where(access))
        calibration = None
        if foreign.shape[1] == len(foreign_questions()):
            nearest = foreign.max(0)
            calibration = Calibration(tuple(nearest.tolist()), ("",) * len(nearest))
        return cls(store, access, tuple(entries), calibration)

    @cached_property
    def where(self) -> Any:
        """The filter that is in every query."""
        return _where(self.access)

    @cached_property
    def totals(self) -> tuple[int, int, int]:
        """How many chunks and files there are, and how much is in all chunks, in bytes of their terms."""
        sizes = np.array([(entry.chunks, entry.files, entry.size) for entry in self.entries], np.int64).reshape(-1, 3)
        chunks, files, size = sizes.sum(0).tolist()
        return chunks, files, size

    @cached_property
    def names(self) -> frozenset[str]:
        """The names of all repositories."""
        return frozenset(entry.repository for entry in self.entries)

    def frequencies(self, terms: Iterable[str]) -> Mapping[str, tuple[int, int]]:
        """Return, for those of TERMS that occur, the number of chunks and of files that hold each."""
        return self.store.frequencies(set(terms), None if self.access.all else self.names)


class _Sample(Corpus):
    """A shelf's files, as a part of all that are visible, for one question."""

    def __init__(self, shelf: Shelf, visible: Visible, question: Question) -> None:
        super().__init__(shelf, question.counted)
        self._chunks, self._files, self._size = visible.totals

    @property
    def chunks(self) -> int:
        return self._chunks

    @property
    def files(self) -> int:
        return self._files

    @cached_property
    def mean_size(self) -> float:
        return max(self._size / max(self._chunks, 1), 1.0)


def _where(access: Access) -> Any:
    if access.all:
        return None
    # An empty list is no filter to lancedb, and here it means nobody.
    shown = col("visibility").isin(sorted(access.visibilities or (_NOBODY,)))
    return shown | col("repository").isin(sorted(access.repositories or (_NOBODY,)))


@dataclass(frozen=True)
class _Repository:
    """The code of one repository of a store, in which to look for what belongs together; see `related.Code`."""

    store: FleetStore
    name: str

    @cached_property
    def mirror(self) -> Shelf:
        return Shelf.of(self.store.version, self.store.repository(self.name))

    def text(self, path: str) -> str:
        return "\n".join(self.store.lines(self.name, path))

    def matching(self, terms: Iterable[str], limit: int) -> NDArray[np.uint64]:
        return self.store.matching(terms, limit, col("repository") == self.name)

    def hits(self, positions: Sequence[int]) -> list[Hit]:
        texts = self.store.texts(self.mirror.row_ids[list(positions)].tolist())
        return [replace(self.mirror.hit(at), text=text) for at, text in zip(positions, texts, strict=True)]


class Fleet:
    """A store and its encoder, to be asked again and again."""

    def __init__(self, uri: str, access: Access) -> None:
        """Open the store at URI for a caller with this ACCESS, which no question can widen.

        Raises:
            IndexFormatError, BundleError: there is none, or it can not be read.
        """
        self._access = access
        self._visible = Visible.of(FleetStore.open(uri), access)
        self._encoder = OnnxEncoder(bundle.load(bundle_of(uri)))
        self._queries = ThreadPoolExecutor(_AT_ONCE, "query")

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The repositories that may be seen."""
        return self._visible.entries

    def refresh(self) -> None:
        """Answer from what is in the store now."""
        held = self._visible.store
        newest = held.newest()
        if newest is held:
            return
        if newest.identity != held.identity:  # made anew, of another model
            self._encoder = OnnxEncoder(bundle.load(bundle_of(newest.uri)))
        self._visible = Visible.of(newest, self._access)

    def ask(
        self,
        query: str,
        limit: int = 10,
        *,
        wanted: Wanted | None = None,
        mode: Mode = Mode.FUSED,
        min_score: float | None = None,
    ) -> Answer:
        """Answer QUERY with up to LIMIT hits, with their text, of what is WANTED.

        Raises:
            UsageError: a repository or owner is named that is not there, or may not be seen.
        """
        started = time.perf_counter()
        hits, sure = self._search(Question(query), limit, mode, wanted or Wanted())
        if sure < (ENOUGH if min_score is None else min_score):
            hits = []
        texts = self._visible.store.texts([number for number, _ in hits])
        shown = tuple(replace(hit, text=text) for (_, hit), text in zip(hits, texts, strict=True))
        return Answer(query, Stale.FRESH, (time.perf_counter() - started) * 1000, shown, sure)

    def related(
        self, repository: str, path: str, line: int, limit: int = 5
    ) -> tuple[Hit, dict[Relation, tuple[Hit, ...]]]:
        """Return the chunk at LINE of the file PATH of REPOSITORY, and what belongs to it there; see `related.related`.

        Raises:
            UsageError: there is no such repository, file or line, or it may not be seen.
        """
        its = _Repository(self._visible.store, repository)
        if repository not in self._visible.names or path not in its.mirror.paths:
            raise UsageError(f"no file {path} of {repository} is in the store, or may be seen.")
        return related(its, path, line, limit)

    def gist(self, answer: Answer) -> Gist | None:
        """Return what is known of the best hit of ANSWER beside its place; None where it is not sure."""
        if not answer.hits or answer.confidence < SURE:
            return None
        best = answer.hits[0]
        try:
            return gist(_Repository(self._visible.store, best.repository), best)
        except UsageError:  # it is not as it was when it was found
            return None

    def languages(self) -> dict[str, int]:
        """Return how many chunks there are in each language, most first."""
        return self._visible.store.languages(self._visible.where)

    def lines(self, repository: str, path: str) -> list[str]:
        """Return the lines of the file at PATH of REPOSITORY; none where there is none, or it may not be seen."""
        return self._visible.store.lines(repository, path, self._visible.where)

    def _search(
        self, question: Question, limit: int, mode: Mode, wanted: Wanted
    ) -> tuple[list[tuple[int, Hit]], float]:
        """Return at most LIMIT hits, best first, each with its row's number, and how sure it is that they answer."""
        visible, store, encoder = self._visible, self._visible.store, self._encoder
        where = _narrowed(visible, wanted)
        known = self._queries.submit(visible.frequencies, question.counted)
        asked = encoder.encode([question.text], "query")[0]
        found = [self._queries.submit(query) for query in _candidates(store, question, asked, mode, where)]
        row_ids = np.unique(np.concatenate([np.empty(0, np.uint64), *(rows.result() for rows in found)]))
        shelf = Shelf.of(store.version, store.files_of(row_ids))
        similarities = None if mode is Mode.TEXT else cosines(shelf.vectors, asked)
        sample = _Sample(shelf, visible, question)
        evidence = gather(sample, known.result(), question, shelf.positions(row_ids), similarities)
        hits = ranked(shelf, evidence, limit, mode, wanted.kinds, weights(encoder))
        sure = 1.0 if mode is Mode.DENSE else confidence(evidence, visible.calibration)
        return [(int(shelf.row_ids[position]), hit) for position, hit in hits], sure


def _candidates(
    store: FleetStore, question: Question, asked: NDArray[np.float32], mode: Mode, where: Any
) -> list[Callable[[], NDArray[np.uint64]]]:
    """Return the queries that find the rows which QUESTION, whose vector is ASKED, may mean of those WHERE says."""
    found: list[Callable[[], NDArray[np.uint64]]] = []
    if mode is not Mode.TEXT and asked.any():
        found.append(partial(store.nearest, asked, DEPTH, where))
    if mode is not Mode.DENSE:
        found.append(partial(store.matching, question.terms, DEPTH, where))
        names = [name.lower() for name in sorted(question.names.union(question.name[-1:]))]
        files = [place.path.rpartition("/")[2].lower() for place in question.places]
        found += [partial(store.having, "name", name, NAMESAKES, where) for name in names]
        found += [partial(store.having, "file", file, NAMESAKES, where) for file in files]
    return found


def _narrowed(visible: Visible, wanted: Wanted) -> Any:
    """Return the filter for what is WANTED of what is VISIBLE."""
    parts = [] if visible.where is None else [visible.where]
    named = wanted.named(visible.entries)
    if named is not None:
        parts.append(col("repository").isin(sorted(named or (_NOBODY,))))
    if wanted.languages:
        parts.append(col("language").isin(sorted(wanted.languages)))
    if wanted.kinds:
        parts.append(col("kind").isin(sorted(wanted.kinds)))
    if not wanted.tests:
        parts.append(col("test") == False)  # noqa: E712 - an expression
    where = reduce(and_, parts) if parts else None
    if not wanted.globs:
        return where
    chosen = _fitting(visible.store.paths(where), wanted.globs)
    return chosen if where is None else where & chosen


def _fitting(paths: Sequence[str], globs: Sequence[str]) -> Any:
    """Return the filter for those of PATHS that fit GLOBS, in fewest words.

    Globs of gitignore are no expressions of the store's; which paths there are it says in a tenth of a second a million
    chunks, and by an index looks only into those that are named.
    """
    fits = fitting(globs, paths)
    some = [path for path, fit in zip(paths, fits, strict=True) if fit]
    others = [path for path, fit in zip(paths, fits, strict=True) if not fit]
    if len(some) <= len(others):
        return col("path").isin(some or [_NOBODY])
    return ~col("path").isin(others or [_NOBODY])
