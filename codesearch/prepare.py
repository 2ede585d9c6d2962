"""What a file becomes before it meets the store: its bytes read and hashed, its chunks cut, their documents and terms.

Pure but for the reading, and free of numpy and lancedb, because worker processes do it: this is most of the work of
indexing. A plan large enough to repay starting processes is shared among them in batches of files; results come back in
the plan's order, so an index does not depend on how many processes built it.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import islice
from typing import Final

from codesearch.chunk import CHUNKER_VERSION, chunk, decode
from codesearch.files import FileEntry, Skip, read
from codesearch.manifest import Counts
from codesearch.parsing import TIME_LIMIT, confine
from codesearch.processes import Spawning, spawning
from codesearch.settings import Settings
from codesearch.text import TEXT_VERSION, bag, bag_of, content_hash, counted, document, heading, identifiers, told_last
from codesearch.types import Row

RULES: Final = f"{CHUNKER_VERSION}.{TEXT_VERSION}"
"""Versions of what cuts and words text; an index made by other rules is stale by reason CHUNKER."""

_BATCH_BYTES: Final = 256_000
_BATCH_FILES: Final = 64
"""A batch is a quarter of a second's work: small enough to share out evenly, large enough to be worth handing over."""
_POOL_BYTES: Final = 2_000_000
_POOL_FILES: Final = 300
"""From here on a pool repays its start of about half a second."""
_MOST_WORKERS: Final = 2
"""Two keep the process that encodes and writes busy; each takes about 100 MB."""


@dataclass(frozen=True, slots=True)
class Task:
    """A file that may have changed."""

    entry: FileEntry
    known: bytes | None
    """Digest of the content that the index has, if any."""


@dataclass(slots=True)
class Prepared:
    """What one file became."""

    entry: FileEntry
    digest: bytes | None = None
    """Of its bytes; None where it was not read."""
    same: bool = False
    """The content is what the index has: only its date changed."""
    skip: Skip | None = None
    given_up: bool = False
    """It took too much to cut at its definitions, so it is cut into plain windows of lines."""
    language: str = ""
    rows: list[Row] = field(default_factory=list)
    documents: list[str] = field(default_factory=list)
    """What is embedded for each row, as the model reads it."""
    headings: list[str] = field(default_factory=list)
    """What of each is embedded by itself as well."""
    length: int = 0
    """Terms of all rows."""


@dataclass(slots=True)
class Batch:
    """Some files, and the counts that their chunks add to the corpus statistics."""

    files: list[Prepared]
    counts: Counts


def digest(data: bytes) -> bytes:
    """Return the key of a file's content."""
    return blake2b(data, digest_size=16).digest()


def prepare(tasks: Sequence[Task], settings: Settings, bags: bool, time_limit: float = TIME_LIMIT) -> Batch:
    """Read, cut and word the files of TASKS, for a model that reads BAGS of words, or else text; see `chunk`."""
    counts = Counts()
    return Batch([_prepare(task, settings, bags, counts, time_limit) for task in tasks], counts)


def _prepare(task: Task, settings: Settings, bags: bool, counts: Counts, time_limit: float) -> Prepared:
    entry = task.entry
    data = read(entry, settings)
    if isinstance(data, Skip):
        return Prepared(entry, skip=data)
    key = digest(data)
    if key == task.known:
        return Prepared(entry, key, same=True)
    prepared = Prepared(entry, key)
    all_terms = []
    copies: dict[bytes, int] = {}

    def given_up() -> None:
        prepared.given_up = True

    for piece in chunk(entry.path, decode(data), time_limit=time_limit, given_up=given_up):
        text = document(piece)
        content = bytes.fromhex(content_hash(text))
        copy = copies.get(content, 0)
        copies[content] = copy + 1
        names = identifiers(text)
        its_terms = counted(names)
        all_terms.append(its_terms)
        prepared.language = piece.language
        prepared.documents.append(bag_of(names) if bags else text)
        prepared.headings.append(bag(heading(piece)) if bags else heading(piece))
        prepared.rows.append(
            Row(
                content,
                copy,
                entry.path,
                piece.language,
                str(piece.kind),
                piece.symbol,
                piece.span.start_line,
                piece.span.end_line,
                piece.part,
                told_last(its_terms, counted(identifiers(piece.doc))),
            )
        )
    prepared.length = sum(its_terms.total() for its_terms in all_terms)
    counts.add(all_terms)
    return prepared


def prepare_all(
    tasks: Sequence[Task], settings: Settings, bags: bool, workers: int | None = None, *, singly: bool = False
) -> Generator[Batch, None, None]:
    """Yield the batches of TASKS in order, see `prepare`; closing the iterator stops the work.

    WORKERS is the number of processes: by default as many as repay themselves, 0 for none. SINGLY makes each file a
    batch, for a model that takes seconds for one.
    """
    batches = _batches(tasks, 1 if singly else _BATCH_FILES)
    if workers is None:
        large = len(tasks) >= _POOL_FILES or sum(task.entry.size for task in tasks) >= _POOL_BYTES
        workers = min(_cores(), _MOST_WORKERS) if large else 0
    if not workers:
        yield from (prepare(batch, settings, bags) for batch in batches)
        return
    waiting = iter(batches)
    while True:
        lost = yield from _in_pool(waiting, settings, bags, workers)
        if not lost:
            return
        yield from _one_by_one(lost, settings, bags)


def _in_pool(
    waiting: Iterator[list[Task]], settings: Settings, bags: bool, workers: int
) -> Generator[Batch, None, list[list[Task]]]:
    """Prepare the batches WAITING; return those that were under way when a process died, else nothing."""
    spawned = spawning()
    pool = _pool(workers, spawned)
    under_way: deque[list[Task]] = deque()
    promised: deque[Future[Batch]] = deque()

    def start(most: int) -> None:
        for tasks in islice(waiting, most):
            under_way.append(tasks)
            promised.append(pool.submit(prepare, tasks, settings, bags))

    try:
        start(2 * workers)
        while under_way:
            batch = promised.popleft().result()
            under_way.popleft()
            yield batch
            start(1)
        return []
    except BrokenProcessPool:
        # One that was being started when another died is not ended by the pool, which then waits for it for ever.
        spawned.end()
        return list(under_way)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _one_by_one(lost: Iterable[list[Task]], settings: Settings, bags: bool) -> Iterator[Batch]:
    """Prepare the LOST batches file by file, in a process that may die: a file that kills it is not parsed again."""
    pool = _pool(1, spawning())
    try:
        for task in (task for tasks in lost for task in tasks):
            try:
                batch = pool.submit(prepare, [task], settings, bags).result()
            except BrokenProcessPool:
                pool.shutdown(wait=True)
                pool = _pool(1, spawning())
                batch = prepare([task], settings, bags, time_limit=0)
            yield batch
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _batches(tasks: Iterable[Task], most: int) -> Iterator[list[Task]]:
    batch: list[Task] = []
    size = 0
    for task in tasks:
        batch.append(task)
        size += task.entry.size
        if size >= _BATCH_BYTES or len(batch) >= most:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _pool(workers: int, spawned: Spawning) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(workers, spawned, initializer=_start)


def _start() -> None:
    """Make a worker one that may be ended by a text, and that leaves Ctrl-C to its parent.

    It ends when its parent is killed, too: else it would wait for ever.
    """
    confine()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None, "workers are started by a pool"

    def end_with_parent() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
