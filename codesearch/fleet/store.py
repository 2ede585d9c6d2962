"""The store of a fleet, open for reading, at one version. By lancedb alone, as the index of a folder.

Every query carries a filter, and Lance applies it before it chooses the nearest or the best matching: what a caller may
not see is not looked at. Scalar indexes make that cheap.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from codesearch import bundle
from codesearch.errors import IndexFormatError, UsageError
from codesearch.fleet.schema import CHUNKS, CURSOR, ENTRY, IS_CHUNK, MODEL, TERMS, Entry, Identity, lines_of
from codesearch.fleet.vectors import vector_index
from codesearch.paths import base_bundle
from codesearch.store import MatchQuery, col, connect, opened
from codesearch.types import Row

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Where = Any
    """An expression of lancedb's, or None for all rows."""

_NOWHERE: Final = ""
"""The path of no file."""
_FEW: Final = 1000
"""Repositories up to which it pays to name them in a query, rather than to look at what it gives."""


def _both(one: Where, other: Where) -> Where:
    return other if one is None else one if other is None else one & other


def _connected(uri: str) -> Any:
    if "@" in uri.partition("://")[2].partition("/")[0]:
        raise UsageError("a store's URI names no user: credentials come from the environment or the machine.")
    if "://" not in uri and not Path(uri).is_dir():  # lancedb would make the folder
        raise _no_store(uri)
    return connect(uri)


def _no_store(uri: str) -> IndexFormatError:
    return IndexFormatError(f"there is no store at {uri}. Make it with `codesearch fleet index`.")


