"""A run over many repositories: Ray hands them to its workers, what comes back is committed batch by batch. Uses ray.

Where the work is done is Ray's affair: in processes on this machine, or on the cluster that RAY_ADDRESS names, whose
machines have codesearch with the extra `fleet`, and may read the sources and write the store by credentials of their
own. Ray also tries again what a worker that died was doing, and what failed, on whichever worker is free.

Each repository is a task; most of a task's time is one processor's. What a task takes its commit for is what the store
says when the run begins, so a run that was cut off is simply run again.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would tell its makers
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # and warn of a change of its own to come

import ray
from ray.exceptions import RayError, RayTaskError

from codesearch.errors import CodesearchError, StorageError
from codesearch.fleet.commit import Writer
from codesearch.fleet.events import Event, Failed, Finished, Indexed, Noted, Tidying, Unchanged
from codesearch.fleet.sources import safe
from codesearch.fleet.tidy import compact, index_all

if TYPE_CHECKING:
    from codesearch.bundle import Bundle
    from codesearch.fleet.build import Built
    from codesearch.fleet.schema import Entry
    from codesearch.fleet.settings import FleetSettings
    from codesearch.fleet.sources import Source

_AHEAD: Final = 2
"""Tasks that are with Ray for each that can run, so that no worker waits for this process."""
_TICK: Final = 1.0
"""Seconds after which it is looked whether a commit is due, if nothing comes back."""


@contextmanager
def cluster() -> Iterator[None]:
    """Be connected with the cluster that RAY_ADDRESS names, or with one on this machine that ends with this process.

    Raises:
        StorageError: there is no cluster at that address.
    """
    if ray.is_initialized():
        yield
        return
    try:
        ray.init(log_to_driver=False, include_dashboard=False, logging_level=logging.ERROR, configure_logging=False)
    except ConnectionError as error:
        raise StorageError(
            f"no Ray cluster answers at RAY_ADDRESS={os.environ.get('RAY_ADDRESS')}. Start it, or unset RAY_ADDRESS."
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


@ray.remote
def _built(source: Source, known: Entry | None, uri: str, timeout: float, careful: bool) -> Built | None:
    from codesearch.fleet.build import build
    from codesearch.fleet.store import bundle_of

    return build(source, known, uri, str(bundle_of(uri)), timeout=timeout, careful=careful)


def index(sources: Sequence[Source], uri: str, bundle: Bundle, settings: FleetSettings) -> Iterator[Event]:
    """Bring the store at URI up to date with SOURCES, and report each as it is in, unchanged or given up.

    Raises:
        UsageError, IndexFormatError: the store is of another model, or none.
        StorageError: it can not be written, or there is no cluster.
    """
    started = time.monotonic()
    with storing(uri):
        writer = Writer.open(uri, bundle)
        run = _Run(writer, settings, writer.entries())
        with cluster():
            yield from run.over(sources)
            if run.indexed:
                yield Tidying()
                compact(writer, settings)
                index_all(writer)
    yield Finished(run.indexed, run.unchanged, run.failed, run.chunks, time.monotonic() - started)


@contextmanager
def storing(uri: str) -> Iterator[None]:
    """Turn what Lance raises about the store at URI into StorageError."""
    try:
        yield
    except (OSError, ValueError, RuntimeError) as error:
        if isinstance(error, CodesearchError):
            raise
        raise StorageError(
            f"{uri} can not be read or written: {_short(str(error))}. Check the address and the credentials, which come "
            "from the environment or from the machine, then run the same command again; nothing that is in is lost."
        ) from error


def _short(said: str) -> str:
    return safe(said.strip().partition("\n")[0])[:500]


@dataclass
class _Run:
    writer: Writer
    settings: FleetSettings
    known: dict[str, Entry]
    indexed: int = 0
    unchanged: int = 0
    failed: int = 0
    chunks: int = 0
    _running: dict[Any, tuple[Source, bool]] = field(default_factory=dict)
    _built: list[Built] = field(default_factory=list)
    _committed: float = field(default_factory=time.monotonic)

    def over(self, sources: Sequence[Source]) -> Iterator[Event]:
        """Have all SOURCES indexed and committed."""
        waiting = iter(sources)
        most = max(2, int(_AHEAD * ray.cluster_resources().get("CPU", 1) / self.settings.cpus))
        while True:
            while len(self._running) < most and (source := next(waiting, None)):
                self._start(source, careful=False)
            if not self._running:
                break
            ready, _ = ray.wait(list(self._running), timeout=_TICK)
            for task in ready:
                yield from self._taken(task)
            if len(self._built) >= self.settings.batch or time.monotonic() - self._committed > self.settings.wait:
                yield from self._commit()
        yield from self._commit()

    def _start(self, source: Source, *, careful: bool) -> None:
        task = _built.options(
            name=source.name,
            num_cpus=self.settings.cpus,
            memory=self.settings.memory,
            max_retries=self.settings.retries,
            retry_exceptions=True,
        ).remote(source, self.known.get(source.name), self.writer.uri, self.settings.timeout, careful)
        self._running[task] = source, careful

    def _taken(self, task: Any) -> Iterator[Event]:
        """Take what came of a TASK."""
        source, careful = self._running.pop(task)
        try:
            built = ray.get(task)
        except RayTaskError as error:
            self.failed += 1
            yield Failed(source.name, _short(str(error.cause)))
        except RayError as error:
            # Its worker died each time, maybe of a file of its own: then that file can be left out.
            if careful:
                self.failed += 1
                yield Failed(source.name, f"its worker died each time: {_short(str(error))}")
            else:
                self._start(source, careful=True)
        else:
            if built is None:
                self.unchanged += 1
                yield Unchanged(source.name)
            else:
                self._built.append(built)
                yield from (Noted(source.name, warning) for warning in built.warnings)

    def _commit(self) -> Iterator[Event]:
        built, self._built = self._built, []
        if built:
            self.writer.commit(built)
        self._committed = time.monotonic()
        for one in built:
            entry = one.entry
            self.indexed += 1
            self.chunks += entry.chunks
            yield Indexed(entry.repository, entry.commit, entry.files, entry.chunks)


