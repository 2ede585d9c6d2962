"""What the interface searches: a folder, or a store of many repositories for one access."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from codesearch.tui.words import Question, Told
from codesearch.types import Hit

if TYPE_CHECKING:
    from codesearch.fleet.access import Access
    from codesearch.settings import Settings

Tell = Callable[[Told], None]


class Answering(Protocol):
    """A session: requests go in from any thread, and what comes of them out through `tell`, in one of its own."""

    def start(self) -> None:
        """Open what is searched."""
        ...

    def ask(self, question: Question) -> None:
        """Ask QUESTION, in place of one that still waits."""
        ...

    def related(self, number: int, hit: Hit) -> None:
        """Look for what belongs to HIT; the answer carries NUMBER."""
        ...

    def refresh(self, *, rebuild: bool = False) -> None:
        """Bring the index up to date, or build it again."""
        ...

    def adapt(self) -> None:
        """Adapt the retriever."""
        ...

    def stop_adapting(self) -> None:
        """Give adapting up."""
        ...

    @property
    def adapting(self) -> bool:
        """Whether the retriever is being adapted."""
        ...

    def lines(self, hit: Hit) -> list[str] | None:
        """Return the lines of the file that HIT is in, in any thread; None where it can not be read any more."""
        ...

    def close(self) -> bool:
        """Stop what is under way; return whether that was done."""
        ...


@dataclass(frozen=True, slots=True)
class Searched:
    """What is searched."""

    name: str
    """As it is shown."""
    called: str
    """As the history of questions knows it."""
    session: Callable[[Tell], Answering]
    root: Path | None = None
    """Where the files are that an editor can open, if they are here."""


def folder(root: Path, settings: Settings) -> Searched:
    """Return the folder ROOT, a real path, as what is searched."""

    def session(tell: Tell) -> Answering:
        from codesearch.tui.session import Session

        return Session(root, settings, tell)

    return Searched(root.name or str(root), str(root), session, root)


def store(uri: str, access: Access) -> Searched:
    """Return the store at URI as what is searched, by who may see what ACCESS says."""

    def session(tell: Tell) -> Answering:
        from codesearch.tui.store import StoreSession

        return StoreSession(uri, access, tell)

    return Searched(uri, uri, session)
