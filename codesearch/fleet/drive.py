"""A run over many repositories: Ray hands them to its workers, what comes back is committed batch by batch. Uses ray.

Where the work is done is Ray's affair: in processes on this machine, or on the cluster that RAY_ADDRESS names, whose
machines have codesearch with the extra `fleet`, and may read the sources and write the store by credentials of their
own. Ray also does again what a worker that died was doing. What failed is tried again when all others had their turn.

Each repository is a task; most of a task's time is one processor's. What a task takes its commit for is what the store
says when the run begins, so a run that was cut off is simply run again.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import chdir, contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would tell its makers
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # and warn of a change of its own to come

import ray
from ray.exceptions import RayError

from codesearch.errors import StorageError, UsageError
from codesearch.fleet.events import Event, Failed, Finished, Indexed, Noted, Tidying, Unchanged
from codesearch.fleet.failures import of_task, storing

if TYPE_CHECKING:
    from codesearch.bundle import Bundle
    from codesearch.fleet.build import Built, Unbuilt
    from codesearch.fleet.commit import Writer
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
        StorageError: there is no cluster at that address, or it has lost what it was to do, each time again.
    """
    if ray.is_initialized():
        yield
        return
    logging.getLogger("ray").setLevel(logging.ERROR)  # it tells of its settings
    handler = signal.getsignal(signal.SIGTERM)
    try:
        # Workers look for modules in the folder that this stands in, too, and it may be a stranger's.
        with chdir(os.sep):
            ray.init(log_to_driver=False, include_dashboard=False, logging_level=logging.ERROR, configure_logging=False)
    except ConnectionError as error:
        raise StorageError(
            f"no Ray cluster answers at RAY_ADDRESS={os.environ.get('RAY_ADDRESS')}. Start it, or unset RAY_ADDRESS."
        ) from error
    finally:
        _on_term(handler)  # Ray puts its own there
    try:
        yield
    except RayError as error:
        raise StorageError(
            f"the Ray cluster has lost work: {of_task(error)}. What is in is in; run the same command again, with more "
            "--memory if that was short."
        ) from error
    finally:
        ray.shutdown()
        _on_term(handler)  # and none when it goes


def _on_term(handler: Any) -> None:
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)


def _check_room(settings: FleetSettings) -> None:
    """Raise UsageError where this machine could never run a task, which Ray would wait for; a cluster may grow."""
    if os.environ.get("RAY_ADDRESS"):
        return
    has = ray.cluster_resources()
    if has.get("CPU", 0) < settings.cpus or has.get("memory", 0) < settings.memory:
        raise UsageError(
            f"this machine has {has.get('CPU', 0):g} processors and {has.get('memory', 0) / 1e9:.1f} GB for Ray, and a "
            f"repository is to be given {settings.cpus:g} and {settings.memory / 1e9:g}. Give --cpus and --memory less."
        )


@ray.remote  # type: ignore[untyped-decorator]
def _built(source: Source, known: Entry | None, uri: str, timeout: float, careful: bool) -> Built | Unbuilt | None:
    from codesearch.fleet.build import build

    return build(source, known, uri, _model(uri), timeout=timeout, careful=careful)


@lru_cache(1)
def _model(uri: str) -> str:
    """Return the folder of the store's bundle, for which a worker asks once: a store's model stays, while it writes."""
    from codesearch.fleet.store import bundle_of

    return str(bundle_of(uri))


def index(sources: Sequence[Source], uri: str, bundle: Bundle, settings: FleetSettings) -> Iterator[Event]:
    """Bring the store at URI up to date with SOURCES, and report each as it is in, unchanged or given up.

    Raises:
        UsageError: the store is of another model, or this machine has less than SETTINGS want for a task.
        IndexFormatError: what is at URI is no store.
        StorageError: it can not be written, or there is no cluster.
    """
    started = time.monotonic()
    with storing(uri), cluster():
        # Ray forks, which Lance does not bear once it is loaded.
        from codesearch.fleet.commit import Writer
        from codesearch.fleet.tidy import tidy, untidy

        _check_room(settings)
        writer = Writer.open(uri, bundle)
        run = _Run(writer, settings, writer.entries())
        yield from run.over(sources)
        if untidy(writer):
            yield Tidying()
            tidy(writer, settings)
    yield Finished(run.indexed, run.unchanged, run.failed, run.chunks, time.monotonic() - started)


@dataclass
class _Run:
    writer: Writer
    settings: FleetSettings
    known: dict[str, Entry]
    indexed: int = 0
    unchanged: int = 0
    failed: int = 0
    chunks: int = 0
    _waiting: deque[_Try] = field(default_factory=deque)
    _running: dict[Any, _Try] = field(default_factory=dict)
    _built: list[Built] = field(default_factory=list)
    _committed: float = field(default_factory=time.monotonic)

    def over(self, sources: Sequence[Source]) -> Iterator[Event]:
        """Have all SOURCES indexed and committed."""
        self._waiting.extend(map(_Try, sources))
        most = max(2, int(_AHEAD * ray.cluster_resources().get("CPU", 1) / self.settings.cpus))
        while self._waiting or self._running:
            while self._waiting and len(self._running) < most:
                self._start(self._waiting.popleft())
            ready, _ = ray.wait(list(self._running), timeout=_TICK)
            for task in ready:
                yield from self._taken(task)
            if len(self._built) >= self.settings.batch or time.monotonic() - self._committed > self.settings.wait:
                yield from self._commit()
        yield from self._commit()

    def _start(self, attempt: _Try) -> None:
        source = attempt.source
        run = _built.options(
            name=source.name,
            num_cpus=self.settings.cpus,
            memory=self.settings.memory,
            max_retries=self.settings.retries,
        )
        known = self.known.get(source.name)
        task = run.remote(source, known, self.writer.uri, self.settings.timeout, attempt.careful)
        self._running[task] = attempt

    def _taken(self, task: Any) -> Iterator[Event]:
        """Take what came of a TASK."""
        from codesearch.fleet.build import Unbuilt

        attempt = self._running.pop(task)
        name = attempt.source.name
        try:
            built = ray.get(task)
        except RayError as error:
            # Maybe its worker died each time of a file of the repository's: then that is not parsed.
            attempt.careful, died = True, attempt.careful
            built = Unbuilt(of_task(error))
            if not died:
                attempt.failed -= 1
        match built:
            case None:
                self.unchanged += 1
                yield Unchanged(name)
            case Unbuilt(reason):
                attempt.failed += 1
                if attempt.failed <= self.settings.retries:
                    self._waiting.append(attempt)
                else:
                    self.failed += 1
                    yield Failed(name, reason)
            case _:
                self._built.append(built)
                yield from (Noted(name, warning) for warning in built.warnings)

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


@dataclass
class _Try:
    """A repository on its way, and how that went so far."""

    source: Source
    failed: int = 0
    careful: bool = False
