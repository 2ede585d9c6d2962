"""Progress of work in an editor that speaks LSP: begun when the editor has agreed to show it, ended in any case."""

from __future__ import annotations

import asyncio
import threading
import uuid
from typing import TYPE_CHECKING, Any

from lsprotocol import types as lsp

if TYPE_CHECKING:
    from codesearch.server.lsp import Server


class Shown:
    """One line of progress at a time; `take` may be called in any thread."""

    def __init__(self, server: Server, stop: threading.Event | None = None) -> None:
        """Show it on SERVER's editor; who cancels it there sets STOP."""
        self._server = server
        self._stop = stop
        self._token = ""
        self._created = False
        self._last: dict[str, Any] = {}
        try:
            self._loop: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            self._loop = None

    def take(self, said: dict[str, Any]) -> None:
        """Show what a `Reporter` says."""
        if self._server.shows and self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._take, said)

    def _take(self, said: dict[str, Any]) -> None:
        self._last = said
        progress = self._server.work_done_progress
        if said["kind"] == "begin":
            self._token, self._created = str(uuid.uuid4()), False
            token = self._token
            progress.create(token, lambda *_: self._begin(token))
        elif self._created:
            self._show()

    def _begin(self, token: str) -> None:
        if token != self._token:
            return
        self._created = True
        begin = lsp.WorkDoneProgressBegin("codesearch", cancellable=self._stop is not None, percentage=0)
        self._server.work_done_progress.begin(token, begin)
        if self._stop is not None:
            self._server.work_done_progress.tokens[token].add_done_callback(self._cancelled)
        self._show()

    def _show(self) -> None:
        said, progress = self._last, self._server.work_done_progress
        if said["kind"] == "end":
            progress.end(self._token, lsp.WorkDoneProgressEnd())
            progress.tokens.pop(self._token, None)
            return
        message = f"{said['stage']}: {said['message']}"
        progress.report(self._token, lsp.WorkDoneProgressReport(message=message, percentage=said.get("percentage")))

    def _cancelled(self, _: object) -> None:
        if self._stop is not None:
            self._stop.set()
