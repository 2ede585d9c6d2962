"""`codesearch lsp`: the methods for editors that speak the Language Server Protocol; needs the extra `lsp`.

`workspace/symbol` answers questions, so an editor that shows what a server finds as it comes needs no plug-in. The
verbs of extensions/PROTOCOL.md are there as requests `codesearch/ask`, … and as commands `codesearch.ask`, …; `root`
chooses among several folders. Handlers wait in the event loop while threads work: nothing here blocks it.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import zip_longest
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from lsprotocol import types as lsp
from pygls.exceptions import JsonRpcException
from pygls.lsp.server import LanguageServer
from pygls.uris import to_fs_path

import codesearch
from codesearch.errors import CodesearchError, UsageError
from codesearch.server.indexing import CancelledError
from codesearch.server.lsp_progress import Shown
from codesearch.server.methods import PROTOCOL_VERSION, Methods
from codesearch.server.params import ParamsError, text
from codesearch.server.reporting import Reporter
from codesearch.server.rpc import explained
from codesearch.server.stdio import take_streams
from codesearch.types import Kind

_SYMBOLS: Final = 50
"""Answers of `workspace/symbol`."""
_SHOWN: Final = 12
"""Related places that a message names."""
_LARGEST: Final = 64 << 20
"""Bytes of a message; editors may send a whole file."""
_LONGEST_LINE: Final = 1024
"""Bytes of a line of a header."""
_VERBS: Final = ("ask", "related", "explain", "status", "index", "adapt", "open-at")
_SLOW: Final = frozenset({"index", "adapt"})
_KINDS: Final = {
    Kind.FUNCTION: lsp.SymbolKind.Function,
    Kind.METHOD: lsp.SymbolKind.Method,
    Kind.CLASS: lsp.SymbolKind.Class,
    Kind.MODULE: lsp.SymbolKind.Module,
    Kind.SECTION: lsp.SymbolKind.String,
}

Object = dict[str, Any]


class Server(LanguageServer):
    """One editor's."""

    def __init__(self, open_root: Callable[[Path], Methods], root: Path | None) -> None:
        """Serve the folders that the editor names, or else ROOT; OPEN_ROOT opens one."""
        super().__init__("codesearch", codesearch.__version__, lsp.TextDocumentSyncKind.None_)
        self.folders: dict[Path, Methods] = {}
        self.trusted = True
        self.watches = self.shows = False
        """Whether the editor can be asked to watch files, and shows progress."""
        self._open_root = open_root
        self._root = root
        self._questions = ThreadPoolExecutor(2, "answering")
        self._work = ThreadPoolExecutor(4, "working")

    def begin(self, params: lsp.InitializeParams) -> None:
        """Open the folders of the editor."""
        options = params.initialization_options
        said = _plain(options) if options is not None else {}
        self.trusted = not (isinstance(said, dict) and said.get("trusted") is False)
        able = params.capabilities
        watched = able.workspace and able.workspace.did_change_watched_files
        self.watches = bool(watched and watched.dynamic_registration)
        self.shows = bool(able.window and able.window.work_done_progress)
        named = [folder.uri for folder in params.workspace_folders or ()] or [params.root_uri or ""]
        paths = [to_fs_path(uri) for uri in named if uri]
        self.add([Path(path) for path in paths if path] or ([self._root] if self._root else []))

    def add(self, roots: Sequence[Path]) -> None:
        """Serve ROOTS too; what is no folder is left out."""
        for root in roots:
            try:
                methods = self._open_root(root)
            except CodesearchError as error:
                self._tell(str(error), lsp.MessageType.Warning)
                continue
            if methods.root in self.folders:
                continue
            methods.initialize({"protocolVersion": PROTOCOL_VERSION, "trusted": self.trusted})
            methods.listen(Reporter(None, Shown(self).take).listen)
            self.folders[methods.root] = methods
            methods.load()
            methods.warm_up()

    def remove(self, uris: Sequence[str]) -> None:
        """Serve no longer what these name."""
        for uri in uris:
            path = to_fs_path(uri)
            methods = self.folders.pop(Path(path).resolve(), None) if path else None
            if methods is not None:
                self._work.submit(methods.close)

    def nudge(self, uris: Sequence[str]) -> None:
        """Refresh the indexes of the folders that these are in."""
        for methods in list(self.folders.values()):
            if any((path := to_fs_path(uri)) and _holds(methods, path) for uri in uris):
                methods.nudge()

    def end(self) -> None:
        """Stop what is under way."""
        for methods in self.folders.values():
            methods.close()
        self._questions.shutdown(wait=False, cancel_futures=True)
        self._work.shutdown(wait=False, cancel_futures=True)

    def chosen(self, params: Object) -> Methods:
        """Return what answers PARAMS, and take the root out of them: the one named, or that of a path, or the first."""
        if not self.folders:
            raise UsageError("no folder is open. Open one, or start `codesearch lsp --root FOLDER`.")
        named = params.pop("root", None)
        if named is not None:
            found = self.folders.get(Path(named).resolve()) if "\0" not in text("root", named) else None
            if found is None:
                raise ParamsError(f"root is none of the open folders: {', '.join(map(str, self.folders))}")
            return found
        path = params.get("path")
        if isinstance(path, str):
            for methods in self.folders.values():
                if _holds(methods, path):
                    return methods
        return next(iter(self.folders.values()))

    def report_server_error(self, error: Exception, source: object) -> None:
        """Leave it at the answer to the request: by default every error pops up in the editor, too."""

    async def verb(self, name: str, params: object) -> Object:
        """Carry out a verb; an error is one of JSON-RPC."""
        given: object = {} if params is None else _plain(params)
        stop = threading.Event()

        def check() -> None:
            if stop.is_set():
                raise CancelledError("cancelled")

        try:
            if not isinstance(given, dict):
                raise ParamsError("the parameters are to be an object, by name")
            methods = self.chosen(given)
            pool = self._work if name in _SLOW else self._questions
            reporter = Reporter(None, Shown(self, stop).take)
            try:
                loop = asyncio.get_running_loop()
                return await loop.run_in_executor(pool, methods.call, name, given, reporter.listen, check)
            finally:
                reporter.end()
        except asyncio.CancelledError:
            stop.set()
            raise
        except Exception as error:
            said = explained(error)
            raise JsonRpcException(said.whole, said.code, said.object()["data"]) from error

    async def symbols(self, query: str) -> list[lsp.SymbolInformation]:
        """Return what answers QUERY in all folders, best first."""
        if not query.strip():
            return []
        folders = list(self.folders.values())
        limit = {"query": query, "limit": _SYMBOLS, "answer": False}
        asked = (self.verb("ask", {**limit, "root": str(methods.root)}) for methods in folders)
        answers = await asyncio.gather(*asked)
        found = [
            [_symbol(methods.called, result) for result in answer["results"]]
            for methods, answer in zip(folders, answers, strict=True)
        ]
        return [one for rank in zip_longest(*found) for one in rank if one is not None][:_SYMBOLS]

    async def command(self, name: str, arguments: Sequence[object]) -> Object:  # type: ignore[override]
        """Carry out a command; what is related to a line is also shown in a message, for want of a better place."""
        said = await self.verb(name, arguments[0] if arguments else None)
        if name == "related":
            places = [
                f"{one['relation']}: {one['path']}:{one['start_line']} {one['symbol']}" for one in said["related"]
            ]
            subject = said["symbol"] or said["path"]
            heading = f"related to {subject}:" if places else f"nothing here is related to {subject}"
            self._tell("\n".join([heading, *places]), lsp.MessageType.Info)
        return said

    def _tell(self, message: str, kind: lsp.MessageType) -> None:
        self.window_show_message(lsp.ShowMessageParams(kind, message))


