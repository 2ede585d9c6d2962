"""What a command sees of the world it was typed in, and that it would otherwise take from its process.

A command may run in a server, for a client that stands in another folder, with another environment and another
terminal. So it asks `here()` for them, and never `os.environ`, `Path.cwd()` or the terminal itself. `print` is fine: in
a server `sys.stdout` and `sys.stderr` are those of the request that the thread is working on.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TextIO

if TYPE_CHECKING:
    from rich.console import Console

    from codesearch.fleet.access import Access, Wanted
    from codesearch.fleet.schema import Entry
    from codesearch.gist import Gist
    from codesearch.related import Relation
    from codesearch.search import Mode
    from codesearch.settings import Settings
    from codesearch.types import Answer, Hit
    from codesearch.workspace import Workspace


def _open(root: Path, settings: Settings) -> Workspace:
    from codesearch.workspace import Workspace

    return Workspace.open(root, settings)


class Asked(Protocol):
    """A store that is open for one access: `Fleet`, or a server's that stays open."""

    def ask(
        self, query: str, limit: int = 10, *, wanted: Wanted | None = None, mode: Mode = ..., min_score: float = ...
    ) -> Answer:
        """Answer QUERY; see `Fleet.ask`."""
        ...

    def gist(self, answer: Answer) -> Gist | None:
        """Return what is known of the best hit of ANSWER; see `Fleet.gist`."""
        ...

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The repositories that may be seen."""
        ...

    def related(
        self, repository: str, path: str, line: int, limit: int = 5
    ) -> tuple[Hit, dict[Relation, tuple[Hit, ...]]]:
        """Return what belongs to a place; see `Fleet.related`."""
        ...

    def lines(self, repository: str, path: str) -> list[str]:
        """Return the lines of a file; see `Fleet.lines`."""
        ...


def _fleet(uri: str, access: Access) -> Asked:
    from codesearch.fleet.search import Fleet

    return Fleet(uri, access)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where one command was typed."""

    cwd: Path
    environ: Mapping[str, str]
    stdout: TextIO
    stderr: TextIO
    size: tuple[int, int]
    """Columns and lines of the terminal; 0 and 0 where there is none."""
    open: Callable[[Path, Settings], Workspace] = _open
    """Returns the workspace of a root; a server has it open already."""
    fleet: Callable[[str, Access], Asked] = _fleet
    """Returns the store at a URI, open for one access; in the same way."""
    check: Callable[[], None] = lambda: None
    """Raises what ends the command, if whoever asked has gone; long work calls it now and then."""

    def console(self, *, stderr: bool, color_system: str | None, force_terminal: bool | None) -> Console:
        """Return what prints to one of the streams."""
        from rich.console import Console

        columns, lines = self._size()
        return Console(
            file=self.stderr if stderr else self.stdout,
            width=columns,
            height=lines,
            color_system=color_system,  # type: ignore[arg-type]
            force_terminal=force_terminal,
            markup=False,
            emoji=False,
            highlight=False,
            _environ=self.environ,
        )

    def _size(self) -> tuple[int, int]:
        """Return columns and lines: what the environment says, or the terminal, or 80 x 25."""
        said = [self.environ.get(name, "") for name in ("COLUMNS", "LINES")]
        dumb = self.environ.get("TERM", "").lower() in ("dumb", "unknown")
        known = (0, 0) if dumb else self.size
        columns, lines = (int(word) if word.isdecimal() else size for word, size in zip(said, known, strict=True))
        return columns or 80, lines or 25

    def discard(self) -> None:
        """Let what is left to print go nowhere, because nobody reads it; Python would try once more at exit."""
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.stdout.fileno())
        except io.UnsupportedOperation:  # a server's stream to a client that has gone
            return


_here: ContextVar[Surroundings] = ContextVar("here")


def here() -> Surroundings:
    """Return the surroundings of the command that runs: those of the request, or of this process."""
    said = _here.get(None)
    return said or Surroundings(Path.cwd(), os.environ, sys.stdout, sys.stderr, _terminal())


@contextmanager
def within(surroundings: Surroundings) -> Iterator[None]:
    """Let `here()` be SURROUNDINGS for this thread."""
    token = _here.set(surroundings)
    try:
        yield
    finally:
        _here.reset(token)


def _terminal() -> tuple[int, int]:
    """Return the size of the terminal, as the client of a server finds it out."""
    for descriptor in (0, 1, 2):
        try:
            size = os.get_terminal_size(descriptor)
        except OSError:
            continue
        return size.columns, size.lines
    return 0, 0
