"""The store: one LanceDB table of chunks in a generation, and its mirror in memory. The only importer of lancedb.

A row is a chunk without its source, which is read from the file when an answer is shown. Its key is the digest of what
is embedded (path, qualified name, source), with a number for exact copies within a file: moving lines changes no key.
The full-text column holds our own terms, so LanceDB splits at white space and does nothing else. They are sorted, which
compresses better; those of a chunk's documentation stand behind the others and a line feed, which LanceDB passes over.

Every change makes new versions of the table, and the manifest alone says which version counts. So replacing files is a
deletion and an append (8 ms among 100,000 rows, where a merge takes 60 to 150), and no reader ever sees the half of it.

Vectors are kept as whole numbers of a 127th of their largest component, a byte each. float16 takes twice the space,
as much as the source of an average chunk, and LanceDB cannot compress it; of the ten nearest chunks, 98 % are the same.

The mirror is for exact search over all vectors, with the rows' columns at hand. It holds float32: numpy multiplies
100,000 × 256 in 8 ms, but needs longer to make float32 of anything smaller first. Vector indexes would lose answers,
and are for stores that are too large for this.

Importing lancedb takes a third of a second, however `lean`: import this module where it is needed. It is not safe
across fork.
"""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

os.environ.setdefault("LANCEDB_LOG", "error")  # it warns on stderr about every query that selects no score

import numpy as np
import pyarrow as pa

from codesearch.errors import IndexDamagedError
from codesearch.generations import UNFINISHED, explained
from codesearch.lean import lean
from codesearch.types import Hit, Kind, Row

with lean():
    import lancedb
    from lancedb.expr import col
    from lancedb.index import FTS, IvfSq
    from lancedb.query import MatchQuery

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Had = Mapping[str, list[tuple[bytes, str, NDArray[np.int8]]]]
    """Digest, terms and vector, as it is stored, of each chunk of some files, by path."""

__all__ = ["PACKED", "IvfSq", "MatchQuery", "Mirror", "Store", "col", "connect", "opened", "packed", "unpacked"]

connect: Final = lancedb.connect
"""With `col`, `MatchQuery` and `IvfSq`, for the store of a fleet: lancedb comes in by this door alone."""

_ABSENT: Final = "not found"
"""What lancedb says of a table that is not there; what it can not reach is the same class of error."""
_TABLE: Final = "chunks"
_TERMS_INDEX: Final = "terms_idx"
_DAMAGE: Final = (RuntimeError, ValueError, pa.ArrowException)
"""What lancedb raises, for want of classes of its own."""
_PANIC: Final = "RustPanic"
"""And what it lets out of Rust where bytes that were overwritten lead it astray; the class can not be imported."""

_FRAGMENTS: Final = 48
"""Pieces of the table beyond which it is compacted; each refresh adds one, each opening of a piece costs time."""
_UNINDEXED: Final = 512
"""Rows the full-text index does not hold yet; each query looks through them one by one, about 8 ms in a thousand."""
_RETENTION: Final = timedelta(minutes=1)
"""How long the files of older versions stay for readers in the middle of a query."""
_BATCH: Final = 8192
"""Vectors handed out at a time."""
_FTS_MEMORY: Final = 256
"""MiB for building the full-text index."""

PACKED: Final = {
    b"lance-encoding:compression": b"zstd",
    b"lance-encoding:compression-level": b"3",
    # Neighbours are compressed together, 32 KB at a time: half the size of one by one, and read in a fifth of the time.
    b"lance-encoding:structural-encoding": b"miniblock",
    b"lance-encoding:minichunk-size": b"32768",
}
"""How a column of texts is encoded."""


def opened(database: Any, name: str) -> Any:
    """Return the table NAME of DATABASE, which `connect` gave; None where there is none, and that is sure."""
    try:
        return database.open_table(name)
    except ValueError as error:
        if _ABSENT not in str(error):
            raise
        return None


