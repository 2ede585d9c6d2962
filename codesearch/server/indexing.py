"""Bringing the index up to date beside the questions: one run at a time, which any number of requests wait for.

A run belongs to nobody: a request that has waited long enough goes its way, and the run goes on. A run that had begun
when a request came may have looked at a file before it was saved; so the request waits for one that begins after it.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING, Final

from codesearch import registry
from codesearch.events import Done, Event, Planned

if TYPE_CHECKING:
    from codesearch.server.warm import Warm

Tell = Callable[[Event], None]
Check = Callable[[], None]
"""Raises CancelledError where nobody waits for the answer any more."""
_POLL: Final = 0.05
"""Seconds between two looks at whether a request was cancelled."""
_FAREWELL: Final = 10.0
"""Seconds for a run to complete the step that it is at."""


_SWITCH: Final = 0.001
"""Seconds after which a thread has to let another run, in a process that answers while it indexes. With Python's own
5 ms a question waits as long each time that it comes back from numpy, LanceDB or a file: some hundred times."""


class CancelledError(Exception):
    """The request was cancelled."""


class Run:
    """One run of indexing."""

    def __init__(self, number: int, *, rebuild: bool) -> None:
        self.number = number
        self.rebuild = rebuild
        self.ended = threading.Event()
        self.stopped = threading.Event()
        """Set to give it up after the step that it is at; what is indexed stays."""
        self.done: Done | None = None
        self.error: Exception | None = None
        self.planned: Planned | None = None
        self.listeners: list[Tell] = []


class Indexer:
    """Starts runs, and lets requests wait for them."""

    def __init__(self, workspace: Callable[[], Warm]) -> None:
        self.background: Callable[[Event | None], None] = lambda _: None
        """Told what no request listens to: events, and None when the run has ended."""
        sys.setswitchinterval(_SWITCH)
        self._workspace = workspace
        self._changing = threading.Lock()
        self._number = 0
        self._run: Run | None = None
        self._closed = False

    @property
    def busy(self) -> bool:
        """Whether the index is being written."""
        run = self._run
        return run is not None and (run.planned is None or run.planned.files + run.planned.removed > 0)

    def refresh(self, tell: Tell, check: Check, *, wait: float | None = None, rebuild: bool = False) -> Run | None:
        """Wait at most WAIT seconds for a run that begins from now on; return it, or None where it goes on."""
        deadline = None if wait is None else time.monotonic() + wait
        before = self._number
        while True:
            run = self._join(tell, rebuild=rebuild, after=before)
            try:
                ended = self._await(run, deadline, check)
            finally:
                self._leave(run, tell)
            if not ended:
                return None
            if run.number > before and (run.rebuild or not rebuild):
                return run

    def stop(self) -> None:
        """Give up the run that is under way, after its step."""
        run = self._run
        if run is not None:
            run.stopped.set()

    def close(self) -> None:
        """Give up, and start no other."""
        with self._changing:
            self._closed = True
            run = self._run
        if run is not None:
            run.stopped.set()
            run.ended.wait(_FAREWELL)

    def _join(self, tell: Tell, *, rebuild: bool, after: int) -> Run:
        with self._changing:
            if self._closed:
                raise CancelledError
            run = self._run
            if run is None:
                self._number += 1
                run = self._run = Run(self._number, rebuild=rebuild)
                threading.Thread(target=self._work, args=(run,), name="indexing", daemon=True).start()
            elif run.planned is not None and run.number <= after:
                tell(run.planned)
            run.listeners.append(tell)
        return run

    def _leave(self, run: Run, tell: Tell) -> None:
        with self._changing:
            run.listeners.remove(tell)
            goes_on = not run.listeners and not run.ended.is_set()
        if goes_on and run.planned is not None:
            self.background(run.planned)

    @staticmethod
    def _await(run: Run, deadline: float | None, check: Check) -> bool:
        while not run.ended.wait(_POLL):
            check()
            if deadline is not None and time.monotonic() > deadline:
                return False
        return True

    def _work(self, run: Run) -> None:
        try:
            workspace = self._workspace()
            with closing(workspace.index(rebuild=True) if run.rebuild else workspace.index()) as work:
                for event in work:
                    if run.stopped.is_set():
                        raise CancelledError
                    if isinstance(event, Planned):
                        run.planned = event
                    if isinstance(event, Done):
                        run.done = event
                    self._tell(run, event)
            if run.done and (run.done.indexed or run.done.removed):
                workspace.renew()
                registry.note(workspace.root, workspace.layout.folder.absolute())
        except Exception as error:  # it is those who wait that tell of it
            run.error = error
        finally:
            with self._changing:
                self._run = None
                run.ended.set()
            self.background(None)

    def _tell(self, run: Run, event: Event) -> None:
        with self._changing:
            listeners = list(run.listeners)
        for tell in listeners or [self.background]:
            tell(event)
