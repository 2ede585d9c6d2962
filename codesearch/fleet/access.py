"""Who may see what: a filter that is a part of every query of the store, so that nothing else is ever ranked.

What a caller may see is the corpus that is asked: its rows, its statistics, how sure an answer is. So an answer is the
one that a store would give which holds nothing else, and says nothing of what it leaves out.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from codesearch.errors import UsageError
from codesearch.regular import opened

if TYPE_CHECKING:
    from codesearch.fleet.schema import Entry
    from codesearch.search import Filter


@dataclass(frozen=True, slots=True)
class Access:
    """What a caller may see: everything of some visibilities, and some repositories by their names."""

    visibilities: frozenset[str] | None = None
    """None: all of them, unless there are REPOSITORIES; then none but those."""
    repositories: frozenset[str] | None = None

    @property
    def all(self) -> bool:
        """Whether that is everything."""
        return self.visibilities is None and self.repositories is None

    @property
    def said(self) -> str:
        """It as text: the same for the same access, and another for any other."""
        return json.dumps([None if some is None else sorted(some) for some in (self.visibilities, self.repositories)])

    def allows(self, entry: Entry) -> bool:
        """Tell whether the repository of ENTRY may be seen."""
        return self.all or (
            entry.visibility in (self.visibilities or ()) or entry.repository in (self.repositories or ())
        )


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of all that may be seen is asked about; empty is all of it."""

    repositories: tuple[str, ...] = ()
    """Full names, or their last parts: `acme/shop`, `shop`."""
    owners: tuple[str, ...] = ()
    languages: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset()
    globs: tuple[str, ...] = ()
    """Of paths within their repositories, as `codesearch.search.Filter` has them."""
    tests: bool = True

    def narrowed(self, only: Filter | None) -> Wanted:
        """Return this, and of it ONLY what fits; paths are no part of that."""
        if only is None:
            return self
        return replace(self, languages=only.languages, kinds=only.kinds, globs=only.globs, tests=only.tests)

    def named(self, entries: Collection[Entry]) -> set[str] | None:
        """Return which of ENTRIES, all of them such as may be seen, are asked about by their names; None for all.

        Raises:
            UsageError: a name is that of none.
        """
        if not (self.repositories or self.owners):
            return None
        found = {entry.repository for entry in entries}
        if self.owners:
            found = {entry.repository for entry in entries if entry.owner in self.owners}
            for owner in self.owners:
                if not any(entry.owner == owner for entry in entries):
                    raise UsageError(f"nothing of {owner} is in the store, or may be seen.")
        if self.repositories:
            by_name = [{e.repository for e in entries if _is_called(e, name)} for name in self.repositories]
            for name, some in zip(self.repositories, by_name, strict=True):
                if not some:
                    raise UsageError(f"no repository {name} is in the store, or may be seen.")
            found &= set().union(*by_name)
        return found


def parted(place: str, entries: Collection[Entry]) -> tuple[str, str]:
    """Return repository and path of a PLACE, as results have it: `acme/shop/src/cart.py`.

    Raises:
        UsageError: it is in none of the repositories of ENTRIES, which are such as may be seen.
    """
    names = [entry.repository for entry in entries if place.startswith(f"{entry.repository}/")]
    if not names:
        raise UsageError(f"{place} is in no repository of the store that may be seen. Begin with one's name.")
    name = max(names, key=len)
    return name, place[len(name) + 1 :]


def _is_called(entry: Entry, name: str) -> bool:
    return entry.repository == name or entry.repository.endswith(f"/{name}")


def access(visibility: Sequence[str], allow: Path | None) -> Access:
    """Return what a caller may see: everything of VISIBILITY, and what the file ALLOW names; all where neither is."""
    return Access(frozenset(visibility) if visibility else None, None if allow is None else allowed(allow))


def allowed(file: Path) -> frozenset[str]:
    """Return the names of repositories in FILE, one a line; `#` begins a comment. Raise UsageError for no such file."""
    try:
        with opened(file) as held:
            lines: Iterable[str] = held.read().decode().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{file} can not be read: {error}. Give a file with a repository's name on each line."
        ) from error
    return frozenset(filter(None, (line.partition("#")[0].strip() for line in lines)))