def make(open_root: Callable[[Path], Methods], root: Path | None) -> Server:
    """Return a server with all its features."""
    server = Server(open_root, root)

    @server.feature(lsp.INITIALIZE)
    def initialize(ls: Server, params: lsp.InitializeParams) -> None:
        ls.begin(params)

    @server.feature(lsp.INITIALIZED)
    async def initialized(ls: Server, _: lsp.InitializedParams) -> None:
        if ls.watches:
            every = lsp.DidChangeWatchedFilesRegistrationOptions([lsp.FileSystemWatcher("**/*")])
            wanted = lsp.Registration("codesearch-files", lsp.WORKSPACE_DID_CHANGE_WATCHED_FILES, every)
            await ls.client_register_capability_async(lsp.RegistrationParams([wanted]))

    @server.feature(lsp.WORKSPACE_SYMBOL)
    async def symbol(ls: Server, params: lsp.WorkspaceSymbolParams) -> list[lsp.SymbolInformation]:
        return await ls.symbols(params.query)

    @server.feature(lsp.TEXT_DOCUMENT_DID_SAVE)
    def saved(ls: Server, params: lsp.DidSaveTextDocumentParams) -> None:
        ls.nudge([params.text_document.uri])

    @server.feature(lsp.WORKSPACE_DID_CHANGE_WATCHED_FILES)
    def changed(ls: Server, params: lsp.DidChangeWatchedFilesParams) -> None:
        ls.nudge([change.uri for change in params.changes])

    @server.feature(lsp.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS)
    def folders(ls: Server, params: lsp.DidChangeWorkspaceFoldersParams) -> None:
        ls.remove([folder.uri for folder in params.event.removed])
        paths = (to_fs_path(folder.uri) for folder in params.event.added)
        ls.add([Path(path) for path in paths if path])

    @server.feature(lsp.TEXT_DOCUMENT_CODE_ACTION)
    def actions(ls: Server, params: lsp.CodeActionParams) -> list[lsp.Command]:
        path = to_fs_path(params.text_document.uri)
        if not path or not any(_holds(methods, path) for methods in ls.folders.values()):
            return []
        wanted = {"path": path, "line": params.range.start.line + 1}
        return [lsp.Command("Related code", "codesearch.related", arguments=[wanted])]

    for name in _VERBS:
        _offer(server, name)
    return server


