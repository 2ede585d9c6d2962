"""Whether a store has of each repository what an index of its checkout has: every row, vector, term and count."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from codesearch import git
from codesearch.errors import CodesearchError
from codesearch.fleet.schema import CHUNKS, CURSOR, ENTRY, TERMS
from codesearch.settings import Settings
from codesearch.store import col, connect
from codesearch.types import Row
from codesearch.workspace import Workspace

Sources = list[tuple[str, Path]]
"""Repositories, by name."""


class Indexed(NamedTuple):
    """What is indexed of a repository, so that it can be compared."""

    chunks: int
    rows: bytes
    """A digest of all rows, whatever their order: of what `Row` has, and the vector."""
    terms: bytes
    """A digest of how many chunks and files hold each term."""


def repositories(folder: Path, count: int) -> Sources:
    """Return the COUNT smallest repositories in FOLDER with names, which are their own or of the folder they are in."""
    found = [repository for pattern in ("*", "*/repo") for repository in folder.glob(pattern) if _is(repository)]
    found.sort(key=lambda repository: (_bytes(repository), repository))
    return [(_name(folder, repository), repository) for repository in found[:count]]


def _is(folder: Path) -> bool:
    return (folder / ".git").exists() or (folder / "objects").is_dir()


def _bytes(repository: Path) -> int:
    objects = repository / "objects" if (repository / "objects").is_dir() else repository / ".git/objects"
    return sum(file.stat().st_size for file in objects.rglob("*.pack"))


def _name(folder: Path, repository: Path) -> str:
    return repository.relative_to(folder).parts[0].replace("+", "/")


def listed(sources: Sources, file: Path) -> Path:
    """Write SOURCES into FILE as `fleet index` reads them."""
    file.write_text("".join(f"'{path}' name={name}\n" for name, path in sources))
    return file


def alone(sources: Sources) -> tuple[dict[str, Indexed], float]:
    """Index SOURCES one after the other, in this process; return what is of each that can be, and seconds they took."""
    found, took = {}, 0.0
    for name, path in sources:
        with tempfile.TemporaryDirectory(prefix="alone-") as folder:
            root = Path(folder, "code")
            root.mkdir()
            started = time.monotonic()
            try:
                git.checkout(str(path.resolve()), "HEAD", root)
                with Workspace.open(root, Settings(index_dir=Path(folder, "index"))) as workspace:
                    for _ in workspace.index(workers=0):
                        pass
                    took += time.monotonic() - started
                    table = workspace.snapshot().store.read()
                    found[name] = Indexed(len(table), _rows(table), _terms(_counted(table)))
            except (CodesearchError, OSError) as error:  # there is nothing to index, or the clone is not whole
                print(f"  {name}: {str(error).splitlines()[0]}", file=sys.stderr)
    return found, took


def of_store(store: str, names: Sequence[str]) -> Iterator[tuple[str, Indexed]]:
    """Yield what STORE has of each of the repositories with NAMES that are in."""
    chunks, terms, ledger = _tables(store)
    for name in names:
        if name in ledger:
            mine = (col("repository") == name) & (col("kind") != ENTRY)
            rows = chunks.search().where(mine).select([*Row._fields, "vector"]).to_arrow()
            counted = terms.search().where(col("repository") == name).select(["term", "chunks", "files"]).to_arrow()
            yield name, Indexed(ledger[name], _rows(rows), _terms(counted))


def faults(store: str) -> list[str]:
    """Return what can not be true of STORE, whatever was killed when: what is lost or is there twice."""
    chunks, terms, ledger = _tables(store)
    kinds = chunks.search().select(["repository", "kind"]).to_arrow()
    there = Counter(zip(kinds["repository"].to_pylist(), kinds["kind"].to_pylist(), strict=True))
    rows = Counter[str]()
    found = []
    for (name, kind), count in there.items():
        if kind in (ENTRY, CURSOR) and count > 1:
            found.append(f"{name or 'the cursor'} has {count} rows of kind {kind}")
        elif kind not in (ENTRY, CURSOR):
            rows[name] += count
    found += [
        f"{name} has {rows[name]} rows, and {ledger.get(name)} by its entry"
        for name in rows.keys() | ledger
        if rows[name] != ledger.get(name)
    ]
    counted = terms.search().select(["repository", "term"]).to_arrow()
    twice = len(counted) - len(counted.group_by(["repository", "term"]).aggregate([]))
    strange = set(counted["repository"].unique().to_pylist()) ^ {name for name in ledger if ledger[name]}
    found += [f"{twice} terms are counted twice"] * bool(twice)
    return found + [f"{name} has an entry or statistics, not both" for name in sorted(strange)]


def _tables(store: str) -> tuple[Any, Any, dict[str, int]]:
    """Return the tables of chunks and terms, as they belong together, and chunks of each repository by the ledger."""
    database = connect(store)
    chunks, terms = database.open_table(CHUNKS), database.open_table(TERMS)
    chunks.checkout(chunks.version)
    said = chunks.search().where(col("kind").isin([ENTRY, CURSOR])).select(["repository", "entry"]).to_arrow()
    entries = {row["repository"]: json.loads(row["entry"]) for row in said.to_pylist()}
    terms.checkout(entries.pop(None)["terms"])
    return chunks, terms, {name: entry["chunks"] for name, entry in entries.items()}


def _rows(table: Any) -> bytes:
    total = 0
    columns = [table[name].to_pylist() for name in Row._fields]
    column = table["vector"].combine_chunks()
    vectors = np.asarray(column.flatten().to_numpy(), np.int8).reshape(len(table), column.type.list_size)
    for row, vector in zip(zip(*columns, strict=True), vectors, strict=True):
        said = blake2b(repr(row).encode("utf-8", "surrogatepass") + vector.tobytes(), digest_size=16).digest()
        total = (total + int.from_bytes(said)) % (1 << 128)
    return total.to_bytes(16)


def _counted(table: Any) -> Any:
    """Return how many chunks and files of TABLE, a repository's rows, hold each term."""
    words = pc.utf8_split_whitespace(table["terms"].combine_chunks())
    rows = pc.list_parent_indices(words)
    paths = pc.take(table["path"].combine_chunks().dictionary_encode().indices, rows)
    each = pa.table({"term": pc.list_flatten(words), "chunks": rows, "files": paths})
    each = each.filter(pc.field("term") != "")  # what is at the end of white space
    counted = each.group_by("term").aggregate([("chunks", "count_distinct"), ("files", "count_distinct")])
    return counted.rename_columns({"chunks_count_distinct": "chunks", "files_count_distinct": "files"})


def _terms(counted: Any) -> bytes:
    said = sorted(zip(*(counted[name].to_pylist() for name in ("term", "chunks", "files")), strict=True))
    return blake2b(repr(said).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def table(store: str, folder: Path, count: int) -> None:
    """Print whether STORE, made before, has of the COUNT smallest repositories what an index of each alone has."""
    mine, took = alone(repositories(folder, count))
    stored = dict(of_store(store, list(mine)))
    alike = sum(stored[name] == mine[name] for name in stored)
    print(f"one process: {len(mine)} repositories, {sum(one.chunks for one in mine.values()):,} chunks, {took:.0f} s")
    print(f"in the store are {len(stored)}, with the same rows, vectors, terms and counts {alike}")
