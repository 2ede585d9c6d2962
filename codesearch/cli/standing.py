"""Where a command looks when no folder is named, and how the answers look from there.

The index of a folder above is used, and asked about the part of it that one stands in; paths are printed as seen from
there, so that whatever reads them finds the files.
"""

from __future__ import annotations

import os
import posixpath
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from codesearch import nearest
from codesearch.cli.surroundings import here
from codesearch.errors import CodesearchError
from codesearch.types import Answer, Stale

if TYPE_CHECKING:
    from codesearch.gist import Gist
    from codesearch.types import Hit
    from codesearch.workspace import Workspace

_NONE: Final = Answer("", Stale.FRESH, 0.0, ())


@dataclass(frozen=True, slots=True)
class Place:
    """A root, and a folder below it."""

    root: Path
    below: str = ""
    """Relative to the root, with forward slashes; empty for the root itself."""

    @property
    def paths(self) -> tuple[str, ...]:
        """What is asked about, as `Filter` has it."""
        return (self.below,) if self.below else ()

    def path(self, path: str) -> str:
        """Return PATH, relative to the root, as seen from here."""
        return posixpath.relpath(path, self.below) if self.below else path

    def hit(self, hit: Hit) -> Hit:
        """Return HIT as seen from here."""
        if not self.below:
            return hit
        return replace(hit, path=self.path(hit.path), copies=tuple(map(self.path, hit.copies)))


def place(typed: Path | None, index_dir: Path | None = None) -> Place:
    """Return where to search: the folder that was TYPED, or the nearest that has an index, or where one stands.

    Where one stands in what that index leaves out, such as an ignored folder, it is of no use.
    """
    if typed is not None or index_dir is not None:
        return Place(Path() if typed is None else typed)
    try:
        stands = os.path.realpath(here().cwd)
        root = nearest.indexed(stands, here().environ.get("CODESEARCH_HOME", ""))
        if root == stands or not _covers(Path(root), Path(stands)):
            return Place(Path())
    except (OSError, CodesearchError):  # what is wrong is said by whoever opens it
        return Place(Path())
    return Place(Path(root), Path(stands).relative_to(root).as_posix())


def _covers(root: Path, folder: Path) -> bool:
    from codesearch import config
    from codesearch.files import Skip, look
    from codesearch.why import Why

    found = look(root, folder, config.resolve(root, {}, here().environ).settings())
    return isinstance(found, Skip) and found.why is Why.FOLDER


class Seen:
    """A workspace as it is seen from a folder below its root, and an answer of it."""

    def __init__(self, workspace: Workspace, place: Place, answer: Answer = _NONE) -> None:
        self._workspace, self._place, self._answer = workspace, place, answer
        self.root = workspace.root / place.below
        self.answer = replace(answer, hits=tuple(map(place.hit, answer.hits)))

    def gist(self) -> Gist | None:
        """Return what is known of the best hit of the answer."""
        found, hit = self._workspace.gist(self._answer), self._place.hit
        if found is None:
            return None
        callers, tests = tuple(map(hit, found.callers)), tuple(map(hit, found.tests))
        return replace(found, hit=hit(found.hit), callers=callers, tests=tests)

    def lines(self, hit: Hit) -> list[str]:
        """Return the lines of the file that HIT, as seen from here, is in."""
        return self._workspace.lines(posixpath.normpath(posixpath.join(self._place.below, hit.path)))
