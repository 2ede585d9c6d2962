"""The one way from the interface to the index: requests go in from any thread, answers come out through `tell`.

All that touches the Workspace happens in one thread of its own, so that the interface never waits. Of questions only
the newest waits: one that was overtaken before its turn is never asked. Between two steps of indexing the questions
that wait are answered from the index as it was, or from what there is of the first one; so nobody waits for a refresh
who does not have to.

Adapting runs in a process of its own (`training`), because a training in this one would starve the interface.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

from codesearch import registry
from codesearch.errors import CodesearchError, IndexBusyError, StorageError
from codesearch.events import Done, Progress
from codesearch.settings import Settings
from codesearch.tui import training
from codesearch.tui.words import Answered, Broken, Indexed, Only, Opened, Question, Refused, Related, Told, Working
from codesearch.types import Hit, Stale

if TYPE_CHECKING:
    from codesearch.search import Filter
    from codesearch.workspace import Workspace

LIMIT: Final = 30
"""Hits of an answer: more than anybody looks through, and their files are read in a few milliseconds."""
_PATIENCE: Final = 0.2
"""Seconds to wait for another process that writes the index; questions wait meanwhile."""
_SWITCH: Final = 0.001
"""Seconds after which a thread has to let another run. Python's own 5 ms would be felt in every key while the worker
imports (LanceDB: 2 s) or indexes."""
_FAREWELL: Final = 5.0
"""Seconds that a worker has to finish what it does; what is cut off then is done again by the next run."""


class Session:
    """One workspace, served by one thread."""

    def __init__(self, root: Path, settings: Settings, tell: Callable[[Told], None]) -> None:
        """Serve ROOT once started; TELL is called in the session's threads and must not block."""
        self.root = root
        self.settings = settings
        self._tell = tell
        self._wake = threading.Condition()
        self._question: Question | None = None
        self._errands: deque[Callable[[Workspace], None]] = deque()
        self._closing = False
        self._adapting: training.Training | None = None
        self._worker = threading.Thread(target=self._work, name="session", daemon=True)

    def start(self) -> None:
        """Open the index, and bring it up to date."""
        sys.setswitchinterval(_SWITCH)
        self._worker.start()

    def ask(self, question: Question) -> None:
        """Ask QUESTION, in place of one that still waits."""
        with self._wake:
            self._question = question
            self._wake.notify()

    def related(self, number: int, hit: Hit) -> None:
        """Look for what belongs to HIT; the answer carries NUMBER."""
        self._queue(lambda workspace: self._relate(workspace, number, hit))

    def refresh(self, *, rebuild: bool = False) -> None:
        """Bring the index up to date, or build it again."""
        self._queue(lambda workspace: self._index(workspace, rebuild=rebuild))

    def adapt(self) -> None:
        """Adapt the retriever to the folder, in a process of its own; the index answers all the while."""
        if not self.adapting:
            self._adapting = training.Training(self.root, self.settings, self._adapted)

    def stop_adapting(self) -> None:
        """Give adapting up; nothing of it stays."""
        if self._adapting:
            self._adapting.stop()

    @property
    def adapting(self) -> bool:
        """Whether the retriever is being adapted."""
        return self._adapting is not None and self._adapting.alive

    def lines(self, hit: Hit) -> list[str] | None:
        """Return the lines of the file that HIT is in, as it is now; None where it can not be read any more."""
        from codesearch.chunk import decode
        from codesearch.files import FileEntry, read

        data = read(FileEntry(hit.path, str(self.root), 0, 0), self.settings)
        return decode(data).split("\n") if isinstance(data, bytes) else None

    def close(self) -> bool:
        """Stop what is under way, after the step that it is at, and release the index; return whether that was done."""
        self.stop_adapting()
        with self._wake:
            self._closing = True
            self._wake.notify()
        if self._adapting:
            self._adapting.wait()
        if self._worker.is_alive():
            self._worker.join(_FAREWELL)
        return not self._worker.is_alive()

    def _adapted(self, told: Told) -> None:
        self._tell(told)
        if not self.adapting:
            self.refresh()

    def _queue(self, errand: Callable[[Workspace], None]) -> None:
        with self._wake:
            self._errands.append(errand)
            self._wake.notify()

    def _work(self) -> None:
        from codesearch.workspace import Workspace

        try:
            training.allow_processes()
            with Workspace.open(self.root, self.settings) as workspace:
                self._tell(Opened(_answers(workspace)))
                self._index(workspace)
                self._warm(workspace)
                while self._serve(workspace, wait=True):
                    pass
        except Exception as error:  # the interface ends with it, and the edge of the program shows it
            self._tell(Broken(error))

    def _warm(self, workspace: Workspace) -> None:
        """Load what the first question would wait for (0.3 s), if nobody asks yet."""
        with self._wake:
            asked = self._question is not None or self._closing
        if not asked and workspace.usable():
            workspace.ask("warm up", 1, min_score=0, refresh=False)

    def _serve(self, workspace: Workspace, *, wait: bool) -> bool:
        """Meet one request, waiting for it if need be; return whether there was one. Questions come first."""
        with self._wake:
            self._wake.wait_for(lambda: self._closing or self._question or self._errands or not wait)
            question, self._question = self._question, None
            errand = self._errands.popleft() if self._errands and not question else None
        if self._closing:
            return False
        try:
            if question:
                self._answer(workspace, question)
            elif errand:
                errand(workspace)
        except CodesearchError as error:
            self._tell(Refused(str(error)))
        return bool(question or errand)

    def _answer(self, workspace: Workspace, question: Question) -> None:
        from codesearch.confidence import ENOUGH

        only = _filter(question.only)
        answer = workspace.ask(question.text, LIMIT, only=only, min_score=0, refresh=False)
        enough = bool(answer.hits) and answer.confidence >= ENOUGH
        self._tell(Answered(question, answer.hits, answer.ms, answer.confidence, enough, answer.state, answer.indexed))

    def _relate(self, workspace: Workspace, number: int, hit: Hit) -> None:
        subject, found = workspace.related(hit.path, hit.span.start_line, refresh=False)
        self._tell(Related.of(number, hit, subject, found))

    def _index(self, workspace: Workspace, *, rebuild: bool = False) -> None:
        answers = _answers(workspace)
        try:
            with closing(workspace.index(rebuild=rebuild, patience=_PATIENCE)) as work:
                for event in work:
                    if self._closing:
                        return
                    self._tell(Working(event))
                    if isinstance(event, Done) and (event.indexed or event.removed):
                        registry.note(workspace.root, workspace.layout.folder.absolute())
                    answers = answers or isinstance(event, Progress)
                    if answers and not isinstance(event, Done):
                        self._answer_waiting(workspace)
        except (IndexBusyError, StorageError) as error:
            self._tell(self._facts(workspace, Stale.FILES if _answers(workspace) else Stale.MISSING, str(error)))
            return
        self._tell(self._facts(workspace, Stale.FRESH))

    def _answer_waiting(self, workspace: Workspace) -> None:
        with self._wake:
            waits = self._question is not None
        if waits:
            self._serve(workspace, wait=False)

    def _facts(self, workspace: Workspace, state: Stale, said: str = "") -> Indexed:
        if state is Stale.MISSING:
            return Indexed(state, said=said)
        snapshot = workspace.snapshot()
        totals, languages = snapshot.manifest.totals(), snapshot.manifest.languages()
        counts = tuple((name, chunks) for name, (_, chunks) in languages.items())
        return Indexed(state, totals.files, totals.chunks, counts, snapshot.encoder.adapted, said)


def _answers(workspace: Workspace) -> bool:
    """Tell whether there is anything to answer from: an index, or a part of the first one."""
    return workspace.usable() or workspace.unfinished() > 0


def explain(hit: Hit) -> list[tuple[float, str, str]]:
    """Return the sum that the score of HIT is: each part's worth, its name, and why it is worth anything."""
    from codesearch.rank import reason

    parts = []
    for name, worth in sorted(hit.reasons, key=lambda part: -abs(part[1])):
        try:
            why = reason(name)
        except KeyError:  # what makes code related is said by its name alone
            why = ""
        parts.append((worth, name, why))
    return parts


def _filter(only: Only) -> Filter | None:
    from codesearch.search import Filter

    if only == Only():
        return None
    return Filter(only.globs, only.languages, kinds=frozenset(map(str, only.kinds)), tests=only.tests)