@contextmanager
def _lance(index: Path) -> Iterator[None]:
    """Turn what lancedb raises about the INDEX into errors of ours; see `explained`."""
    try:
        with explained(index, _DAMAGE):
            yield
    except Exception as error:
        if type(error).__name__ != _PANIC:
            raise
        raise IndexDamagedError(index, "LanceDB can not make sense of it") from error


def _schema(dimensions: int) -> pa.Schema:
    return pa.schema(
        [
            pa.field("digest", pa.binary(16)),
            pa.field("copy", pa.uint16()),
            pa.field("path", pa.string()),
            pa.field("language", pa.string()),
            pa.field("kind", pa.string()),
            pa.field("symbol", pa.string(), metadata=PACKED),
            pa.field("start_line", pa.uint32()),
            pa.field("end_line", pa.uint32()),
            pa.field("part", pa.uint16()),
            pa.field("terms", pa.string(), metadata=PACKED),
            pa.field("vector", pa.list_(pa.int8(), dimensions)),
        ]
    )


_SHOWN: Final = Row._fields[:-1]
"""The columns that say what a chunk is: all of `Row` but its terms."""


def packed(vectors: NDArray[np.float32]) -> NDArray[np.int8]:
    """Return VECTORS, shape (n, dimensions), as they are stored: largest components become 127. Length is lost."""
    largest = np.abs(vectors).max(1, initial=1e-9, keepdims=True)
    stored: NDArray[np.int8] = np.rint(vectors * (127 / largest)).astype(np.int8)
    return stored


def unpacked(stored: NDArray[np.int8]) -> NDArray[np.float32]:
    """Return unit vectors of what `packed` gave, zeros of zeros."""
    vectors = stored.astype(np.float32)
    length = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    vectors /= np.maximum(length, 1)[:, None]
    return vectors


def _vectors(column: pa.ChunkedArray) -> NDArray[np.int8]:
    """Return a vector column as a matrix, shape (rows, dimensions)."""
    values = column.combine_chunks()
    return np.asarray(values.flatten().to_numpy()).reshape(len(values), column.type.list_size)


