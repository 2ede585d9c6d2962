"""One repository becomes fragments of a store: checked out, cut, encoded, written. Runs on any worker; imports pylance.

Nothing is true by it: fragments are files that no version of a table names yet. `commit` makes them true, or nobody
ever does, and Lance's cleaning removes them. So building can be done twice, and killed at any moment.

Rows are written while the repository is read, a few thousand at a time, so memory does not grow with it.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Final

import lance
import numpy as np
import pyarrow as pa
from lance.fragment import write_fragments

from codesearch import bundle, config, files, git
from codesearch.chunk import decode
from codesearch.confidence import Calibration
from codesearch.encode import OnnxEncoder, passages
from codesearch.errors import CodesearchError
from codesearch.files import FileEntry
from codesearch.fleet import schema
from codesearch.fleet.failures import short
from codesearch.fleet.schema import Entry
from codesearch.fleet.sources import Source
from codesearch.index import named
from codesearch.manifest import Counts
from codesearch.prepare import Prepared, Task, prepare_all
from codesearch.roles import Role, roles
from codesearch.search import text_of
from codesearch.store import packed, unpacked
from codesearch.types import Kind, Row

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from codesearch.settings import Settings

_ENCODE: Final = 1024
"""Chunks encoded at a time, which bounds memory."""
_FOLDER: Final = "tree:"
"""How the commit of a folder that is no repository begins: a digest of what is indexed of it."""


@dataclass(frozen=True, slots=True)
class Built:
    """What a worker made of one repository."""

    entry: Entry
    foreign: tuple[float, ...] = ()
    """How near its nearest chunk is to each foreign question; see `confidence.Calibration`."""
    chunks: tuple[str, ...] = ()
    """Fragments of `chunks`, as JSON; none where there is nothing to index."""
    terms: tuple[str, ...] = ()
    """The same of `terms`."""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unbuilt:
    """Why a worker could not make anything of a repository: it, or the store, can not be reached or read."""

    reason: str


def build(
    source: Source, known: Entry | None, uri: str, model: str, *, timeout: float, careful: bool
) -> Built | Unbuilt | None:
    """Index SOURCE for the store at URI by the bundle in the folder MODEL; return None where KNOWN is all of it.

    CAREFUL reads files in a process of their own, so that one which kills the parser is cut at lines, by name; without
    it the worker dies of one that is too little to be parsed apart. TIMEOUT is in seconds, for each call of git.
    """
    try:
        with _opened(source, known, timeout) as (root, commit):
            if root is None:
                return None
            return _Building(source, root, commit, uri, model, careful=careful).run(known)
    except (CodesearchError, OSError, ValueError, RuntimeError) as error:  # the last three are Lance's, too
        return Unbuilt(short(str(error)) or type(error).__name__)


@contextmanager
def _opened(source: Source, known: Entry | None, timeout: float) -> Iterator[tuple[Path | None, str]]:
    """Give the folder with the files of SOURCE, and their commit; no folder where they are as KNOWN has them."""
    folder = Path(source.url)
    if folder.is_dir() and not _is_repository(folder):
        yield folder, ""
        return
    commit = git.advertised(source.url, source.revision, timeout)
    if known and (known.commit, known.visibility) == (commit, source.visibility):
        yield None, commit
        return
    with tempfile.TemporaryDirectory(prefix="codesearch-fleet-", ignore_cleanup_errors=True) as temporary:
        yield Path(temporary), git.checkout(source.url, source.revision, temporary, timeout)


def _is_repository(folder: Path) -> bool:
    return (folder / ".git").exists() or ((folder / "HEAD").is_file() and (folder / "objects").is_dir())


@lru_cache(1)
def _encoder(model: str) -> tuple[OnnxEncoder, bool]:
    """Return the encoder of the bundle in MODEL, which a worker keeps, and whether it reads bags of words."""
    loaded = bundle.load(Path(model))
    return OnnxEncoder(loaded), loaded.description.normalise == "bag"


@dataclass
class _Building:
    source: Source
    root: Path
    commit: str
    uri: str
    model: str
    careful: bool = field(kw_only=True)
    counts: Counts = field(default_factory=Counts)
    calibration: Calibration | None = None
    files: int = 0
    chunks: int = 0
    size: int = 0
    skipped: int = 0
    warnings: list[str] = field(default_factory=list)

    def run(self, known: Entry | None) -> Built | None:
        given = config.resolve(self.root, {}, {}, own=False)
        self.warnings += given.warnings
        settings = given.settings()
        tasks = []
        for file in map(named, files.scan(self.root, settings)):
            if isinstance(file, FileEntry):
                tasks.append(Task(file, None))
            else:
                self.skipped += 1
        if not self.commit:
            self.commit = _digest(tasks, settings)
            if known and (known.commit, known.visibility) == (self.commit, self.source.visibility):
                return None
        dimensions = _encoder(self.model)[0].dimensions
        written = _written(self.uri, schema.CHUNKS, schema.chunks(dimensions), self._batches(tasks, settings))
        terms = _written(self.uri, schema.TERMS, schema.terms(), self._terms())
        entry = Entry(
            self.source.name,
            self.source.owner,
            self.source.visibility,
            self.commit,
            self.files,
            self.chunks,
            self.size,
            self.skipped,
        )
        foreign = self.calibration.cosines if self.calibration else ()
        return Built(entry, foreign, written, terms, tuple(self.warnings))

    def _batches(self, tasks: list[Task], settings: Settings) -> Iterator[pa.RecordBatch]:
        encoder, bags = _encoder(self.model)
        for batch in prepare_all(tasks, settings, bags, workers=1 if self.careful else 0):
            self.counts.merge(batch.counts)
            done = [file for file in batch.files if file.rows]
            self.files += len(done)
            for file in batch.files:
                self.skipped += file.skip is not None
                if file.given_up:
                    self.warnings.append(f"{file.entry.path} is cut at lines")
            rows = [row for file in done for row in file.rows]
            if not rows:
                continue
            documents = [text for file in done for text in file.documents]
            headings = [text for file in done for text in file.headings]
            vectors = np.concatenate(
                [
                    packed(passages(encoder, documents[at : at + _ENCODE], headings[at : at + _ENCODE]))
                    for at in range(0, len(rows), _ENCODE)
                ]
            )
            near = Calibration.of(encoder, [([row.digest for row in rows], unpacked(vectors))])
            self.calibration = self.calibration.joined(near) if self.calibration else near
            self.chunks += len(rows)
            self.size += sum(len(row.terms.encode()) for row in rows)
            yield self._batch(rows, vectors, [text for file in done for text in _texts(file, settings)])

    def _batch(self, rows: list[Row], vectors: NDArray[np.int8], texts: list[str]) -> pa.RecordBatch:
        """Return ROWS with their VECTORS and TEXTS as rows of `chunks`."""
        table = schema.chunks(vectors.shape[1])
        of_all = {
            "repository": self.source.name,
            "owner": self.source.owner,
            "visibility": self.source.visibility,
            "commit": self.commit,
        }
        tests: dict[str, bool] = {}
        columns: dict[str, pa.Array] = {name: pa.repeat(value, len(rows)) for name, value in of_all.items()}
        for name, values in zip(Row._fields, zip(*rows, strict=True), strict=True):
            columns[name] = pa.array(values, table.field(name).type)
        columns["name"] = pa.array([defined(row) for row in rows])
        columns["file"] = pa.array([row.path.rpartition("/")[2].lower() for row in rows])
        columns["test"] = pa.array(
            [tests.setdefault(row.path, Role.TEST in roles(row.path)) for row in rows], pa.bool_()
        )
        columns["text"] = pa.array(texts, pa.string())
        flat = pa.array(vectors.astype(np.float16).reshape(-1))
        columns["vector"] = pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
        for name in ("entry", "foreign"):
            columns[name] = pa.nulls(len(rows), table.field(name).type)
        return pa.RecordBatch.from_arrays([columns[name] for name in table.names], schema=table)

    def _terms(self) -> Iterator[pa.RecordBatch]:
        """Yield how many chunks and files hold each term, sorted, as neighbours are compressed together."""
        terms = sorted(self.counts.chunks)
        if terms:
            counts: tuple[Counter[str], ...] = (self.counts.chunks, self.counts.files)
            numbers = [pa.array([count[term] for term in terms], pa.uint32()) for count in counts]
            columns = [pa.repeat(self.source.name, len(terms)), pa.array(terms), *numbers]
            yield pa.RecordBatch.from_arrays(columns, schema=schema.terms())


def defined(row: Row) -> str:
    """Return what the chunk in ROW defines, in lower case and without what qualifies it; empty where it does not."""
    return "" if row.kind == Kind.SECTION else row.symbol.rpartition(".")[2].lower()


def _texts(file: Prepared, settings: Settings) -> list[str]:
    data = files.read(file.entry, settings)
    lines = decode(data).split("\n") if isinstance(data, bytes) else []
    return [text_of(lines, row.span) for row in file.rows]


def _digest(tasks: list[Task], settings: Settings) -> str:
    """Return what stands for a commit where there is none: a digest of names and contents."""
    found = blake2b(digest_size=20)
    for task in tasks:
        data = files.read(task.entry, settings)
        content = data if isinstance(data, bytes) else data.reason.encode()
        found.update(b"%d %s\0%d " % (len(task.entry.path), task.entry.path.encode(), len(content)))
        found.update(content)
    return f"{_FOLDER}{found.hexdigest()}"


def _written(uri: str, table: str, columns: pa.Schema, batches: Iterator[pa.RecordBatch]) -> tuple[str, ...]:
    """Write BATCHES as fragments of TABLE, which is there, and return what a commit has to know of them."""
    first = next(batches, None)
    if first is None:
        return ()

    def every() -> Iterator[pa.RecordBatch]:
        yield first
        yield from batches

    reader = pa.RecordBatchReader.from_batches(columns, every())
    made: list[lance.FragmentMetadata] = write_fragments(reader, _table(f"{uri}/{table}.lance"), schema=columns)
    return tuple(json.dumps(fragment.to_json()) for fragment in made)


@lru_cache(4)
def _table(uri: str) -> lance.LanceDataset:
    """Return the table at URI, as of when this worker first wrote there.

    A fragment needs only its columns, which stay. To open it each time would read the list of all fragments each time,
    which grows with the store.
    """
    return lance.dataset(uri)
