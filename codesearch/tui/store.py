"""The session of a store: as that of a folder, but there is nothing to index, to adapt, or to open in an editor.

One thread asks, so that the interface never waits; of questions only the newest waits. The reader's thread reads the
lines of files beside it, from the store as it was answered from.
"""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from codesearch.errors import CodesearchError
from codesearch.server.store import WarmStore
from codesearch.tui.session import LIMIT
from codesearch.tui.words import Answered, Broken, Indexed, Only, Opened, Question, Refused, Related
from codesearch.types import Stale

if TYPE_CHECKING:
    from codesearch.fleet.access import Access, Wanted
    from codesearch.tui.searched import Tell
    from codesearch.types import Hit

_KEPT: Final = 32
"""Files whose lines are remembered; one looks back and forth."""
_FAREWELL: Final = 5.0
"""Seconds that the thread has to finish what it does."""


class StoreSession:
    """One store, for one access, asked by one thread."""

    def __init__(self, uri: str, access: Access, tell: Tell) -> None:
        """Ask the store at URI once started; TELL is called in the session's thread and must not block."""
        self._store = WarmStore(uri, access)
        self._tell = tell
        self._wake = threading.Condition()
        self._question: Question | None = None
        self._subject: tuple[int, Hit] | None = None
        """Of what related code is wanted, and the number that the answer carries."""
        self._looking = False
        """Whether it is to be said what is in the store."""
        self._closing = False
        self._worker = threading.Thread(target=self._work, name="session", daemon=True)
        self._read = lru_cache(_KEPT)(self._store.lines)

    def start(self) -> None:
        """Open the store."""
        self._worker.start()

    def ask(self, question: Question) -> None:
        """Ask QUESTION, in place of one that still waits."""
        with self._wake:
            self._question = question
            self._wake.notify()

    def refresh(self, *, rebuild: bool = False) -> None:
        """Say what is in the store now."""
        with self._wake:
            self._looking = True
            self._wake.notify()

    def related(self, number: int, hit: Hit) -> None:
        """Look for what belongs to HIT in its repository; the answer carries NUMBER."""
        with self._wake:
            self._subject = number, hit
            self._wake.notify()

    def adapt(self) -> None:
        """Refuse to adapt: a store is for all who ask it."""
        self._tell(Refused("a store has the retriever that `fleet index --model` was given"))

    def stop_adapting(self) -> None:
        """Nothing is adapted."""

    @property
    def adapting(self) -> bool:
        """Whether the retriever is being adapted."""
        return False

    def lines(self, hit: Hit) -> list[str] | None:
        """Return the lines of the file that HIT is in; None where the store does not hold it any more."""
        try:
            return self._read(hit.repository, hit.path) or None
        except CodesearchError:  # whoever asks next is told
            return None

    def close(self) -> bool:
        """Stop, after the question that is under way; return whether that was done."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        if self._worker.is_alive():
            self._worker.join(_FAREWELL)
        return not self._worker.is_alive()

    def _work(self) -> None:
        try:
            self._store.ask("warm up", 1)
            self._tell(Opened(usable=True))
            self._say_what_is_in()
            while self._serve():
                pass
        except Exception as error:  # the interface ends with it, and the edge of the program shows it
            self._tell(Broken(error))

    def _serve(self) -> bool:
        """Wait for a request, and meet it; return False when there will be no more."""
        with self._wake:
            self._wake.wait_for(lambda: self._closing or self._question or self._subject or self._looking)
            question, self._question = self._question, None
            subject, self._subject = self._subject, None
            looking, self._looking = self._looking, False
        if self._closing:
            return False
        try:
            if question:
                self._answer(question)
            if subject:
                self._relate(*subject)
            if looking:
                self._say_what_is_in()
        except CodesearchError as error:
            self._tell(Refused(str(error)))
        return True

    def _answer(self, question: Question) -> None:
        from codesearch.confidence import ENOUGH

        answer = self._store.ask(question.text, LIMIT, wanted=_wanted(question.only), min_score=0)
        enough = bool(answer.hits) and answer.confidence >= ENOUGH
        self._tell(Answered(question, answer.hits, answer.ms, answer.confidence, enough, answer.state))

    def _relate(self, number: int, hit: Hit) -> None:
        subject, found = self._store.related(hit.repository, hit.path, hit.span.start_line)
        self._tell(Related.of(number, hit, subject, found))

    def _say_what_is_in(self) -> None:
        self._read.cache_clear()
        entries = self._store.entries
        files, chunks = (sum(getattr(entry, name) for entry in entries) for name in ("files", "chunks"))
        self._tell(Indexed(Stale.FRESH, files, chunks, tuple(self._store.languages.items())))


def _wanted(only: Only) -> Wanted:
    from codesearch.fleet.access import Wanted

    return Wanted(languages=only.languages, kinds=frozenset(map(str, only.kinds)), globs=only.globs, tests=only.tests)
