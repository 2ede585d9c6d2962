"""The figures of the design page: sizes, costs and limits from one machine to 100,000 repositories.

Measured on a real store are bytes a chunk, by part; how large repositories are; and what a question costs. Computed
from these, by drawing repositories of those sizes, is what stores of other sizes take. Simulated, with the code that
does it in earnest, is what depends on how many repositories there are and not on how much they hold: a ledger of
100,000 entries is written commit by commit, opened, asked for a part of it, and cleaned.
"""

from __future__ import annotations

import random
import resource
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

import lance
import pyarrow as pa

from codesearch import bundle
from codesearch.confidence import foreign_questions
from codesearch.fleet import schema
from codesearch.fleet.access import Access
from codesearch.fleet.build import Built
from codesearch.fleet.commit import Writer
from codesearch.fleet.schema import Entry
from codesearch.fleet.search import Visible
from codesearch.fleet.store import FleetStore
from codesearch.fleet.tidy import index_all
from codesearch.fleet.vectors import vector_index
from codesearch.paths import base_bundle
from tests.bench.fleet.vectors import encoded, questions

SIZES: Final = (1, 10, 100, 1_000, 10_000, 100_000)
CHANGED: Final = 0.1
"""Share of repositories with a new commit on a day: an assumption, and what refreshing costs is in proportion."""
SPEED: Final = 2_500
"""Chunks that a processor indexes in a second: 2,300 to 4,500, by the language. `python -m tests.bench.fleet run`."""
TRAINED: Final = 2.5e-7
"""Processor seconds a chunk and partition, to build the vector index: 316 s for 1,158,119 chunks, 1,076 partitions."""
EXACT_SPEED: Final = 5.4e8
"""Bytes of whole vectors that are compared in a second, where there is no index: 1,158,119 in 1.1 s."""
TERMS: Final = tuple(f"term{number}" for number in range(8))


@dataclass(frozen=True, slots=True)
class Measured:
    """What a real store says of stores."""

    chunks: list[int]
    """Of each repository."""
    data: float
    """Bytes a chunk, of rows."""
    indexes: float
    """Bytes a chunk, of indexes."""
    terms: float
    """Bytes a chunk, of statistics."""
    compared: float
    """Bytes of vectors that a question compares in a second."""


def measured(store: str) -> Measured:
    """Return what STORE says, as it is now; files of older versions, which stay a week, do not count."""
    opened = FleetStore.open(store)
    entries, _ = opened.entries()
    chunks, terms = (lance.dataset(f"{store}/{name}.lance") for name in (schema.CHUNKS, schema.TERMS))
    indexes = sum(index.total_size_bytes for index in chunks.describe_indices())
    total = sum(entry.chunks for entry in entries)
    asked = encoded(store, questions(store, 20))
    took = []
    for vector in [*asked[:2], *asked]:  # the first ones find nothing in memory
        started = time.perf_counter()
        opened.nearest(vector, 200)
        took.append(time.perf_counter() - started)
    compared = _compared(total) / median(took[2:])
    return Measured(
        [entry.chunks for entry in entries], _size(chunks) / total, indexes / total, _size(terms) / total, compared
    )


def _size(table: lance.LanceDataset) -> int:
    return sum(file.file_size_bytes or 0 for fragment in table.get_fragments() for file in fragment.metadata.files)


def _compared(chunks: int) -> float:
    """Return the bytes of vectors that a question about so many CHUNKS compares."""
    index = vector_index(chunks)
    return chunks * 512 if index is None else chunks / index.partitions * index.probes * 256


