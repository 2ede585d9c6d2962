"""The workspace that a server answers from: open already, shared by the threads that answer requests.

Two things happen one at a time: bringing the index up to date, and answering from it. So whoever only asks does not
wait for another's long refresh for ever: after `PATIENCE` seconds the answer is what the index knows, and says so, as
if another process were indexing. What is more than a refresh (a first index, another model, a damaged one) is left to
the client; a part of a first index that another process builds answers.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from codesearch.errors import CodesearchError, IndexBusyError, StorageError
from codesearch.events import Done, Warned
from codesearch.index import PATIENCE, standing
from codesearch.server.freshness import Freshness
from codesearch.server.served import DeclinedError
from codesearch.types import Stale
from codesearch.workspace import Workspace

if TYPE_CHECKING:
    from codesearch.events import Event
    from codesearch.gist import Gist
    from codesearch.related import Relation
    from codesearch.search import Snapshot
    from codesearch.settings import Settings
    from codesearch.types import Answer, Hit


_REST: Final = 4.0
"""How many times as long as opening a part of a first index took, none is opened: questions need the time more."""


class Locks:
    """What the workspaces of one server share."""

    def __init__(self) -> None:
        self.refreshing = threading.Lock()
        self.answering = threading.Lock()


class Warm(Workspace):
    """A workspace whose snapshot stays open from one request to the next; closing it after one changes nothing."""

    locks: Locks
    fresh: Freshness
    _renewing = False
    """Whether somebody looks after the part of a first index that is open."""
    _opening = False

    def snapshot(self) -> Snapshot:
        """Return the index as it is now; see `Workspace.snapshot`.

        A part of a first index answers until a later one is open, which happens beside the questions: opening takes a
        second where there is much of it, and there is a later one every other second.
        """
        held = self._held
        if held is None or not (held.part(self.layout) or (self._opening and held.share < 1)):
            return super().snapshot()
        if not held.current(self.layout) and not self._renewing:
            self._renewing = True
            threading.Thread(target=self._renew_quietly, name="opening", daemon=True).start()
        return held.snapshot

    def renew(self) -> None:
        """Open the index as it is now, and all that a question needs of it; then it answers from that."""
        from codesearch.search import search

        before = self._held
        if before is not None and before.current(self.layout):
            return
        self._opening = True
        try:
            opened = self._newest()
            search(opened.snapshot, "warm up", 1)
        finally:
            self._opening = False
        with self.locks.answering:
            if self._held is before:
                self._hold(opened)
            else:
                opened.close()

    def _renew_quietly(self) -> None:
        with suppress(CodesearchError):  # what is wrong is said to whoever asks
            started = time.monotonic()
            self.renew()
            time.sleep(_REST * (time.monotonic() - started))
        self._renewing = False

    def index(self, **options: Any) -> Generator[Event, None, None]:
        """Bring the index up to date; see `Workspace.index`."""
        if not self.locks.refreshing.acquire(timeout=PATIENCE):
            raise IndexBusyError(
                f"another process is writing the index in {self.layout.folder}. Wait until it is done, or stop it, and "
                "try again; searching works meanwhile."
            )
        try:
            changed = None if options else self.fresh.changed(self.layout, self.settings)
            if changed is None:
                self.fresh.begin(self.layout)
                yield from super().index(**options)
                self.fresh.done(self.layout, self.settings)
            elif changed:
                yield from super().index(paths=changed)
                self.fresh.done(self.layout, self.settings, changed)
            else:
                yield from self._nothing_to_do()
        finally:
            self.locks.refreshing.release()

    def _nothing_to_do(self) -> Generator[Event, None, None]:
        started = time.monotonic()
        if self.notice:
            yield Warned(self.notice)
        with self.locks.answering:
            totals = self.snapshot().manifest.totals()
        yield Done(totals.files, totals.chunks, 0, 0, 0, 0, totals.skipped, time.monotonic() - started)

    def ask(self, query: str, limit: int = 10, **options: Any) -> Answer:
        """Answer one question; see `Workspace.ask`."""
        with self.locks.answering:
            return super().ask(query, limit, **options)

    def related(
        self, path: str | Path, line: int, limit: int = 5, **options: Any
    ) -> tuple[Hit, dict[Relation, tuple[Hit, ...]]]:
        """Return what belongs to a place; see `Workspace.related`."""
        with self.locks.answering:
            return super().related(path, line, limit, **options)

    def gist(self, answer: Answer) -> Gist | None:
        """Say what is known of the best hit; see `Workspace.gist`."""
        with self.locks.answering:
            return super().gist(answer)

    def close(self) -> None:
        """Keep everything open for the next request."""

    def shut(self) -> None:
        """Release the index."""
        super().close()


class Pool:
    """The one workspace of a server, under the settings of the last request."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._locks = Locks()
        self._fresh = Freshness(root)
        self._opening = threading.Lock()
        self._current: Warm | None = None
        self._known: object = None

    def open(self, root: Path, settings: Settings, *, ready: bool = True) -> Warm:
        """Return the workspace of ROOT; its index is READY, unless that does not matter.

        Raises:
            DeclinedError: it is another root than the server's, or its index is not ready.
        """
        if root.resolve() != self.root:
            raise DeclinedError("root")
        with self._opening:
            # Git is asked whether it tracks the index; not again while nothing is different for git.
            known = self._fresh.elsewhere()
            if self._current is None or not known or (known, settings, _folder(self._current)) != self._known:
                opened = Warm.open(self.root, settings)
                opened.locks = self._locks
                opened.fresh = self._fresh
                if not opened.same(self._current):
                    self._take(opened)
            assert self._current is not None
            self._known = known, settings, _folder(self._current)
            if ready and not self._ready(self._current):
                raise DeclinedError("index")
            return self._current

    def _take(self, opened: Warm) -> None:
        with self._locks.answering:
            if self._current is not None:
                opened.take_over(self._current)
            self._current = opened

    @staticmethod
    def _ready(workspace: Warm) -> bool:
        try:
            state = standing(workspace.root, workspace.layout, workspace.bundle)[0]
            # A part of the first index will do: to open it takes a process of its own seconds, for every question.
            return state is Stale.FRESH or (state is Stale.MISSING and workspace.unfinished() > 0)
        except CodesearchError:
            return False  # what is wrong is for the client to say

    @staticmethod
    def settings(said: Settings, index_dir: str) -> Settings:
        """Return SAID with the index where INDEX_DIR says, if it says."""
        return replace(said, index_dir=Path(index_dir)) if index_dir else said

    def place(self, settings: Settings) -> Path:
        """Return the folder of the index."""
        return Warm.open(self.root, settings).layout.folder

    def warm_up(self, settings: Settings) -> None:
        """Load what answering needs and compare the files, so that the first question does not wait for it."""
        workspace = self.open(self.root, settings)
        workspace.ask("warm up", refresh=False)
        with suppress(IndexBusyError, StorageError):
            for _ in workspace.index():
                pass

    def close(self) -> None:
        """Release the index."""
        with self._locks.answering:
            if self._current is not None:
                self._current.shut()
        self._fresh.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _folder(workspace: Warm) -> tuple[int, int]:
    """Return what is different when the index folder is another, or no folder."""
    try:
        status = workspace.layout.folder.lstat()
    except OSError:
        return 0, 0
    return status.st_ino, status.st_mode
