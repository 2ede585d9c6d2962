"""JSON-RPC 2.0 between one client and the methods: messages in as bytes, out through `send`; no other I/O.

Questions are answered by a few threads, in any order; indexing and adapting have a thread each, so they never stand in
a question's way. `receive` neither blocks nor raises, whatever it is given: what is no request gets an error that says
why. Documented in extensions/PROTOCOL.md.
"""

from __future__ import annotations

import json
import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

from codesearch import errors
from codesearch.server.indexing import CancelledError
from codesearch.server.methods import UntrustedError
from codesearch.server.params import OutsideError, ParamsError
from codesearch.server.reporting import Reporter
from codesearch.server.verbs import Verbs

MOST_BYTES: Final = 4 << 20
"""Of a message, in either direction; a longer one is refused."""
_THREADS: Final = 2
_MOST: Final = 256
"""Requests of one client that wait or are under way; more are refused."""
_SLOW: Final = frozenset({"index", "adapt"})
_MOST_SLOW: Final = 8

PARSE, INVALID, UNKNOWN, PARAMS, INTERNAL, CANCELLED = -32700, -32600, -32601, -32602, -32603, -32800
_CODES: Final[tuple[tuple[type[Exception], int, str], ...]] = (
    (OutsideError, -32010, "outside"),
    (ParamsError, PARAMS, "params"),
    (CancelledError, CANCELLED, "cancelled"),
    (UntrustedError, -32009, "untrusted"),
    (errors.UsageError, -32001, "usage"),
    (errors.RootError, -32002, "root"),
    (errors.IndexFormatError, -32003, "index"),
    (errors.IndexBusyError, -32004, "busy"),
    (errors.StorageError, -32005, "storage"),
    (errors.BundleError, -32006, "model"),
    (errors.GitError, -32007, "git"),
    (errors.ExtraMissingError, -32008, "extra"),
    (errors.CodesearchError, -32001, "usage"),
)
_UNREADY: Final = (-32011, "uninitialized")
_FULL: Final = (-32012, "full")

log = logging.getLogger(__name__)

Object = dict[str, Any]
Id = str | int


class RpcError(Exception):
    """A request that is answered by an error: its code, its kind, and what to do about it."""

    def __init__(self, code: int, kind: str, message: str, advice: str = "") -> None:
        super().__init__(message)
        self.code, self.kind, self.advice = code, kind, advice

    def object(self) -> Object:
        """Return what is sent."""
        return {"code": self.code, "message": str(self), "data": {"kind": self.kind, "advice": self.advice}}

    @property
    def whole(self) -> str:
        """The message with the advice behind it, for clients that show one text."""
        return f"{self}. {self.advice}" if self.advice else str(self)


def explained(error: Exception) -> RpcError:
    """Return what is said of ERROR: messages of ours give advice behind their first sentence."""
    if isinstance(error, RpcError):
        return error
    for kind, code, name in _CODES:
        if isinstance(error, kind):
            message, _, advice = (str(error) or name).partition(". ")
            return RpcError(code, name, message, advice)
    log.error("a request failed", exc_info=error)
    said = f"{type(error).__name__}: {error}".splitlines()[0][:300]
    return RpcError(INTERNAL, "internal", f"this failed, and should not have: {said}", "Please report it.")


def parsed(text: bytes) -> Object:
    """Return the message that TEXT is; raise RpcError where it is none."""
    try:
        said = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise RpcError(PARSE, "parse", f"this is no JSON: {str(error)[:200]}") from error
    if isinstance(said, list):
        raise RpcError(INVALID, "request", "batches are not taken", "Send one request a message.")
    if not isinstance(said, dict) or said.get("jsonrpc") != "2.0":
        raise RpcError(INVALID, "request", 'a message is an object with "jsonrpc": "2.0"')
    return said


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def written(message: Object) -> bytes:
    """Return MESSAGE as bytes: ASCII on one line."""
    return json.dumps({"jsonrpc": "2.0"} | message, separators=(",", ":")).encode("ascii")


@dataclass(eq=False, slots=True)
class _Request:
    id: Id
    method: str
    params: object
    cancelled: threading.Event = field(default_factory=threading.Event)

    def check(self) -> None:
        if self.cancelled.is_set():
            raise CancelledError("cancelled")