def _offer(server: Server, name: str) -> None:
    async def request(ls: Server, params: object) -> Object:
        return await ls.verb(name, params)

    async def command(ls: Server, *arguments: Any) -> Object:
        return await ls.command(name, arguments)

    server.feature(f"codesearch/{name}")(request)
    server.protocol.fm.command(f"codesearch.{name}")(command)


def serve(open_root: Callable[[Path], Methods], root: Path | None) -> None:
    """Serve an editor over standard input and output until it ends."""
    # A traceback for each request that is refused, cancelled twice or has another's id: a client that does not read
    # standard error would soon be waited for.
    for name in ("pygls", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    source, sink = take_streams()
    server = make(open_root, root)
    try:
        server.start_io(cast(BinaryIO, _Bounded(source)), sink)
    finally:
        server.end()


class _Bounded:
    """Standard input without messages that are too large: the conversation ends with one."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source

    def readline(self) -> bytes:
        return self._source.readline(_LONGEST_LINE)  # the rest of a longer one comes as lines that say nothing

    def read(self, size: int) -> bytes:
        if size <= _LARGEST:
            return self._source.read(size)
        print(f"codesearch: a message has {size:,} bytes; the conversation ends", file=sys.stderr)
        return b""


def _symbol(root: Path, result: Object) -> lsp.SymbolInformation:
    first, last = result["start_line"] - 1, result["end_line"]
    place = lsp.Location((root / result["path"]).as_uri(), lsp.Range(lsp.Position(first, 0), lsp.Position(last, 0)))
    name = result["symbol"] or f"{result['path']}:{first + 1}"
    return lsp.SymbolInformation(place, name, _KINDS[Kind(result["kind"])], container_name=result["path"])


def _holds(methods: Methods, path: str) -> bool:
    return any(Path(path).is_relative_to(root) for root in (methods.root, methods.called))


def _plain(said: Any) -> Any:
    """Return as plain data what pygls has made objects of."""
    if hasattr(said, "_asdict"):
        return {name: _plain(value) for name, value in said._asdict().items()}
    if isinstance(said, dict):
        return {name: _plain(value) for name, value in said.items()}
    if isinstance(said, (list, tuple)):
        return [_plain(one) for one in said]
    return said
