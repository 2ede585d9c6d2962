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
from pathlib import Path
from statistics import median
from typing import Final

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

SIZES: Final = (1, 10, 100, 1_000, 10_000, 100_000)
CHANGED: Final = 0.1
"""Share of repositories with a new commit on a day: an assumption, and what refreshing costs is in proportion."""
SPEED: Final = 1_500
"""Chunks a second and processor; `python -m tests.bench.fleet run` measures it."""
TERMS: Final = tuple(f"term{number}" for number in range(8))
_DAY: Final = 86_400


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


def measured(store: Path) -> Measured:
    """Return what the STORE, a folder, says."""
    entries, _ = FleetStore.open(str(store)).entries()
    chunks = [entry.chunks for entry in entries]
    total = sum(chunks)
    parts = {
        name: _size(store / name) / total for name in ("chunks.lance/data", "chunks.lance/_indices", "terms.lance")
    }
    return Measured(chunks, *parts.values())


def _size(folder: Path) -> int:
    """Return the bytes of what the latest version uses, as far as files of older ones have been cleaned."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def sizes(found: Measured) -> None:
    """Print what stores of some sizes take, by repositories drawn from those that were measured."""
    drawn = random.Random(0)
    print("repositories       chunks     bytes   refreshed a day   processor days   partitions  read a question")
    for count in SIZES:
        chunks = sum(drawn.choices(found.chunks, k=count))
        size = chunks * (found.data + found.indexes + found.terms)
        traffic = CHANGED * chunks * (found.data + found.terms)
        index = vector_index(chunks)
        read = chunks * 512 if index is None else chunks / index.partitions * index.probes * 256
        print(
            f"{count:12,} {chunks:12,} {_bytes(size):>9} {_bytes(traffic):>17} {chunks / SPEED / _DAY:16.2f} "
            f"{index.partitions if index else 0:12,} {_bytes(read):>16}"
        )


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
    import lance
    import pyarrow as pa

    for term in TERMS:
        rows = [[_name(number) for number in range(count)], [term] * count, [3_000] * count, [300] * count]
        lance.write_dataset(pa.table(rows, schema=schema.terms()), f"{writer.uri}/{schema.TERMS}.lance", mode="append")
    index_all(writer)


def _name(number: int) -> str:
    return f"git.example.com/team{number % 997}/repository{number}"


def _entry(number: int, commit: str = "a" * 40) -> Entry:
    visibility = "public" if number % 2 else "private"
    return Entry(_name(number), f"team{number % 997}", visibility, commit, 300, 3_000, 2_000_000, 4)


def table(store: Path, repositories: int) -> None:
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
