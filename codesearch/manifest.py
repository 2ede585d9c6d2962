"""The manifest: which files are in the index at what content, by which rules and model, and the statistics that rank.

One SQLite file a generation, and the one place where a change becomes true: it names the version of the store that
belongs to it, so a reader opens that version and a writer that was killed between its two commits is set back to it.
Everything in the store beyond that version never happened.

Statistics are counts that are added and taken away with the files they come from, in the same transaction; so an index
that grew file by file holds exactly the numbers of one built afresh. A rollback journal rather than a write-ahead log:
it leaves one file, can be read without write permission, and commits here are few.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

from codesearch.errors import IndexDamagedError, IndexFormatError
from codesearch.generations import explained

FORMAT: Final = 2
"""Of the whole index folder: manifest, store and their places; an index of another format is built anew.

1. LanceDB table `chunks`, SQLite manifest, generations.
2. Both dates of a file, and the chunks by which confidence is calibrated.
"""

_BUSY: Final = 10.0
"""Seconds a connection waits for another's commit; they last milliseconds."""
_PAGES: Final = 16 << 10
"""KiB of page cache: a transaction of thousands of term counts stays in memory until its commit, so readers go on."""
_VARIABLES: Final = 500
"""Values named in one statement; SQLite's own limit has been 999."""