class FleetStore:
    """The tables of a store at one version, and the queries that answers are made of."""

    def __init__(self, uri: str, chunks: Any, terms: Any, identity: Identity) -> None:
        """Use `open`."""
        self.uri = uri
        self.identity = identity
        self.version = int(chunks.version)
        self._chunks = chunks
        self._terms = terms
        self.chunks = int(chunks.count_rows(IS_CHUNK))
        self._indexed = {column for index in chunks.list_indices() for column in index.columns}

    @classmethod
    def open(cls, uri: str, version: int | None = None) -> Self:
        """Open the store at URI as it is now, or as it was at VERSION.

        Raises:
            IndexFormatError: there is none.
        """
        database = _connected(uri)
        chunks, terms = opened(database, CHUNKS), opened(database, TERMS)
        if chunks is None or terms is None:
            raise _no_store(uri)
        identity = Identity.of(chunks.schema, uri)
        chunks.checkout(version or chunks.version)  # what comes later is another version
        cursor = chunks.search().where(col("kind") == CURSOR).select(["entry"]).to_arrow()
        terms.checkout(json.loads(cursor["entry"][0].as_py())["terms"])
        return cls(uri, chunks, terms, identity)

    def newest(self) -> Self:
        """Return the store as it is now: this one, where nothing was committed since."""
        latest = _connected(self.uri).open_table(CHUNKS).version
        return self if latest == self.version else type(self).open(self.uri)

    # The ledger.

    def entries(self, where: Where = None) -> tuple[list[Entry], NDArray[np.float32]]:
        """Return the entries that fit WHERE, and how near each comes to the foreign questions, (entries, questions)."""
        columns = ["repository", "owner", "visibility", "commit", "entry", "foreign"]
        rows = self._chunks.search().where(_both(col("kind") == ENTRY, where)).select(columns).to_arrow()
        entries = [Entry.read(row) for row in rows.drop_columns(["foreign"]).to_pylist()]
        lengths = rows["foreign"].combine_chunks().value_lengths().fill_null(0).to_numpy()
        longest = int(lengths.max(initial=0))
        foreign = np.zeros((len(entries), longest), np.float32)
        if longest:  # a repository without a chunk has none
            foreign[lengths == longest] = rows["foreign"].combine_chunks().flatten().to_numpy().reshape(-1, longest)
        return entries, foreign

    # Candidates: numbers of rows, best first where there is a best.

    def nearest(self, vector: NDArray[np.float32], limit: int, where: Where = None) -> NDArray[np.uint64]:
        """Return the numbers of up to LIMIT rows whose vectors are nearest to VECTOR, and less than a right angle."""
        query = self._chunks.search(vector, vector_column_name="vector").distance_type("cosine").limit(limit)
        if where is not None:
            query = query.where(where, prefilter=True)
        index = vector_index(self.chunks) if "vector" in self._indexed else None
        query = query.nprobes(index.probes).refine_factor(index.refine) if index else query.bypass_vector_index()
        found = query.with_row_id(True).select(["_distance"]).to_arrow()
        near = found.filter(pc.less(found["_distance"], 1.0))
        return np.asarray(near["_rowid"].to_numpy())

    def matching(self, terms: Iterable[str], limit: int, where: Where = None) -> NDArray[np.uint64]:
        """Return the numbers of up to LIMIT rows that hold any of TERMS, by BM25."""
        text = " ".join(terms)
        if not text or "terms" not in self._indexed:
            return np.empty(0, np.uint64)
        query = self._chunks.search(MatchQuery(text, "terms"), query_type="fts").limit(limit)  # type: ignore[call-arg]
        if where is not None:
            query = query.where(where, prefilter=True)
        return np.asarray(query.with_row_id(True).select(["_score"]).to_arrow()["_rowid"].to_numpy())

    def having(self, column: str, value: str, limit: int, where: Where = None) -> NDArray[np.uint64]:
        """Return the numbers of the first LIMIT rows that have VALUE in COLUMN."""
        query = self._chunks.search().where(_both(col(column) == value, where)).limit(limit)
        return np.sort(np.asarray(query.with_row_id(True).select(["_rowid"]).to_arrow()["_rowid"].to_numpy()))

    # What is known of them.

    def files_of(self, row_ids: NDArray[np.uint64]) -> pa.Table:
        """Return all chunks of the files that the rows numbered ROW_IDS are of, as `Mirror.of` takes them."""
        names = ["repository", "path"]
        files = self._chunks.take_row_ids(row_ids.tolist()).select(names).to_arrow()
        paths = col("path").isin(files["path"].unique().to_pylist() or [_NOWHERE])
        found = self._chunks.search().where(paths).select(names).with_row_id(True).to_arrow()
        # A path of one repository may be that of a file of another, too, that is no candidate. To tell by what was
        # found is quicker than to have the index of repositories say so: each has many rows.
        found = found.filter(pc.is_in(_keys(found), value_set=_keys(files).combine_chunks()))
        columns = dict.fromkeys([*Row._fields, *names, "commit", "vector"])
        return self._chunks.take_row_ids(found["_rowid"].to_pylist()).select([*columns]).with_row_id().to_arrow()

    def repository(self, name: str) -> pa.Table:
        """Return all chunks of the repository called NAME, as `Mirror.of` takes them, without their terms."""
        columns = [*(field for field in Row._fields if field != "terms"), "repository", "commit", "vector"]
        its = (col("repository") == name) & (col("start_line") > 0)  # its entry has no lines
        return self._chunks.search().where(its).select(columns).with_row_id(True).to_arrow()

    def texts(self, row_ids: Sequence[int]) -> list[str]:
        """Return the source of the rows numbered ROW_IDS."""
        if not row_ids:
            return []
        found = self._chunks.take_row_ids(list(row_ids)).select(["text"]).with_row_id().to_arrow()
        text = dict(zip(found["_rowid"].to_pylist(), found["text"].to_pylist(), strict=True))
        return [text[number] or "" for number in row_ids]

    def code(self, repository: str) -> pa.Table:
        """Return path, first line, symbol and source of each chunk of REPOSITORY."""
        columns = ["path", "start_line", "symbol", "text"]
        wanted = (col("repository") == repository) & (col("kind") != ENTRY)
        table: pa.Table = self._chunks.search().where(wanted).select(columns).to_arrow()
        return table

    def lines(self, repository: str, path: str, where: Where = None) -> list[str]:
        """Return the lines of the file at PATH of REPOSITORY, if its rows fit WHERE; else none."""
        its = (col("repository") == repository) & (col("path") == path)
        found = self._chunks.search().where(_both(its, where)).select(["start_line", "text"]).to_arrow()
        return lines_of(zip(found["start_line"].to_pylist(), found["text"].to_pylist(), strict=True))

    def paths(self, where: Where = None) -> list[str]:
        """Return the paths of all files that fit WHERE, each once: that of two repositories may be the same."""
        begins = col("start_line") == 1  # the first chunk of a file does
        found = self._chunks.search().where(_both(begins, where)).select(["path"]).to_arrow()
        return list(found["path"].unique().to_pylist())

    def languages(self, where: Where = None) -> dict[str, int]:
        """Return how many of the chunks that fit WHERE are in each language, most first."""
        its = self._chunks.search().where(_both(col("start_line") > 0, where))  # entries are of no language
        counted = its.select(["language"]).to_arrow()["language"].value_counts().to_pylist()
        return {one["values"]: one["counts"] for one in sorted(counted, key=lambda one: -one["counts"])}

    def frequencies(self, terms: Collection[str], among: Collection[str] | None) -> Mapping[str, tuple[int, int]]:
        """Return, for those of TERMS that occur AMONG some repositories (None: all), how many chunks and files do."""
        if not terms:
            return {}
        where = col("term").isin(sorted(terms))
        if among is not None and len(among) <= _FEW:
            where &= col("repository").isin(sorted(among))
        found = self._terms.search().where(where).select(["repository", "term", "chunks", "files"]).to_arrow()
        if among is not None and len(among) > _FEW:
            found = found.filter(pc.is_in(found["repository"], value_set=pa.array(sorted(among))))
        counted = found.group_by("term").aggregate([("chunks", "sum"), ("files", "sum")])
        columns = (counted[name].to_pylist() for name in ("term", "chunks_sum", "files_sum"))
        return {term: (chunks, files) for term, chunks, files in zip(*columns, strict=True)}


def _keys(table: pa.Table) -> pa.ChunkedArray:
    return pc.binary_join_element_wise(table["repository"], table["path"], "\0")


def bundle_of(uri: str) -> Path:
    """Return a folder with the bundle whose vectors the store at URI holds: the one that ships, or a copy of its own.

    Raises:
        BundleError: what the store holds is no such bundle.
    """
    return _bundle(uri, Identity.of(_connected(uri).open_table(CHUNKS).schema, uri).model)


@lru_cache(4)
def _bundle(uri: str, wanted: str) -> Path:
    if bundle.load(base_bundle()).fingerprint == wanted:
        return base_bundle()
    import platformdirs

    kept = Path(platformdirs.user_cache_dir("codesearch", appauthor=False), "models", wanted)
    if not kept.is_dir():
        kept.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(dir=kept.parent))
        for row in _connected(uri).open_table(MODEL).to_arrow().to_pylist():
            (fresh / Path(row["name"]).name).write_bytes(row["content"])
        if bundle.load(fresh).fingerprint != wanted:
            shutil.rmtree(fresh)
            raise IndexFormatError(f"{uri} holds another model than its vectors are of. Index into a new store.")
        try:
            fresh.rename(kept)
        except OSError:  # another process was first
            shutil.rmtree(fresh)
    return kept
