"""A run over many real repositories into S3's stand-in, against indexing them one after the other in one process.

The repositories are bare clones in a folder, or folders of any kind; the smallest are taken. What the store has of each
is compared with the index of its checkout: every row, every term, every vector.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from codesearch import git
from codesearch.errors import CodesearchError
from codesearch.settings import Settings
from codesearch.store import col, connect
from codesearch.types import Row
from codesearch.workspace import Workspace
from tests.fleet import standin

STORE = f"s3://{standin.BUCKET}/bench"


def repositories(folder: Path, count: int) -> list[tuple[str, Path]]:
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


def listed(sources: list[tuple[str, Path]], file: Path) -> Path:
    """Write SOURCES into FILE as `fleet index` reads them."""
    file.write_text("".join(f"'{path}' name={name}\n" for name, path in sources))
    return file


def digests(table: Any) -> bytes:
    """Return a digest of all rows of TABLE, whatever their order: of what `Row` has, and the vector."""
    total = 0
    columns = [table[name].to_pylist() for name in Row._fields]
    column = table["vector"].combine_chunks()
    vectors = np.asarray(column.flatten().to_numpy(), np.int8).reshape(len(table), column.type.list_size)
    for row, vector in zip(zip(*columns, strict=True), vectors, strict=True):
        said = blake2b(repr(row).encode("utf-8", "surrogatepass") + vector.tobytes(), digest_size=16).digest()
        total = (total + int.from_bytes(said)) % (1 << 128)
    return total.to_bytes(16)


def of_store(store: str, names: list[str]) -> Iterator[tuple[str, bytes]]:
    """Yield a digest of what STORE has of each of the repositories with NAMES."""
    table = connect(store).open_table("chunks")
    for name in names:
        where = (col("repository") == name) & (col("kind") != "repository")
        yield name, digests(table.search().where(where).select([*Row._fields, "vector"]).to_arrow())


def alone(sources: list[tuple[str, Path]]) -> tuple[dict[str, bytes], int, float]:
    """Index SOURCES one after the other, in this process; return what is of each, chunks in all, and seconds."""
    found, chunks, took = {}, 0, 0.0
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
                    found[name] = digests(table)
                    chunks += len(table)
            except (CodesearchError, OSError) as error:  # there is nothing to index, or the clone is not whole
                took += time.monotonic() - started
                print(f"  {name}: {error}", file=sys.stderr)
    return found, chunks, took


def _followed(command: list[str], environment: dict[str, str]) -> tuple[list[dict[str, Any]], float, int]:
    """Run COMMAND; return its events, the seconds until all was committed, and its exit code."""
    events: list[dict[str, Any]] = []
    started = time.monotonic()
    until = None
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as run:
        for line in run.stdout or ():
            events.append(json.loads(line))
            if events[-1]["event"] in ("tidying", "finished"):
                until = until or time.monotonic() - started
    return events, until or 0.0, run.returncode


def same(store: str, folder: Path, count: int) -> None:
    """Print whether STORE, made before, has of the COUNT smallest repositories what an index of each alone has."""
    mine, chunks, took = alone(repositories(folder, count))
    stored = dict(of_store(store, list(mine)))
    there = {name for name, digest in stored.items() if digest != bytes(16)}
    alike = sum(stored[name] == mine[name] for name in there)
    print(f"one process: {len(mine)} repositories, {chunks:,} chunks, {took:.0f} s")
    print(f"in the store are {len(there)}, with the same rows, terms and vectors {alike}")


def table(folder: Path, count: int, cpus: int) -> None:
    """Print how a run and one process compare, in time and in what is indexed."""
    sources = repositories(folder, count)
    names = [name for name, _ in sources]
    with standin.s3() as said, tempfile.TemporaryDirectory(prefix="fleet-") as work:
        file = listed(sources, Path(work, "list"))
        command = [sys.executable, "-m", "codesearch.cli", "fleet", "index", str(file), "--store", STORE, "--json"]
        environment = {**os.environ, **said}
        seconds = {}
        for which in ("a run", "the same again"):
            events, seconds[which], code = _followed(command, environment)
            last = events[-1]
            tidying = last["seconds"] - seconds[which]
            print(
                f"{which}: {last['indexed']} repositories, {last['chunks']:,} chunks indexed, {last['unchanged']} "
                f"unchanged, {last['failed']} failed, {seconds[which]:.0f} s and {tidying:.0f} s of "
                f"tidying, exit code {code}",
                flush=True,
            )
            for event in events:
                if event["event"] == "failed":
                    print(f"  {event['repository']}: {event['reason']}", flush=True)
        os.environ.update(said)
        stored = dict(of_store(STORE, names))
    mine, chunks, took = alone(sources)
    same = sum(stored[name] == digest for name, digest in mine.items())
    print(f"one process: {len(mine)} repositories, {chunks:,} chunks, {took:.0f} s", flush=True)
    print(f"with the same rows, terms and vectors: {same} of {len(mine)}")
    for name, digest in mine.items():
        if stored[name] != digest:
            print(f"  {name} differs")
    print(f"throughput against one process, {cpus} processors: {took / seconds['a run']:.2f}")