class Conversation:
    """One client's."""

    def __init__(self, methods: Verbs, send: Callable[[bytes], None]) -> None:
        """Answer through SEND, which is called in any thread, for a message at a time."""
        self._methods = methods
        self._send = send
        self._sending = threading.Lock()
        self._changing = threading.Lock()
        self._waiting: dict[Id, _Request] = {}
        self._slow = 0
        self._questions: queue.SimpleQueue[_Request | None] = queue.SimpleQueue()
        self._background = Reporter(None, self._notify)
        self.initialized = False
        self.shut = False
        """Whether the client has said that it is about to end."""
        self.ended = False
        """Whether it has ended the conversation, or can not be reached."""
        methods.listen(self._background.listen)
        for number in range(_THREADS):
            threading.Thread(target=self._work, name=f"answering {number}", daemon=True).start()

    def receive(self, text: bytes) -> None:
        """Take a message; what it asks for is answered sooner or later."""
        try:
            self._take(parsed(text))
        except RpcError as error:
            self.refuse(error)

    def refuse(self, error: RpcError) -> None:
        """Answer what was no message."""
        self._post({"id": None, "error": error.object()})

    def close(self) -> None:
        """Cancel what is under way."""
        self.ended = True
        with self._changing:
            waiting = list(self._waiting.values())
        for request in waiting:
            request.cancelled.set()
        for _ in range(_THREADS):
            self._questions.put(None)

    def _take(self, said: Object) -> None:
        method, id_ = said.get("method"), said.get("id")
        if method is None and ("result" in said or "error" in said):
            return  # an answer, and nothing was asked
        if "id" in said and (isinstance(id_, bool) or not isinstance(id_, (str, int))):
            raise RpcError(INVALID, "request", "an id is a string or a whole number")
        try:
            if not isinstance(method, str):
                raise RpcError(INVALID, "request", "a method is a string")
            if "id" not in said:
                self._notified(method, said.get("params"))
            else:
                self._requested(_Request(id_, method, said.get("params")))  # type: ignore[arg-type]
        except RpcError as error:
            self._post({"id": id_, "error": error.object()})

    def _notified(self, method: str, params: object) -> None:
        if method == "exit":
            self.ended = True
        elif method == "$/cancelRequest" and isinstance(params, dict):
            id_ = params.get("id")
            request = self._waiting.get(id_) if isinstance(id_, (str, int)) else None
            if request is not None:
                request.cancelled.set()

    def _requested(self, request: _Request) -> None:
        if self.shut:
            raise RpcError(INVALID, "request", "the conversation was shut down; only exit is left")
        if request.method == "shutdown":
            self.shut = True
            self._post({"id": request.id, "result": None})
            return
        if request.method == "initialize":
            self._initialize(request)
            return
        if request.method not in self._methods.names:
            known = ", ".join(sorted(self._methods.names))
            raise RpcError(UNKNOWN, "method", f"there is no method {request.method[:40]!r}", f"Known are: {known}.")
        if not self.initialized:
            raise RpcError(*_UNREADY, "send initialize first")
        with self._changing:
            if request.id in self._waiting:
                raise RpcError(INVALID, "request", "a request with this id is under way")
            slow = request.method in _SLOW
            if len(self._waiting) >= _MOST or (slow and self._slow >= _MOST_SLOW):
                raise RpcError(*_FULL, "too many requests are under way", "Wait for some, or cancel them.")
            self._waiting[request.id] = request
            self._slow += slow
        if slow:
            threading.Thread(target=self._answer, args=(request,), name=request.method, daemon=True).start()
        else:
            self._questions.put(request)

    def _initialize(self, request: _Request) -> None:
        if self.initialized:
            raise RpcError(INVALID, "request", "initialize was sent before")
        try:
            said = self._methods.initialize(request.params)
        except Exception as error:
            raise explained(error) from error
        self.initialized = True
        self._post({"id": request.id, "result": said})
        self._methods.warm_up()

    def _work(self) -> None:
        while (request := self._questions.get()) is not None:
            self._answer(request)

    def _answer(self, request: _Request) -> None:
        reporter = Reporter(request.id, self._notify)
        reply: Object
        try:
            request.check()
            reply = {"result": self._methods.call(request.method, request.params, reporter.listen, request.check)}
            request.check()
        except Exception as error:
            reply = {"error": explained(error).object()}
        finally:
            reporter.end()
        with self._changing:
            self._waiting.pop(request.id, None)
            self._slow -= request.method in _SLOW
        self._post({"id": request.id} | reply)

    def _notify(self, params: Object) -> None:
        self._post({"method": "progress", "params": params})

    def _post(self, message: Object) -> None:
        text = written(message)
        if len(text) > MOST_BYTES:
            error = RpcError(INTERNAL, "size", "the answer has more than 4 MiB", "Ask for fewer results.")
            text = written({"id": message.get("id"), "error": error.object()})
        try:
            with self._sending:
                self._send(text)
        except (OSError, ValueError):  # nobody reads it; the latter: the stream is closed
            self.ended = True
