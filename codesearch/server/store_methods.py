"""The verbs of a server of a store: ask, related, explain, lines, status. Plain data in, plain data out.

Who asks can narrow what is asked about, and no parameter widens it: what may be seen is the open store's.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

import codesearch
from codesearch import shape
from codesearch.config import resolve
from codesearch.errors import CodesearchError
from codesearch.filtering import only
from codesearch.fleet.access import Wanted
from codesearch.server import params as read
from codesearch.server.indexing import Check, Tell
from codesearch.server.methods import PROTOCOL_VERSION
from codesearch.server.params import ParamsError
from codesearch.server.store import WarmStore
from codesearch.server.verbs import nobody
from codesearch.shape import Object
from codesearch.types import Answer, Stale

_FIELDS: Final[Mapping[str, read.Check]] = {
    "query": read.query,
    "limit": read.limit,
    "repositories": read.texts,
    "owners": read.texts,
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


class StoreMethods:
    """What can be asked of one store, by one access."""

    def __init__(self, store: WarmStore) -> None:
        """Ask STORE."""
        self._store = store
        self._verbs: dict[str, Callable[[object], Object]] = {
            "ask": self._ask,
            "related": self._related,
            "explain": self._explain,
            "lines": self._lines,
            "status": self._status,
        }

    @property
    def names(self) -> frozenset[str]:
        """The verbs that `call` knows."""
        return frozenset(self._verbs)

    def call(self, name: str, params: object = None, _tell: Tell = nobody, check: Check = nobody) -> Object:
        """Carry out the verb NAME and return its result; see `Verbs.call`."""
        check()
        return self._verbs[name](params)

    def initialize(self, params: object) -> Object:
        """Say what is served."""
        known: dict[str, read.Check] = {
            "clientInfo": lambda _, said: said,
            "store": read.text,
            "protocolVersion": lambda name, said: read.whole(name, said, 1, 1_000_000),
        }
        said = read.taken(params, known, ("protocolVersion",))
        if said["protocolVersion"] != PROTOCOL_VERSION:
            raise ParamsError(f"protocolVersion is {said['protocolVersion']}; this speaks {PROTOCOL_VERSION} alone")
        if said.get("store", self._store.uri) != self._store.uri:
            raise ParamsError(f"store is not the one that is served: {self._store.uri}")
        return {
            "protocolVersion": PROTOCOL_VERSION,
            "version": codesearch.__version__,
            "store": self._store.uri,
            "canTrain": False,
        }

    def listen(self, _: object) -> None:
        """Nothing goes on that anybody could hear of."""

    def load(self) -> None:
        """Loading is a part of opening."""

    def warm_up(self) -> None:
        """Open the store, in the background."""
        threading.Thread(target=self._warm_up, name="warming up", daemon=True).start()

    def _warm_up(self) -> None:
        with suppress(CodesearchError):  # what is wrong is said to whoever asks
            self._store.ask("warm up", 1)

    def close(self) -> None:
        """There is nothing to stop."""

    def _ask(self, params: object) -> Object:
        answer = self._answer(params)
        wanted = not isinstance(params, dict) or params.get("answer") is not False
        return shape.answer(answer, self._store.gist(answer) if wanted else None)

    def _explain(self, params: object) -> Object:
        return shape.explanation(self._answer(params))

    def _related(self, params: object) -> Object:
        known: dict[str, read.Check] = {
            "repository": read.text,
            "path": read.text,
            "line": read.line,
            "limit": read.limit,
        }
        said = read.taken(params, known, ("repository", "path", "line"))
        found = self._store.related(said["repository"], said["path"], said["line"], said.get("limit", 5))
        return shape.related(*found, Stale.FRESH)

    def _answer(self, params: object) -> Answer:
        said = read.taken(params, _FIELDS, ("query",))
        given = resolve(None, {})
        chosen = only(
            (),
            said.get("globs", ()),
            said.get("types", ()),
            said.get("notTypes", ()),
            said.get("languages", ()),
            said.get("kinds", ()),
            tests=said.get("tests", not given["no-tests"]),
        )
        wanted = Wanted(tuple(said.get("repositories", ())), tuple(said.get("owners", ()))).narrowed(chosen)
        limit, least = said.get("limit", given["limit"]), said.get("minScore", given["min-score"])
        return self._store.ask(said["query"], limit, wanted=wanted, min_score=least)

    def _lines(self, params: object) -> Object:
        known: dict[str, read.Check] = {
            "repository": read.text,
            "path": read.text,
            "first": read.line,
            "last": read.line,
        }
        said = read.taken(params, known, ("repository", "path"))
        lines = self._store.lines(said["repository"], said["path"])
        if not lines:
            raise ParamsError("there is no such file in the store, or it may not be seen")
        first = said.get("first", 1)
        return {
            "version": shape.JSON_VERSION,
            "repository": said["repository"],
            "path": said["path"],
            "first": first,
            "lines": lines[first - 1 : said.get("last", len(lines))],
        }

    def _status(self, params: object) -> Object:
        read.taken(params, {})
        entries = self._store.entries
        return {
            "version": shape.JSON_VERSION,
            "store": self._store.uri,
            "repositories": len(entries),
            "files": sum(entry.files for entry in entries),
            "chunks": sum(entry.chunks for entry in entries),
        }