class Store:
    """The chunks of one generation, at one version."""

    def __init__(self, table: Any, folder: Path, dimensions: int) -> None:
        """Use `create` or `open`."""
        self._table = table
        self._folder = folder
        self._index = folder.parent.parent
        self.dimensions = dimensions
        self._has_index: bool | None = None
        """Whether there is a full-text index; None until it is asked, which takes most of a millisecond."""

    @classmethod
    def create(cls, folder: Path, dimensions: int) -> Self:
        """Create an empty store in FOLDER, in place of what a killed process left there, or raise StorageError."""
        with _lance(folder.parent.parent):
            if folder.exists():
                shutil.rmtree(folder)
            table = connect(folder).create_table(_TABLE, schema=_schema(dimensions))
        return cls(table, folder, dimensions)

    @classmethod
    def open(cls, folder: Path, version: int) -> Self:
        """Open the store in FOLDER to read VERSION; a missing or damaged one raises IndexDamagedError."""
        with _lance(folder.parent.parent):
            table = connect(folder).open_table(_TABLE)
            if table.version != version:
                table.checkout(version)
            kept = table.schema
            vector = kept.field("vector").type if "vector" in kept.names else None
            if vector is None or vector.value_type != pa.int8() or kept.names != _schema(1).names:
                raise IndexDamagedError(folder.parent.parent, "it has other columns than this codesearch reads")
        return cls(table, folder, int(vector.list_size))

    def close(self) -> None:
        """Release the table."""
        self._table = None

    @property
    def version(self) -> int:
        """The version of the table that this store shows."""
        with _lance(self._index):
            return int(self._table.version)

    # Writing: one process at a time, on the latest version.

    def reset(self) -> bool:
        """Make the version this store was opened at the latest one, forgetting what came after; tell if anything did.

        After this the store can be written. Files that a killed process was writing are removed.
        """
        with _lance(self._index):
            opened = self._table.version
            self._table.checkout_latest()
            undone = bool(self._table.version != opened)
            if undone:
                self._table.restore(opened)
            for file in self._folder.rglob(f"{UNFINISHED}*"):
                file.unlink(missing_ok=True)
                undone = True
        return undone

    def append(self, rows: Sequence[Row], vectors: NDArray[np.int8]) -> None:
        """Add ROWS with their VECTORS, `packed`, shape (len(rows), dimensions); thousands at a time are cheapest."""
        if not rows:
            return
        schema = _schema(self.dimensions)
        columns = [pa.array(values, field.type) for values, field in zip(zip(*rows, strict=True), schema, strict=False)]
        flat = pa.array(np.ascontiguousarray(vectors, np.int8).reshape(-1))
        columns.append(pa.FixedSizeListArray.from_arrays(flat, self.dimensions))
        with _lance(self._index):
            self._table.add(pa.Table.from_arrays(columns, schema=schema))

    def remove(self, paths: Collection[str]) -> None:
        """Remove every row of the files PATHS."""
        if paths:
            with _lance(self._index):
                self._table.delete(col("path").isin(sorted(paths)))

    def index(self) -> None:
        """Build the full-text index, where there are rows and none yet."""
        with _lance(self._index):
            if not self._indexed() and self._table.count_rows():
                config = FTS(
                    base_tokenizer="whitespace",
                    lower_case=False,
                    stem=False,
                    remove_stop_words=False,
                    ascii_folding=False,
                    max_token_length=None,
                    memory_limit=_FTS_MEMORY,
                )
                self._table.create_index("terms", config=config, name=_TERMS_INDEX)
                self._has_index = True

    def worn(self) -> bool:
        """Tell whether so much has changed since the last compaction that queries suffer."""
        with _lance(self._index):
            if self._table.stats()["fragment_stats"]["num_fragments"] > _FRAGMENTS:
                return True
            return self._indexed() and self._table.index_stats(_TERMS_INDEX).num_unindexed_rows > _UNINDEXED

    def compact(self) -> None:
        """Merge small pieces and bring the full-text index up to date, as new versions; nothing is removed yet."""
        with _lance(self._index):
            self._table.optimize(cleanup_older_than=timedelta(days=3650))

    def clean(self, *, readers: bool) -> None:
        """Remove what only older versions use, and what killed processes left.

        Call it once the manifest names this version. READERS tells whether others may be reading older versions.
        """
        with _lance(self._index), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that 0 harms readers: there are none
            self._table.optimize(cleanup_older_than=_RETENTION if readers else timedelta(0), delete_unverified=True)

    def _indexed(self) -> bool:
        if self._has_index is None:
            self._has_index = any(index.name == _TERMS_INDEX for index in self._table.list_indices())
        return self._has_index

    # Reading.

    def of_files(self, paths: Collection[str]) -> Had:
        """Return digest, terms and vector of each row of the files PATHS, by path: to be reused, and discounted."""
        found: dict[str, list[tuple[bytes, str, NDArray[np.int8]]]] = {}
        if not paths:
            return found
        with _lance(self._index):
            wanted = col("path").isin(sorted(paths))
            table = self._table.search().where(wanted).select(["path", "digest", "terms", "vector"]).to_arrow()
        columns = (table[name].to_pylist() for name in ("path", "digest", "terms"))
        for path, digest, terms, vector in zip(*columns, _vectors(table["vector"]), strict=True):
            found.setdefault(path, []).append((digest, terms, vector))
        return found

    def row_ids(self) -> NDArray[np.uint64]:
        """Return LanceDB's number of every row of this version; rows keep them until they are compacted."""
        with _lance(self._index):
            table = self._table.search().select(["_rowid"]).to_arrow()
            return np.asarray(table["_rowid"].to_numpy())

    def read(self, row_ids: NDArray[np.uint64] | None = None) -> pa.Table:
        """Return the mirrored columns, `vector` and `_rowid`, of all rows or of those numbered ROW_IDS."""
        names = [*Row._fields, "vector"]
        with _lance(self._index):
            if row_ids is None:
                query = self._table.search().select(names).with_row_id(True)
            else:
                query = self._table.take_row_ids(row_ids.tolist()).select(names).with_row_id()
            return query.to_arrow()

    def vectors(self) -> Iterator[tuple[list[bytes], NDArray[np.float32]]]:
        """Yield digests and vectors of all rows in batches, shape (n, dimensions), as they are compared."""
        with _lance(self._index):
            for batch in self._table.search().select(["digest", "vector"]).to_batches(batch_size=_BATCH):
                column = batch.column("vector")
                vectors = unpacked(np.asarray(column.flatten().to_numpy()).reshape(len(column), self.dimensions))
                yield batch.column("digest").to_pylist(), vectors

    def matching(self, terms: Iterable[str], limit: int) -> tuple[NDArray[np.uint64], NDArray[np.float32]]:
        """Return number and BM25 score, best first, of up to LIMIT rows that hold any of TERMS.

        The score is LanceDB's own and good for choosing candidates: its statistics also count rows that are gone.
        """
        text = " ".join(terms)
        with _lance(self._index):
            if not text or not self._indexed():
                return np.empty(0, np.uint64), np.empty(0, np.float32)
            query = self._table.search(MatchQuery(text, "terms"), query_type="fts")  # type: ignore[call-arg]
            table = query.with_row_id(True).select(["_score"]).limit(limit).to_arrow()
        return np.asarray(table["_rowid"].to_numpy()), np.asarray(table["_score"].to_numpy())


