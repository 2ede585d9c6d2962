"""A run over many real repositories into S3's stand-in, against indexing them one after the other in one process.

The repositories are bare clones in a folder, or folders of any kind; the smallest are taken. What the store has of each
is compared with the index of its checkout: every row, vector, term and count.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tests.bench.fleet.same import Indexed, alone, faults, listed, of_store, repositories
from tests.fleet import standin
from tests.fleet.standin import Requests

STORE: Final = f"s3://{standin.BUCKET}/bench"


@contextmanager
def turn(lock: Path | None) -> Iterator[None]:
    """Be the only program that holds LOCK, as flock(1) does, so that what is measured at a time is alone."""
    if lock is None:
        yield
        return
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def indexing(file: Path, store: str = STORE) -> list[str]:
    """Return the command that indexes the list in FILE into STORE."""
    return [sys.executable, "-m", "codesearch.cli", "fleet", "index", str(file), "--store", store, "--json"]


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


def _run(which: str, command: list[str], environment: dict[str, str], requests: Requests) -> float:
    """Run COMMAND and print what it did; return the seconds until all was committed."""
    events, seconds, code = _followed(command, environment)
    last = events[-1]
    print(
        f"{which}: {last['indexed']} repositories, {last['chunks']:,} chunks indexed, {last['unchanged']} unchanged, "
        f"{last['failed']} failed, {seconds:.0f} s and {last['seconds'] - seconds:.0f} s of tidying, exit code {code}"
    )
    print(f"  {requests.total():,} requests: " + ", ".join(f"{n:,} {' '.join(w)}" for w, n in requests.most_common(9)))
    for event in events:
        if event["event"] == "failed":
            print(f"  {event['repository']}: {event['reason']}")
    sys.stdout.flush()
    requests.clear()
    return seconds


def compared(store: str, mine: dict[str, Indexed]) -> bool:
    """Print whether STORE has what is MINE, each once and nothing else of it, and tell."""
    stored = dict(of_store(store, list(mine)))
    alike = sum(stored.get(name) == one for name, one in mine.items())
    print(f"with the same rows, vectors, terms and counts: {alike} of {len(mine)}")
    for name, one in mine.items():
        if stored.get(name) != one:
            print(f"  {name} differs")
    wrong = faults(store)
    print("\n".join(f"  {said}" for said in wrong) or "nothing is lost, nothing is there twice", flush=True)
    return alike == len(mine) and not wrong


def table(folder: Path, count: int, cpus: int, lock: Path | None) -> bool:
    """Print how a run and one process compare, in time and in what is indexed; tell whether the latter is the same.

    Of the COUNT smallest repositories in FOLDER, those that can not be indexed alone are left out.
    """
    with turn(lock):
        mine, took = alone(repositories(folder, count))
    chunks = sum(one.chunks for one in mine.values())
    print(f"one process: {len(mine)} repositories, {chunks:,} chunks, {took:.0f} s", flush=True)
    sources = [(name, path) for name, path in repositories(folder, count) if name in mine]
    requests = Requests()
    with standin.s3(requests) as said, tempfile.TemporaryDirectory(prefix="fleet-") as work, turn(lock):
        command = indexing(listed(sources, Path(work, "list")))
        environment = {**os.environ, **said}
        seconds = _run("a run", command, environment, requests)
        print(f"throughput against one process, {cpus} processors: {took / seconds:.2f}", flush=True)
        _run("the same again", command, environment, requests)
        os.environ.update(said)
        return compared(STORE, mine)