def sizes(found: Measured) -> None:
    """Print what stores of some sizes take, by repositories drawn from those that were measured."""
    drawn = random.Random(0)
    print(
        f"a question compares {found.compared / 1e9:.1f} GB of indexed vectors a second here; {CHANGED:.0%} of the "
        "repositories change a day"
    )
    heads = (
        "repositories",
        "chunks",
        "store",
        "refreshed a day",
        "indexing",
        "vector index",
        "vectors",
        "of a question",
    )
    print("".join(f"{head:>17}" for head in heads))
    for count in SIZES:
        chunks = sum(drawn.choices(found.chunks, k=count))
        index = vector_index(chunks)
        cells = (
            f"{count:,}",
            f"{chunks:,}",
            _bytes(chunks * (found.data + found.indexes + found.terms)),
            _bytes(CHANGED * chunks * (found.data + found.terms)),
            _time(chunks / SPEED),
            _time(chunks * index.partitions * TRAINED) if index else "none",
            _bytes(chunks * (256 if index else 512)),
            _time(_compared(chunks) / (found.compared if index else EXACT_SPEED)),
        )
        print("".join(f"{cell:>17}" for cell in cells))


def _time(seconds: float) -> str:
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.3f} s" if seconds < 1 else f"{seconds:.1f} s"


def _bytes(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def ledger(count: int, batch: int = 1_000) -> None:
    """Write a ledger of COUNT repositories and print what that costs, and what it costs to open and to narrow it."""
    near = tuple(0.3 + 0.001 * (number % 97) for number in range(len(foreign_questions())))
    with tempfile.TemporaryDirectory(prefix="ledger-") as folder:
        writer = Writer.open(folder, bundle.load(base_bundle()))
        took = []
        for start in range(0, count, batch):
            made = [Built(_entry(number), near) for number in range(start, min(start + batch, count))]
            started = time.perf_counter()
            writer.commit(made)
            took.append(time.perf_counter() - started)
        print(
            f"a commit of {batch:,} repositories: {median(took[:5]):.2f} s at first, {median(took[-5:]):.2f} s at last"
        )
        started = time.perf_counter()
        made = [Built(_entry(number, commit="b" * 40), near) for number in range(0, count, count // batch)]
        writer.commit(made)
        print(f"a commit that replaces {len(made):,} of {count:,}: {time.perf_counter() - started:.2f} s")
        _common(writer, count)
        _opened(folder, Access(), f"all of {count:,}")
        _opened(
            folder, Access(repositories=frozenset(_name(number) for number in range(0, count, 10))), "a tenth, by name"
        )
        _opened(folder, Access(frozenset({"public"})), "half, by visibility")
        print(f"memory of this process at most {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3:,.0f} MB")


def _opened(folder: str, access: Access, what: str) -> None:
    started = time.perf_counter()
    visible = Visible.of(FleetStore.open(folder), access)
    took, started = time.perf_counter() - started, time.perf_counter()
    assert visible.frequencies(TERMS)["term0"][0] == sum(entry.chunks for entry in visible.entries)
    print(
        f"opening the ledger, {what}: {took:.2f} s, {len(visible.entries):,} repositories; counting "
        f"{len(TERMS)} terms that stand in each: {time.perf_counter() - started:.2f} s"
    )


def _common(writer: Writer, count: int) -> None:
    """Let each of COUNT repositories have TERMS in all of its chunks."""
    for term in TERMS:
        rows = [[_name(number) for number in range(count)], [term] * count, [3_000] * count, [300] * count]
        lance.write_dataset(pa.table(rows, schema=schema.terms()), f"{writer.uri}/{schema.TERMS}.lance", mode="append")
    index_all(writer)


def _name(number: int) -> str:
    return f"git.example.com/team{number % 997}/repository{number}"


def _entry(number: int, commit: str = "a" * 40) -> Entry:
    visibility = "public" if number % 2 else "private"
    return Entry(_name(number), f"team{number % 997}", visibility, commit, 300, 3_000, 2_000_000, 4)


def table(store: str, repositories: int) -> None:
    """Print all of it."""
    found = measured(store)
    ordered = sorted(found.chunks)
    print(f"measured: {len(ordered)} repositories, {sum(ordered):,} chunks; a repository has {_spread(ordered)} chunks")
    print(
        f"bytes a chunk: {found.data:,.0f} of rows, {found.indexes:,.0f} of indexes, {found.terms:,.0f} of statistics"
    )
    sizes(found)
    ledger(repositories)


def _spread(ordered: Sequence[int]) -> str:
    return " / ".join(f"{ordered[int(share * (len(ordered) - 1))]:,}" for share in (0.1, 0.5, 0.9)) + " (p10/p50/p90)"