@dataclass(frozen=True)
class Mirror:
    """All rows of one version of a store, in memory and in the order of their numbers: position i is one chunk."""

    version: int
    row_ids: NDArray[np.uint64]
    """Shape (n,), ascending."""
    vectors: NDArray[np.float32]
    """Shape (n, dimensions); unit vectors, or zeros."""
    columns: pa.Table
    """The columns of `Row`."""

    @classmethod
    def load(cls, store: Store, previous: Mirror | None = None) -> Mirror:
        """Return the mirror of STORE's version; what PREVIOUS, of an older version, has of it is not read again."""
        if previous is None or len(previous.row_ids) == 0:
            return cls.of(store.version, store.read())
        row_ids = np.sort(store.row_ids())
        kept = np.isin(previous.row_ids, row_ids, assume_unique=True)
        new = np.setdiff1d(row_ids, previous.row_ids, assume_unique=True)
        if len(new) > len(row_ids) // 4:
            return cls.of(store.version, store.read())
        if len(new) == 0 and kept.all():
            return replace(previous, version=store.version)
        fresh = cls.of(store.version, store.read(new))
        both = previous._with(kept, fresh)
        return both if bool(np.all(both.row_ids[1:] > both.row_ids[:-1])) else both._sorted()

    @classmethod
    def of(cls, version: int, table: pa.Table) -> Self:
        """Return the mirror that TABLE holds, as `Store.read` gives it; what other columns it has are kept."""
        vectors = np.empty((len(table), table.schema.field("vector").type.list_size), np.float32)
        start = 0
        for batch in table.to_batches():  # the rows are not copied whole first
            rows = batch.column("vector").flatten().to_numpy().reshape(-1, vectors.shape[1])
            vectors[start : start + len(rows)] = unpacked(rows)
            start += len(rows)
        row_ids = np.asarray(table["_rowid"].to_numpy())
        mirror = cls(version, row_ids, vectors, table.drop_columns(["vector", "_rowid"]))
        return mirror if bool(np.all(row_ids[1:] > row_ids[:-1])) else mirror._sorted()

    def _with(self, kept: NDArray[np.bool_], fresh: Mirror) -> Self:
        """Return those rows that are KEPT, and behind them FRESH; vectors, a hundred megabytes, are copied but once."""
        old = np.flatnonzero(kept)
        vectors = np.empty((len(old) + len(fresh), self.vectors.shape[1]), np.float32)
        np.take(self.vectors, old, axis=0, out=vectors[: len(old)], mode="clip")  # "raise" would copy once more
        vectors[len(old) :] = fresh.vectors
        columns = self.columns if kept.all() else self.columns.filter(pa.array(kept))
        return type(self)(
            fresh.version,
            np.concatenate([self.row_ids[kept], fresh.row_ids]),
            vectors,
            pa.concat_tables([columns, fresh.columns]),
        )

    def _sorted(self) -> Self:
        order = np.argsort(self.row_ids)
        return type(self)(self.version, self.row_ids[order], self.vectors[order], self.columns.take(pa.array(order)))

    def __len__(self) -> int:
        return len(self.row_ids)

    def positions(self, row_ids: NDArray[np.uint64]) -> NDArray[np.intp]:
        """Return the position of each row numbered ROW_IDS."""
        return np.searchsorted(self.row_ids, row_ids)

    @cached_property
    def _paths(self) -> tuple[list[str], NDArray[np.int32]]:
        encoded = self.columns["path"].combine_chunks().dictionary_encode()
        return encoded.dictionary.to_pylist(), np.asarray(encoded.indices.to_numpy())

    @property
    def paths(self) -> list[str]:
        """Every path that has chunks, once."""
        return self._paths[0]

    @property
    def path_of(self) -> NDArray[np.int32]:
        """Shape (n,): index into `paths` of each chunk's path."""
        return self._paths[1]

    @cached_property
    def by_path(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """The positions of all chunks by path, in the order in which they stand there, and where those of each begin.

        Shapes (n,) and (paths + 1,).
        """
        order = np.argsort(self.path_of, kind="stable")
        return order, np.searchsorted(self.path_of[order], np.arange(len(self.paths) + 1))

    def rows(self, path: int) -> NDArray[np.intp]:
        """Return the positions of the chunks of the file `paths[PATH]`, in the order in which they stand there."""
        order, bounds = self.by_path
        return order[bounds[path] : bounds[path + 1]]

    @cached_property
    def _terms(self) -> tuple[memoryview, NDArray[np.int32]]:
        column = self.columns["terms"].combine_chunks()
        _, offsets, data = column.buffers()
        bounds = np.frombuffer(offsets, np.int32)[column.offset : column.offset + len(column) + 1]
        return memoryview(data or b""), bounds

    @cached_property
    def sizes(self) -> NDArray[np.int32]:
        """Shape (n,): how much is in each chunk, in bytes of its terms."""
        return np.diff(self._terms[1])

    def terms(self, positions: NDArray[np.intp]) -> bytes:
        """Return the terms of the chunks at POSITIONS one after the other, each term between blanks."""
        data, bounds = self._terms
        if not len(positions):
            return b""
        # Chunks of a file lie together, so this is a slice a file and not one a chunk.
        breaks = np.flatnonzero(np.diff(positions) != 1) + 1
        first = bounds[positions[np.concatenate([[0], breaks])]].tolist()
        last = bounds[positions[np.concatenate([breaks - 1, [len(positions) - 1]])] + 1].tolist()
        return b"".join(data[a:b] for a, b in zip(first, last, strict=True))

    @cached_property
    def languages(self) -> NDArray[np.object_]:
        """Shape (n,): language of each chunk."""
        return np.asarray(self.columns["language"].to_numpy(zero_copy_only=False))

    @cached_property
    def kinds(self) -> NDArray[np.object_]:
        """Shape (n,): kind of each chunk."""
        return np.asarray(self.columns["kind"].to_numpy(zero_copy_only=False))

    @cached_property
    def symbols(self) -> list[str]:
        """Qualified name of each chunk, empty for left-over code."""
        return list(self.columns["symbol"].to_pylist())

    @cached_property
    def parts(self) -> NDArray[np.uint16]:
        """Shape (n,): which part of a definition each chunk is, counted from 0."""
        return np.asarray(self.columns["part"].to_numpy())

    def row(self, position: int) -> Row:
        """Return the chunk at POSITION, without its terms."""
        return Row(*(self.columns[name][position].as_py() for name in _SHOWN))

    def hit(self, position: int, why: tuple[tuple[str, float], ...] = ()) -> Hit:
        """Return the chunk at POSITION, without its text, with the reasons WHY that add up to its score."""
        row = self.row(position)
        score = sum(worth for _, worth in why)
        return Hit(row.id, row.path, row.span, row.language, Kind(row.kind), row.symbol, score, reasons=why)