_SCHEMA: Final = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE files (
    path TEXT PRIMARY KEY,
    hash BLOB,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    language TEXT NOT NULL DEFAULT '',
    chunks INTEGER NOT NULL DEFAULT 0,
    terms INTEGER NOT NULL DEFAULT 0,
    skipped TEXT,
    ctime_ns INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE terms (term TEXT PRIMARY KEY, chunks INTEGER NOT NULL, files INTEGER NOT NULL) WITHOUT ROWID;
"""


class FileRow(NamedTuple):
    """What is known of one file since it was last read; a named tuple, for all are read before every answer."""

    path: str
    hash: bytes | None
    """Digest of its bytes; None for a file that is skipped without being read."""
    size: int
    mtime_ns: int
    """0 where the file was so young that it may change again within the clock's resolution: it is read once more."""
    language: str = ""
    chunks: int = 0
    terms: int = 0
    """Length of the file's chunks together, in terms."""
    skipped: str | None = None
    """Why the file has no chunks although it was listed."""
    ctime_ns: int = 0


@dataclass(slots=True)
class Counts:
    """How many chunks and how many files hold each term; what one change adds and takes away."""

    chunks: Counter[str] = field(default_factory=Counter)
    files: Counter[str] = field(default_factory=Counter)

    def add(self, chunks: Iterable[Collection[str]]) -> None:
        """Add one file's CHUNKS, each a collection of its terms."""
        distinct = [set(terms) for terms in chunks]
        for terms in distinct:
            self.chunks.update(terms)
        self.files.update(set().union(*distinct))

    def discount(self, chunks: Iterable[Collection[str]]) -> None:
        """Take one file's CHUNKS away."""
        distinct = [set(terms) for terms in chunks]
        for terms in distinct:
            self.chunks.subtract(terms)
        self.files.subtract(set().union(*distinct))

    def merge(self, other: Counts) -> None:
        """Add the counts of OTHER."""
        self.chunks.update(other.chunks)
        self.files.update(other.files)


@dataclass(frozen=True, slots=True)
class Totals:
    """The size of the corpus, as ranking formulas want it."""

    files: int
    """Files that have chunks."""
    chunks: int
    terms: int
    """Length of all chunks together."""
    skipped: int
    """Files that were listed and could not be indexed."""


def _connect(path: Path, *, create: bool = False) -> sqlite3.Connection:
    # Readers ask for write permission too, and do without where there is none: the first to come after a writer was
    # killed in its commit has to roll that back.
    uri = f"{path.absolute().as_uri()}?mode={'rwc' if create else 'rw'}"
    return sqlite3.connect(uri, uri=True, timeout=_BUSY, isolation_level=None, check_same_thread=False)


def format_of(path: Path) -> int:
    """Return the format, however old, of the index with the manifest at PATH; raise IndexFormatError if newer."""
    folder = path.parent.parent
    with explained(folder, (ValueError, TypeError)), closing(_connect(path)) as db:
        row = db.execute("SELECT value FROM meta WHERE key = 'format'").fetchone()
        said = json.loads(row[0]) if row else None
    if not isinstance(said, int):
        raise IndexDamagedError(folder, "it has no format")
    if said > FORMAT:
        raise IndexFormatError(
            f"the index in {folder} was written by a newer codesearch (format {said}; this one knows {FORMAT}). "
            "Upgrade codesearch, or run `codesearch index --rebuild` to build it again."
        )
    return said


class Manifest:
    """One generation's manifest, open for reading or writing."""

    def __init__(self, path: Path, *, create: bool = False) -> None:
        """Open the manifest at PATH, of this FORMAT.

        Raises:
            IndexDamagedError: it is damaged.
            StorageError: it can not be opened.
        """
        self._folder = path.parent.parent
        with explained(self._folder):
            self._db = _connect(path, create=create)
            try:
                self._db.executescript(
                    f"PRAGMA trusted_schema=OFF; PRAGMA cache_size=-{_PAGES}; PRAGMA cache_spill=OFF;"
                    "PRAGMA temp_store=MEMORY; PRAGMA synchronous=FULL;"
                )
                if create:
                    self._db.executescript(f"BEGIN; {_SCHEMA} COMMIT;")
                    self._set("format", FORMAT)
            except BaseException:
                self._db.close()
                raise

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # What the index is.

    def get(self, key: str) -> Any:
        """Return what was recorded under KEY, or None."""
        with explained(self._folder, (ValueError, TypeError)):
            row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
            return json.loads(row[0]) if row else None

    def facts(self) -> dict[str, Any]:
        """Return everything recorded: format, rules, model, root, store version, verdict."""
        with explained(self._folder, (ValueError, TypeError)):
            return {key: json.loads(value) for key, value in self._db.execute("SELECT key, value FROM meta")}

    def record(self, **facts: Any) -> None:
        """Record FACTS, in one transaction."""
        with explained(self._folder), self._transaction():
            for key, value in facts.items():
                self._set(key, value)

    def _set(self, key: str, value: Any) -> None:
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, json.dumps(value)))

    @property
    def store_version(self) -> int:
        """The version of the store that belongs to this manifest."""
        return int(self.get("store_version") or 0)

    # Files.

    def files(self, paths: Collection[str] | None = None) -> dict[str, FileRow]:
        """Return every file, or those of PATHS that it has, by path."""
        if paths is not None:
            return {path: row for path in paths if (row := self.file(path))}
        with explained(self._folder):
            return {row[0]: FileRow._make(row) for row in self._db.execute("SELECT * FROM files")}

    def file(self, path: str) -> FileRow | None:
        """Return what is known of the file at PATH, or None."""
        row = None
        with explained(self._folder), suppress(UnicodeEncodeError):  # such a name is in no manifest
            row = self._db.execute("SELECT * FROM files WHERE path = ?", (path,)).fetchone()
        return FileRow._make(row) if row else None

    def languages(self) -> dict[str, tuple[int, int]]:
        """Return files and chunks of each language, most chunks first."""
        query = (
            "SELECT language, COUNT(*), SUM(chunks) FROM files WHERE chunks > 0 GROUP BY language ORDER BY 3 DESC, 1"
        )
        with explained(self._folder):
            return {language: (files, chunks) for language, files, chunks in self._db.execute(query)}

    def commit(
        self,
        *,
        store_version: int,
        files: Iterable[FileRow] = (),
        removed: Iterable[str] = (),
        counts: Counts | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        """Make a change true, in one transaction: FILES as they are now, REMOVED gone, COUNTS added, FACTS recorded."""
        with explained(self._folder), self._transaction():
            for key, value in {"store_version": store_version, **(facts or {})}.items():
                self._set(key, value)
            self._db.executemany("DELETE FROM files WHERE path = ?", ((path,) for path in removed))
            self._db.executemany(
                "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                sorted(files),
            )
            if counts:
                self._add(counts)

    def _add(self, counts: Counts) -> None:
        # Sorted, because neighbours in the tree are then written together.
        self._db.executemany(
            "INSERT INTO terms VALUES (?, ?, ?) ON CONFLICT (term) DO UPDATE"
            " SET chunks = chunks + excluded.chunks, files = files + excluded.files",
            (
                (term, n, counts.files.get(term, 0))
                for term, n in sorted(counts.chunks.items())
                if n or counts.files.get(term)
            ),
        )
        self._db.executemany(
            "DELETE FROM terms WHERE term = ? AND chunks <= 0", ((t,) for t, n in counts.chunks.items() if n < 0)
        )

    # Statistics.

    def bytes(self) -> int:
        """Return the size of all files."""
        with explained(self._folder):
            return int(self._db.execute("SELECT TOTAL(size) FROM files").fetchone()[0])

    def totals(self) -> Totals:
        """Return the size of the corpus."""
        query = (
            "SELECT COUNT(*) FILTER (WHERE chunks > 0), TOTAL(chunks), TOTAL(terms),"
            " COUNT(*) FILTER (WHERE skipped IS NOT NULL) FROM files"
        )
        with explained(self._folder):
            files, chunks, terms, skipped = self._db.execute(query).fetchone()
        return Totals(files, int(chunks), int(terms), skipped)

    def frequencies(self, terms: Iterable[str]) -> Mapping[str, tuple[int, int]]:
        """Return, for those of TERMS that occur, the number of chunks and of files that hold each."""
        wanted = sorted(set(terms))
        found: dict[str, tuple[int, int]] = {}
        with explained(self._folder):
            for start in range(0, len(wanted), _VARIABLES):
                some = wanted[start : start + _VARIABLES]
                marks = ", ".join("?" * len(some))
                for term, chunks, files in self._db.execute(
                    f"SELECT term, chunks, files FROM terms WHERE term IN ({marks})", some
                ):
                    found[term] = chunks, files
        return found

    def vocabulary(self) -> Iterator[tuple[str, int, int]]:
        """Yield every term with the number of chunks and of files that hold it, in order."""
        with explained(self._folder):
            yield from self._db.execute("SELECT term, chunks, files FROM terms ORDER BY term")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
