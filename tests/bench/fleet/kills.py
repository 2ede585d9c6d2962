"""Runs whose drivers and workers are killed at random moments, by one driver and by two at a time, into S3's stand-in.

A driver that was killed is started again, until none is left to kill and all come to their end. After each death, and
at the end, the store must be one that can be true (`same.faults`); and then it must have what an index of each
repository alone has. Of two drivers one has the whole list and the other the half of it, backwards, so that the second
tidies while the first is at work.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil

from codesearch.errors import IndexFormatError
from codesearch.fleet.store import FleetStore
from tests.bench.fleet.run import compared, indexing, turn
from tests.bench.fleet.same import alone, faults, listed, repositories
from tests.fleet import standin
from tests.fleet.standin import Requests

_BATCH: Final = 5
"""Repositories a commit: few, so that there are many moments to die at."""
_PAUSE: Final = 8.0
"""Seconds between two kills, at most; a driver needs three to begin."""
_OTHERS: Final = frozenset({"ray::IDLE", "ray::DashboardAgent", "ray::RuntimeEnvAgent"})
"""What Ray's own processes and workers without work are called; those at work have the name of their task."""
_MIDST: Final = 0.3
"""Seconds that a commit takes, more or less."""
_COMMIT: Final = "PUT", "_transactions"
"""The request by which a commit begins; there are two of them, to the statistics and to the chunks."""
_LONGEST: Final = 900.0
"""Seconds after which drivers that nobody kills should have come to their end."""


class Driver:
    """A `fleet index` that is started again when it was killed."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self._command = command
        self._environment = environment
        self.start()

    def start(self) -> None:
        self.tidying = threading.Event()
        self.process = subprocess.Popen(self._command, env=self._environment, stdout=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                if json.loads(line)["event"] == "tidying":
                    self.tidying.set()

    def kill(self) -> None:
        """Kill it, and start it again."""
        self.process.kill()
        self.wait()
        self.start()

    def wait(self) -> int:
        """Wait for its end; return its exit code."""
        code = self.process.wait(_LONGEST)
        self._reader.join()
        return code


@dataclass
class Harm:
    """What is done to some drivers and to the workers of their cluster."""

    drivers: list[Driver]
    head: int
    """The process whose children the workers are."""
    store: str
    requests: Requests
    chance: random.Random
    killed: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def one(self) -> None:
        """Kill one of those that are at work, after a while."""
        time.sleep(self.chance.uniform(0, _PAUSE))
        alive = [driver for driver in self.drivers if driver.process.poll() is None]
        working = self._working()
        kind = self.chance.choice(("worker", "driver", "commit"))
        if not alive:
            self.drivers[0].start()  # all is in, and it looks whether it is
        elif kind == "worker" and working:
            with suppress(psutil.NoSuchProcess):
                self.chance.choice(working).kill()
                self.killed["workers"] += 1
        elif kind == "commit" and self._commits(alive):
            self._kill(self.chance.choice(alive), "drivers that commit")
        else:
            self._kill(self.chance.choice(alive), "drivers")
        self.wrong += self._looked()

    def _kill(self, driver: Driver, what: str) -> None:
        self.killed["drivers that tidy" if driver.tidying.is_set() else what] += 1
        driver.kill()

    def _commits(self, alive: list[Driver]) -> bool:
        """Wait until one of those ALIVE is in the midst of a commit; tell whether it is, or all have ended."""
        before = self.requests[_COMMIT]
        while any(driver.process.poll() is None for driver in alive):
            if self.requests[_COMMIT] > before:
                time.sleep(self.chance.uniform(0, _MIDST))
                return True
            time.sleep(0.002)
        return False

    def _working(self) -> list[psutil.Process]:
        found = []
        for process in psutil.Process(self.head).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if (name := process.name()).startswith("ray::") and name not in _OTHERS:
                    found.append(process)
        return found

    def at_tidying(self) -> None:
        """Kill the first that tidies, a moment after it began."""
        while all(driver.process.poll() is None and not driver.tidying.wait(0.1) for driver in self.drivers):
            pass
        time.sleep(self.chance.uniform(0, 2))
        for driver in self.drivers:
            if driver.tidying.is_set() and driver.process.poll() is None:
                self._kill(driver, "")
                break
        self.wrong += self._looked()

    def _looked(self) -> list[str]:
        try:
            FleetStore.open(self.store)
        except IndexFormatError:  # there is none yet
            return []
        return faults(self.store)


def _stood(harm: Harm, kills: int) -> bool:
    """Do KILLS of HARM, let the drivers come to their end, and tell whether they stood it."""
    started = time.monotonic()
    for _ in range(kills - 1):
        harm.one()
    harm.at_tidying()
    codes = [driver.wait() for driver in harm.drivers]
    dead = ", ".join(f"{count} {what}" for what, count in sorted(harm.killed.items()))
    took = time.monotonic() - started
    print(f"{len(codes)} at a time: killed {dead}; exit codes {codes}, {took:.0f} s", flush=True)
    for said in harm.wrong:
        print(f"  after a kill: {said}")
    return not harm.wrong and not any(codes)


def table(folder: Path, count: int, kills: int, seed: int, lock: Path | None) -> bool:
    """Print what was killed of runs over the COUNT smallest repositories of FOLDER, and tell if that cost nothing.

    Repositories that can not be indexed alone are left out.
    """
    good = True
    requests = Requests()
    with standin.s3(requests) as said, tempfile.TemporaryDirectory(prefix="fleet-") as work, turn(lock):
        os.environ.update(said)
        mine, _ = alone(repositories(folder, count))
        sources = [(name, path) for name, path in repositories(folder, count) if name in mine]
        print(
            f"{len(sources)} repositories, {sum(one.chunks for one in mine.values()):,} chunks, seed {seed}", flush=True
        )
        every = listed(sources, Path(work, "all"))
        half = listed(sources[len(sources) // 2 :: -1], Path(work, "half"))
        with standin.cluster(said) as (environment, head):
            for number, lists in enumerate(([every], [every, half])):
                store = f"s3://{standin.BUCKET}/kills{number}"
                drivers = [Driver([*indexing(file, store), "--batch", str(_BATCH)], environment) for file in lists]
                good &= _stood(Harm(drivers, head, store, requests, random.Random(seed + number)), kills)
                good &= compared(store, mine)
    return good
