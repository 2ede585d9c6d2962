"""What indexing and asking cost, as a table: python -m tests.bench.index SOURCE [--chunks 100000].

SOURCE is a folder of source code, such as some checked-out repositories; it is only read. Files spread over it are
copied to a temporary folder, about as many as make the wanted number of chunks, so every chunk is real and has its own
content. Each figure is taken in a process of its own, after imports. CPU seconds count that process and those it
started, so they mean something even where the machine is busy with other things.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from hashlib import blake2b
from itertools import pairwise
from pathlib import Path
from typing import Any

from codesearch.events import Done, Planned, Progress
from codesearch.evidence import gather
from codesearch.files import FileEntry, scan
from codesearch.question import Question
from codesearch.rank import page, totals
from codesearch.search import Snapshot, candidates
from codesearch.server.warm import Pool
from codesearch.settings import Settings
from codesearch.workspace import Workspace

BYTES_PER_CHUNK = 640
"""Of source, over the repositories that were looked at; only to know how much to copy."""

QUERIES = """where are failed requests retried with a growing delay
parse the headers of an http response
how is the configuration file found and read
open a connection to the database
escape a string for html
compare two versions
read a file line by line without loading it all
cache the result of a function
convert a timestamp to local time
split a path into its parts
validate an e-mail address
cancel a running task
walk a directory tree
encode a value as json
format an error message with its position
lock shared state between threads
match a route against its pattern
compute a checksum
sort by several keys
stream data in chunks""".splitlines()


def lay(source: Path, target: Path, size: int) -> None:
    """Copy indexable files of SOURCE, the same each time, to TARGET, so that they have about SIZE bytes together."""
    entries = [entry for entry in scan(source, Settings()) if isinstance(entry, FileEntry)]
    total = sum(entry.size for entry in entries)
    if total < size:
        raise SystemExit(f"{source} is too small: {total:,} bytes of {size:,}")
    for entry in entries:
        if int.from_bytes(blake2b(os.fsencode(entry.path), digest_size=4).digest()) * total < size << 32:
            copy = target / entry.path
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(entry.absolute, copy)


def age(root: Path) -> None:
    for file in root.rglob("*"):
        if file.is_file() and ".codesearch" not in file.parts:
            os.utime(file, (1_000_000_000, 1_000_000_000))
    time.sleep(0.1)  # which is a change itself, and as young


def run(workspace: Workspace, **options: Any) -> Done:
    *_, done = workspace.index(**options)
    assert isinstance(done, Done)
    return done


def watched(workspace: Workspace) -> tuple[list[float], Done]:
    """Index; return what share of the planned bytes was reported as done, one report after the other."""
    planned, shares, done = 0, [0.0], None
    for event in workspace.index():
        match event:
            case Planned():
                planned = event.bytes
            case Progress():
                shares.append(event.bytes / planned)
            case Done():
                done = event
    assert done is not None
    return shares, done


def cpu() -> float:
    return sum(
        used.ru_utime + used.ru_stime
        for used in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


class Memory(threading.Thread):
    """Samples the memory of a process and all it started, until it ends; pages that they share count once (PSS)."""

    def __init__(self, process: int | None = None) -> None:
        super().__init__(daemon=True)
        self._process = process or os.getpid()
        self.peak = 0

    def run(self) -> None:
        while now := sum(map(self._pss, self._family(self._process))):
            self.peak = max(self.peak, now)
            time.sleep(0.05)

    @classmethod
    def _family(cls, process: int) -> Iterator[int]:
        yield process
        try:
            for thread in Path(f"/proc/{process}/task").iterdir():
                for child in (thread / "children").read_text().split():
                    yield from cls._family(int(child))
        except OSError:
            return

    @staticmethod
    def _pss(process: int) -> int:
        try:
            rollup = Path(f"/proc/{process}/smaps_rollup").read_text()
        except OSError:
            return 0
        return next((int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")), 0) * 1024


def warm_up() -> None:
    """Import what is heavy."""
    import codesearch.encode
    import codesearch.index
    import codesearch.search
    import codesearch.store  # noqa: F401


def build(root: Path) -> dict[str, Any]:
    """Index ROOT from nothing."""
    warm_up()
    memory = Memory()
    memory.start()
    workspace = Workspace.open(root)
    started, used = time.perf_counter(), cpu()
    shares, done = watched(workspace)
    seconds = time.perf_counter() - started
    used = cpu() - used
    source = sum(e.size for e in scan(root, Settings()) if isinstance(e, FileEntry))
    status = workspace.status()
    return {
        "chunks": done.chunks,
        "files": done.files,
        "source MB": source / 1e6,
        "chunks/s": done.chunks / seconds,
        "chunks/CPU s": done.chunks / used,
        "peak MB": memory.peak / 1e6,
        "index/source": status.bytes / source,
        "progress at its end %": shares[-1] * 100,
        "progress, steps back": sum(a > b for a, b in pairwise(shares)),
    }


def refresh(root: Path) -> dict[str, Any]:
    """Refresh ROOT: nothing changed, then one file, in a warm process; then one, as a server notices it."""
    warm_up()
    workspace = Workspace.open(root)
    workspace.ask("warm up")
    nothing = [_timed(lambda: run(workspace)) for _ in range(5)]
    target = max(root.rglob("*.py"), key=lambda file: (10_000 < file.stat().st_size < 30_000, file.as_posix()))
    text = target.read_text()
    one, named, encoded = [], [], 0
    for i in range(7):
        target.write_text(text.replace("def ", f"def changed_{i}_", 1))
        one.append(_timed(lambda: run(workspace)))
        target.write_text(text.replace("def ", f"def changed_again_{i}_", 1))
        path = target.relative_to(root).as_posix()
        started = time.perf_counter()
        encoded = run(workspace, paths=[path]).encoded
        named.append(time.perf_counter() - started)
        workspace.snapshot()
    after = []
    for i in range(5):
        target.write_text(text.replace("def ", f"def once_more_{i}_", 1))
        after.append(_timed(lambda: workspace.ask("where is it changed once more")))
    noticed = []
    with Pool(root) as pool:
        pool.warm_up(Settings())
        for i in range(7):
            target.write_text(text.replace("def ", f"def noticed_{i}_", 1))
            noticed.append(_timed(lambda: run(pool.open(root, Settings()))))
    target.write_text(text)
    return {
        "nothing changed ms": statistics.median(nothing) * 1000,
        "one file, scanned ms": statistics.median(one) * 1000,
        "one file, named ms": statistics.median(named) * 1000,
        "one file, noticed ms": statistics.median(noticed) * 1000,
        "chunks encoded": encoded,
        "change, ask ms": statistics.median(after) * 1000,
    }


def ask(root: Path) -> dict[str, Any]:
    """Ask in a warm process."""
    warm_up()
    workspace = Workspace.open(root)
    run(workspace)
    started = time.perf_counter()
    workspace.snapshot()
    opened = time.perf_counter() - started
    for query in QUERIES:
        workspace.ask(query, refresh=False)
    alone = sorted(_timed(lambda q=query: workspace.ask(q, refresh=False)) for query in QUERIES * 3)
    fresh = sorted(_timed(lambda q=query: workspace.ask(q)) for query in QUERIES)
    snapshot = workspace.snapshot()
    ranking = []
    for question in map(Question, QUERIES * 3):
        found = candidates(snapshot, question)
        ranking.append(_timed(lambda q=question, f=found: _rank(snapshot, q, *f)))
    return {
        "chunks": len(snapshot.mirror),
        "open ms": opened * 1000,
        "p50 ms": alone[len(alone) // 2] * 1000,
        "p95 ms": alone[len(alone) * 95 // 100] * 1000,
        "p50 with refresh ms": fresh[len(fresh) // 2] * 1000,
        "ranking p50 ms": statistics.median(ranking) * 1000,
    }


def _rank(snapshot: Snapshot, question: Question, found: Any, similarities: Any) -> None:
    """Do what ranking costs beyond finding candidates."""
    evidence = gather(snapshot.corpus, snapshot.manifest.frequencies(question.counted), question, found, similarities)
    page(totals(evidence), evidence.file_of)


def _timed(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def many_files(root: Path, count: int) -> None:
    """Write COUNT small files in a git repository."""
    for i in range(count):
        file = root / f"package_{i // 100}" / f"module_{i}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"def function_{i}(value):\n    return value + {i}\n")
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    subprocess.run(["git", "-C", str(root), "add", "-A"], check=True)
    age(root)


def measured(what: str, root: Path) -> dict[str, Any]:
    """Take the figures of WHAT in a new process."""
    command = [sys.executable, "-m", "tests.bench.index", "--child", what, str(root)]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}  # as the installed command sets it
    said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment).stdout
    figures: dict[str, Any] = json.loads(said.splitlines()[-1])
    return figures


def show(title: str, figures: dict[str, Any], targets: dict[str, str]) -> None:
    print(f"\n{title}")
    for name, value in figures.items():
        said = f"{value:,.2f}" if isinstance(value, float) and value < 10 else f"{value:,.0f}"
        print(f"  {name:<24}{said:>12}   {targets.get(name, '')}".rstrip())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("--chunks", type=int, default=100_000, help="size of the large index")
    parser.add_argument("--only", nargs="*", default=["small", "refresh", "large"])
    parser.add_argument("--child", choices=["build", "refresh", "ask"])
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(globals()[arguments.child](arguments.source)))
        return
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {sys.version.split()[0]}")
    os.environ.pop("CODESEARCH_HOME", None)
    with tempfile.TemporaryDirectory(prefix="codesearch-bench-") as name:
        work = Path(name)
        if "small" in arguments.only:
            lay(arguments.source, work / "small", 10_000 * BYTES_PER_CHUNK)
            show("index 10k", measured("build", work / "small"), {"chunks/s": "≥ 2,000", "index/source": "≤ 1.5"})
            show("refresh 10k chunks", measured("refresh", work / "small"), {"one file, noticed ms": "≤ 100"})
            show("ask 10k chunks", measured("ask", work / "small"), {"p50 ms": "≤ 15", "ranking p50 ms": "≤ 5"})
        if "refresh" in arguments.only:
            many_files(work / "many", 10_000)
            show("index 10k files", measured("build", work / "many"), {})
            targets = {"nothing changed ms": "≤ 500", "one file, noticed ms": "≤ 100"}
            show("refresh 10k files", measured("refresh", work / "many"), targets)
        if "large" in arguments.only:
            lay(arguments.source, work / "large", arguments.chunks * BYTES_PER_CHUNK)
            targets = {"chunks/s": "≥ 2,000", "peak MB": "≤ 600", "index/source": "≤ 1.5"}
            show(f"index {arguments.chunks:,}", measured("build", work / "large"), targets)
            show(
                f"refresh {arguments.chunks:,} chunks",
                measured("refresh", work / "large"),
                {"one file, noticed ms": "≤ 100"},
            )
            show(
                f"ask {arguments.chunks:,} chunks",
                measured("ask", work / "large"),
                {"p50 ms": "≤ 40", "ranking p50 ms": "≤ 5"},
            )


if __name__ == "__main__":
    main()
