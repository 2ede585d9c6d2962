"""The verbs of every server: ask, related, explain, status, index, adapt, open-at. Plain data in, plain data out.

JSON-RPC over stdio and over the socket, LSP and MCP are ways to call these and nothing else, from any thread. Questions
never wait long: what must be indexed first goes on beside them (`indexing`), and adapting has a process of its own
(`training`). What long work reports goes to `tell`, an event at a time; `check` raises where nobody waits any more.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import codesearch
from codesearch import shape
from codesearch.config import Config, resolve
from codesearch.errors import CodesearchError, IndexBusyError, IndexFormatError, StorageError
from codesearch.filtering import only
from codesearch.paths import index_folder, user_index_folder
from codesearch.server import params as read
from codesearch.server.indexing import CancelledError, Check, Indexer, Run, Tell
from codesearch.server.params import OutsideError, ParamsError
from codesearch.server.verbs import nobody
from codesearch.shape import Object
from codesearch.training import Adapter, missing
from codesearch.types import Answer, Stale

if TYPE_CHECKING:
    from codesearch.events import Event
    from codesearch.server.warm import Pool, Warm
    from codesearch.settings import Settings

PROTOCOL_VERSION: Final = 1
"""Raised when a method or a field changes its meaning or goes; new ones may come without."""
_SOON: Final = 1.2
"""Seconds that a question waits for the index to be brought up to date; then it is answered from what there is."""
_FIRST: Final = 1.7
"""The same, where there is nothing to answer from yet; a first answer is to come within 2 s, whatever it says."""
_BUILDING: Final = 0.2
"""The same, where there is a part of the first index: it takes longer than anybody waits, or is about to be there."""
_NUDGE: Final = 0.3
"""Seconds to wait for more files to be saved."""
_FIELDS: Final[Mapping[str, read.Check]] = {
    "query": read.query,
    "limit": read.limit,
    "paths": read.texts,
    "globs": read.texts,
    "types": read.texts,
    "notTypes": read.texts,
    "languages": read.texts,
    "kinds": read.kinds,
    "tests": read.flag,
    "minScore": read.share,
    "answer": read.flag,
}
"""Of `ask` and `explain`."""


class UntrustedError(CodesearchError):
    """The folder is not trusted."""


class Methods:
    """What can be asked of one folder."""

    def __init__(
        self, root: Path, index_dir: str = "", flags: Mapping[str, Any] | None = None, *, pool: Pool | None = None
    ) -> None:
        """Serve ROOT with its index where INDEX_DIR says, under settings of which FLAGS were typed.

        Nothing is loaded yet. A POOL is one that others use as well, of the same root.

        Raises:
            RootError: ROOT is missing or not a folder.
        """
        from codesearch.workspace import Workspace

        self.root = Workspace.open(root).root
        self.called = Path(os.path.abspath(root))  # noqa: PTH100
        """The root as whoever started this calls it, which may lead there through links."""
        self.trusted = True
        self._shares = pool is not None
        self._pool = pool
        self._opening = threading.Lock()
        self._nudged = False
        self._index_dir = index_dir
        self._flags = dict(flags or {})
        self.indexer = Indexer(self.workspace)
        self._adapter = Adapter()
        self._verbs: dict[str, Callable[[object, Tell, Check], Object]] = {
            "ask": self._ask,
            "related": self._related,
            "explain": self._explain,
            "status": self._status,
            "index": self._index,
            "adapt": self._adapt,
            "open-at": self._open_at,
        }

    @property
    def names(self) -> frozenset[str]:
        """The verbs that `call` knows."""
        return frozenset(self._verbs)

    def call(self, name: str, params: object = None, tell: Tell = nobody, check: Check = nobody) -> Object:
        """Carry out the verb NAME and return its result.

        Raises:
            KeyError: there is no such verb.
            ParamsError: PARAMS make no sense.
            CancelledError: CHECK raised it.
            CodesearchError: it can not be done.
        """
        return self._verbs[name](params, tell, check)

    def initialize(self, params: object) -> Object:
        """Say what is served, and take note of whether the folder is trusted, which it is unless PARAMS say otherwise.

        Of a folder that is not trusted nothing is learned, and nothing is written into it.
        """
        known: dict[str, read.Check] = {
            "clientInfo": lambda _, said: said,
            "root": read.text,
            "protocolVersion": lambda name, said: read.whole(name, said, 1, 1_000_000),
            "trusted": read.flag,
        }
        said = read.taken(params, known, ("protocolVersion",))
        if said["protocolVersion"] != PROTOCOL_VERSION:
            raise ParamsError(f"protocolVersion is {said['protocolVersion']}; this speaks {PROTOCOL_VERSION} alone")
        if "root" in said and ("\0" in said["root"] or os.path.realpath(said["root"]) != str(self.root)):
            raise OutsideError(f"root is not the folder that is served: {self.root}")
        if not said.get("trusted", True) and self._shares:
            raise ParamsError("the shared server is for folders that are trusted; start `codesearch serve --stdio`")
        if not self._shares:
            self.trusted = said.get("trusted", True)
        return {
            "protocolVersion": PROTOCOL_VERSION,
            "version": codesearch.__version__,
            "root": str(self.root),
            "canTrain": self.trusted and not missing(),
        }

    @staticmethod
    def load() -> None:
        """Load the libraries that answering needs (LanceDB: over a second), in the background."""
        threading.Thread(target=_load, name="loading", daemon=True).start()

    def warm_up(self) -> None:
        """Open the index, in the background, so that the first question does not wait for it; writes nothing."""
        threading.Thread(target=self._warm_up, name="warming up", daemon=True).start()

    def listen(self, tell: Callable[[Event | None], None]) -> None:
        """Let TELL hear of indexing that goes on when the question that began it is answered."""
        self.indexer.background = tell

    def nudge(self) -> None:
        """Bring an index that is there up to date in the background: files may have changed. Often is not too often."""
        with self._opening:
            if self._nudged:
                return
            self._nudged = True
        timer = threading.Timer(_NUDGE, self._refresh_quietly)
        timer.daemon = True
        timer.start()

    def _refresh_quietly(self) -> None:
        self._nudged = False
        with suppress(CodesearchError, CancelledError):
            if self.workspace().usable():
                self.indexer.refresh(self.indexer.background, nobody)

    def close(self) -> None:
        """Stop what is under way, after the step that it is at, and release the index."""
        self.indexer.close()
        if self._pool is not None and not self._shares:
            self._pool.close()

    def workspace(self) -> Warm:
        """Return the workspace, under the settings that hold now."""
        return self._opened()[1]

    def _opened(self) -> tuple[Config, Warm]:
        from codesearch.server.warm import Pool

        with self._opening:
            if self._pool is None:
                self._pool = Pool(self.root)
        given = resolve(self.root, self._flags)
        return given, self._pool.open(self.root, self._settings(given), ready=False)

    def _settings(self, given: Config) -> Settings:
        settings = given.settings(Path(self._index_dir) if self._index_dir else None)
        if not self.trusted and index_folder(self.root, settings.index_dir).resolve().is_relative_to(self.root):
            return replace(settings, index_dir=user_index_folder(self.root))
        return settings

    def _warm_up(self) -> None:
        with suppress(CodesearchError):  # what is wrong is said to whoever asks
            workspace = self.workspace()
            if workspace.usable():
                workspace.ask("warm up", 1, min_score=0, refresh=False)

    def _ask(self, params: object, tell: Tell, check: Check) -> Object:
        answer, workspace = self._answer(params, tell, check)
        # Who does not show it need not wait for it: it takes about as long as the search.
        wanted = not isinstance(params, dict) or params.get("answer") is not False
        return shape.answer(answer, workspace.gist(answer) if wanted else None)

    def _explain(self, params: object, tell: Tell, check: Check) -> Object:
        answer, _ = self._answer(params, tell, check)
        return shape.explanation(answer)

    def _answer(self, params: object, tell: Tell, check: Check) -> tuple[Answer, Warm]:
        said = read.taken(params, _FIELDS, ("query",))
        paths = [self._inside(f"paths[{at}]", path) for at, path in enumerate(said.get("paths", ()))]
        came = time.monotonic()
        given, workspace = self._opened()
        chosen = only(
            paths,
            said.get("globs", ()),
            said.get("types", ()),
            said.get("notTypes", ()),
            said.get("languages", ()),
            said.get("kinds", ()),
            tests=said.get("tests", not given["no-tests"]),
        )
        started = time.perf_counter()
        state = self._refreshed(workspace, tell, check, came)
        limit, least = said.get("limit", given["limit"]), said.get("minScore", given["min-score"])
        try:
            if state is Stale.MISSING:
                raise IndexFormatError
            answer = workspace.ask(said["query"], limit, only=chosen, min_score=least, refresh=False)
        except IndexFormatError:
            if not self.indexer.busy and state is not Stale.MISSING:
                raise
            took = (time.perf_counter() - started) * 1000
            return Answer(said["query"], Stale.MISSING, took, (), 0.0, 0.0), workspace
        return (answer if state is Stale.FRESH else replace(answer, state=state)), workspace

    def _refreshed(self, workspace: Warm, tell: Tell, check: Check, came: float) -> Stale:
        """Bring the index up to date, for a while since the question CAME; return what there is to answer from.

        It is FRESH, FILES if it is not, MISSING if there is nothing yet.
        """
        if _answers(workspace):
            _load()  # an answer waits for it in any case
            wait = _SOON if workspace.usable() else _BUILDING
        else:
            wait = came + _FIRST - time.monotonic()
        run = self.indexer.refresh(tell, check, wait=wait)
        if run is not None:
            if run.error is None:
                return Stale.FRESH
            if not isinstance(run.error, (IndexBusyError, StorageError, CancelledError)):
                raise run.error
            if not isinstance(run.error, IndexBusyError) and not _answers(workspace):
                raise run.error
        return Stale.FILES if _answers(workspace) else Stale.MISSING

    def _inside(self, name: str, said: str) -> str:
        return read.inside(self.root, self.called, name, said)

    def _related(self, params: object, tell: Tell, check: Check) -> Object:
        known: dict[str, read.Check] = {"path": read.text, "line": read.line, "limit": read.limit}
        said = read.taken(params, known, ("path", "line"))
        path = self._inside("path", said["path"])
        came = time.monotonic()
        workspace = self.workspace()
        state = self._refreshed(workspace, tell, check, came)
        if state is Stale.MISSING:
            raise IndexBusyError("the index is being built, and holds nothing yet. Ask again in a moment.")
        subject, found = workspace.related(path, said["line"], said.get("limit", 5), refresh=False)
        return shape.related(subject, found, state)

    def _status(self, params: object, _tell: Tell, _check: Check) -> Object:
        read.taken(params, {})
        indexing = self.indexer.busy
        return shape.status(self.workspace().status()) | {"indexing": indexing, "adapting": self._adapter.busy}

    def _index(self, params: object, tell: Tell, check: Check) -> Object:
        said = read.taken(params, {"rebuild": read.flag})
        try:
            run = self.indexer.refresh(tell, check, rebuild=said.get("rebuild", False))
        except CancelledError:
            self.indexer.stop()
            raise
        assert isinstance(run, Run)
        if run.error is not None:
            raise run.error
        assert run.done is not None
        return shape.done(run.done)

    def _adapt(self, params: object, tell: Tell, check: Check) -> Object:
        said = read.taken(params, {"budget": read.duration})
        if not self.trusted:
            raise UntrustedError("the folder is not trusted, so nothing is learned from it. Trust it first.")
        self._index({}, tell, check)
        settings = self.workspace().settings
        done = self._adapter.train(self.root, settings, said.get("budget"), tell, check)
        self.indexer.refresh(tell, check)
        return shape.adaptation(done)

    def _open_at(self, params: object, _tell: Tell, _check: Check) -> Object:
        said = read.taken(params, {"path": read.text, "line": read.line}, ("path",))
        path = self.root / self._inside("path", said["path"])
        if not (path.is_file() and os.access(path, os.R_OK)):
            raise ParamsError(f"path is no file that can be read: {said['path'][:200]}")
        return {"path": str(path), "line": said.get("line", 1)}


def _load() -> None:
    import codesearch.encode
    import codesearch.index
    import codesearch.search
    import codesearch.store  # noqa: F401


def _answers(workspace: Warm) -> bool:
    return workspace.usable() or workspace.unfinished() > 0
