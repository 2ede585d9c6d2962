"""A store that stays open: what its server answers from, and the server of agents.

Opening one takes a second, a question a fraction of that. What may be seen of it is said when it is opened, and fixed:
a client that may see something else, be it less, meets another server, or answers itself.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar

from codesearch.errors import CodesearchError, UsageError
from codesearch.fleet.failures import storing
from codesearch.server.protocol import Place
from codesearch.server.served import PLACES, DeclinedError

if TYPE_CHECKING:
    from codesearch.fleet.access import Access
    from codesearch.fleet.schema import Entry
    from codesearch.fleet.search import Fleet
    from codesearch.gist import Gist
    from codesearch.related import Relation
    from codesearch.server.verbs import Verbs
    from codesearch.types import Answer, Hit

T = TypeVar("T")

_OF_STORES: Final = ("XDG_CACHE_HOME", "AWS_", "GOOGLE_", "AZURE_")
"""Where a store's model is kept, and what the store is reached with: who has other credentials has other answers."""


class WarmStore:
    """A store that is opened once, for one access, and asked from any thread, one at a time."""

    def __init__(self, uri: str, access: Access) -> None:
        """Open the store at URI when it is first asked."""
        self.uri, self.access = uri, access
        self._answering = threading.Lock()
        self._held: Fleet | None = None

    def ask(self, query: str, limit: int = 10, **options: Any) -> Answer:
        """Answer QUERY from what is in the store now; see `Fleet.ask`."""
        return self._of_newest(lambda fleet: fleet.ask(query, limit, **options))

    def related(
        self, repository: str, path: str, line: int, limit: int = 5
    ) -> tuple[Hit, dict[Relation, tuple[Hit, ...]]]:
        """Return what belongs to a place; see `Fleet.related`."""
        return self._of_newest(lambda fleet: fleet.related(repository, path, line, limit))

    def lines(self, repository: str, path: str) -> list[str]:
        """Return the lines of a file, as of the last question if there was one; see `Fleet.lines`."""
        return self._as_answered(lambda fleet: fleet.lines(repository, path))

    def gist(self, answer: Answer) -> Gist | None:
        """Return what is known of the best hit of ANSWER, just given; see `Fleet.gist`."""
        return self._as_answered(lambda fleet: fleet.gist(answer))

    @property
    def languages(self) -> dict[str, int]:
        """How many chunks there are in each language, most first."""
        return self._of_newest(lambda fleet: fleet.languages())

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The repositories that may be seen."""
        return self._of_newest(lambda fleet: fleet.entries)

    def _as_answered(self, do: Callable[[Fleet], T]) -> T:
        """Return what DO, which encodes nothing, makes of the store as it was answered from; no question is waited for.

        Raises:
            IndexFormatError, BundleError, StorageError: as `_of_newest`.
        """
        if (held := self._held) is not None:
            with suppress(CodesearchError), storing(self.uri):
                return do(held)
        return self._of_newest(do)

    def _of_newest(self, do: Callable[[Fleet], T]) -> T:
        """Return what DO makes of the store as it is now.

        Raises:
            IndexFormatError, BundleError, StorageError: there is none, or it can not be read.
        """
        from codesearch.fleet.search import Fleet

        with self._answering, storing(self.uri):
            if (held := self._held) is not None:
                try:
                    held.refresh()
                    return do(held)
                except UsageError:
                    raise
                except (CodesearchError, OSError, ValueError, RuntimeError):
                    self._held = None  # removed, and maybe made again: whoever opens it now finds out
            self._held = opened = Fleet(self.uri, self.access)
            return do(opened)


class Store:
    """A store of many repositories, for one access."""

    commands: ClassVar[frozenset[str]] = frozenset({"ask", "related"})
    variables: ClassVar[tuple[str, ...]] = (*PLACES, *_OF_STORES)

    def __init__(self, uri: str, access: Access) -> None:
        """Serve the store at URI to who may see what ACCESS says."""
        self.place = Place.of_store(uri, access.said)
        self._uri, self._access = uri, access
        self._loaded: tuple[WarmStore, Verbs] | None = None
        self._watched: list[Path] = []

    @property
    def facts(self) -> dict[str, Any]:
        """Its URI, and what may be seen of it."""
        seen, named = self._access.visibilities, self._access.repositories
        return {
            "store": self._uri,
            "visibility": None if seen is None else sorted(seen),
            "allowed": None if named is None else len(named),
        }

    @property
    def name(self) -> str:
        """Its URI."""
        return self._uri

    @property
    def log(self) -> Path:
        """A file beside the socket: the store may be out of reach, and is others' too."""
        return Path(self.place.base + ".log")

    @property
    def watched(self) -> list[Path]:
        """The folder of its chunks, if it is in a folder."""
        return self._watched

    @property
    def openers(self) -> Mapping[str, Callable[..., Any]]:
        """The store that is open, for this access alone."""
        return {"open": _no_folder, "fleet": self._fleet}

    def _fleet(self, uri: str, access: Access) -> WarmStore:
        if (uri, access) != (self._uri, self._access):
            raise DeclinedError("store")
        return self._its()[0]

    @property
    def verbs(self) -> Verbs:
        """Those of a store."""
        return self._its()[1]

    def _its(self) -> tuple[WarmStore, Verbs]:
        assert self._loaded is not None, "it is loaded before anybody is answered"
        return self._loaded

    def inspect(self) -> None:
        """Raise IndexFormatError where there is none, or StorageError where it can not be read."""
        from codesearch.fleet.store import FleetStore

        with storing(self._uri):
            FleetStore.open(self._uri)

    def load(self) -> None:
        """Load what answers."""
        import codesearch.fleet.search  # noqa: F401
        from codesearch.fleet.schema import CHUNKS
        from codesearch.server.store_methods import StoreMethods

        warm = WarmStore(self._uri, self._access)
        self._loaded = warm, StoreMethods(warm)
        if "://" not in self._uri:
            self._watched = [Path(self._uri, f"{CHUNKS}.lance")]

    def warm_up(self) -> None:
        """Open the store, and ask it something."""
        self._its()[0].ask("warm up", 1)

    def close(self) -> None:
        """There is nothing to release."""


def _no_folder(*_: object) -> Any:
    raise DeclinedError("folder")
