"""What a server in the background is for: a folder, or a store of many repositories for one access.

The daemon meets clients, and knows nothing of what it serves but this.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol

from codesearch.server.protocol import Place

if TYPE_CHECKING:
    from codesearch.fleet.access import Access
    from codesearch.server.verbs import Verbs
    from codesearch.server.warm import Pool
    from codesearch.settings import Settings

PLACES: Final = (
    "HOME",
    "USERPROFILE",
    "CODESEARCH_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_STATE_HOME",
    "LOCALAPPDATA",
)
_OF_GIT: Final = ("GIT_CONFIG_", "GIT_EXEC_PATH", "GIT_CEILING_DIRECTORIES", "GIT_DISCOVERY_ACROSS_FILESYSTEM")


class DeclinedError(Exception):
    """This is not for the server to do; the client does it, as it would without one."""


class Served(Protocol):
    """What a server answers about."""

    place: Place
    """Where its clients meet it. What may be asked of it is a part of that."""
    commands: ClassVar[frozenset[str]]
    """Which a client may have it run."""
    variables: ClassVar[tuple[str, ...]]
    """Beginnings of variables that libraries read from this process; a client with other ones is not served."""

    @property
    def facts(self) -> dict[str, Any]:
        """What `serve --status` says of it."""
        ...

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    @property
    def log(self) -> Path:
        """The file to write the log to, when it is loaded."""
        ...

    @property
    def watched(self) -> list[Path]:
        """Folders without which there is nothing to serve."""
        ...

    @property
    def openers(self) -> Mapping[str, Callable[..., Any]]:
        """What commands open, by its name in `Surroundings`; raises DeclinedError for what is not served."""
        ...

    @property
    def verbs(self) -> Verbs:
        """What answers JSON-RPC."""
        ...

    def inspect(self) -> None:
        """Raise the CodesearchError that says what is wrong with it, if anything is."""
        ...

    def load(self) -> None:
        """Load what answers; before, there are no log, openers and verbs."""
        ...

    def warm_up(self) -> None:
        """Have ready what the first question would wait for; raise DeclinedError where that is not to be had yet."""
        ...

    def close(self) -> None:
        """Release it."""
        ...


class Folder:
    """A folder, with its index where that was said to be."""

    commands: ClassVar[frozenset[str]] = frozenset({"ask", "related", "status"})
    variables: ClassVar[tuple[str, ...]] = (*PLACES, *_OF_GIT)

    def __init__(self, root: Path, index_dir: str = "") -> None:
        """Serve ROOT, a real path; INDEX_DIR is absolute, or empty."""
        self.place = Place.of_folder(str(root), index_dir, os.environ.get("CODESEARCH_HOME", ""))
        self._root, self._index_dir = root, index_dir
        self._loaded: tuple[Pool, Settings, Path, Verbs] | None = None

    @property
    def facts(self) -> dict[str, Any]:
        """Its root."""
        return {"root": str(self._root)}

    @property
    def name(self) -> str:
        """Its root."""
        return str(self._root)

    @property
    def log(self) -> Path:
        """A file in the folder of the index."""
        return self._its()[2] / "log"

    @property
    def watched(self) -> list[Path]:
        """Its root, and the folder of the index."""
        return [self._root, self._loaded[2]] if self._loaded else []

    @property
    def openers(self) -> Mapping[str, Callable[..., Any]]:
        """The workspace that is open."""
        return {"open": self._its()[0].open, "fleet": _no_store}

    @property
    def verbs(self) -> Verbs:
        """Those of a folder."""
        return self._its()[3]

    def _its(self) -> tuple[Pool, Settings, Path, Verbs]:
        assert self._loaded is not None, "it is loaded before anybody is answered"
        return self._loaded

    def inspect(self) -> None:
        """Raise RootError where it is missing, or not a folder."""
        from codesearch.workspace import Workspace

        Workspace.open(self._root)

    def load(self) -> None:
        """Load what answers."""
        from codesearch.config import resolve
        from codesearch.server.methods import Methods
        from codesearch.server.warm import Pool

        pool = Pool(self._root)
        said = pool.settings(resolve(self._root, {}).settings(), self._index_dir)
        methods = Methods(self._root, self._index_dir, pool=pool)
        self._loaded = pool, said, pool.place(said), methods

    def warm_up(self) -> None:
        """Open the index, ask it something, and compare the files."""
        pool, said, _, _ = self._its()
        pool.warm_up(said)

    def close(self) -> None:
        """Release the index."""
        if self._loaded:
            self._loaded[3].close()
            self._loaded[0].close()


def _no_store(_uri: str, _access: Access) -> Any:
    raise DeclinedError("store")
