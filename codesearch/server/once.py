"""One JSON-RPC request over the warm server's socket: the same methods, a connection a request.

The answer comes as lines of JSON: `progress` notifications, then the response. Closing the connection cancels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codesearch.server import protocol
from codesearch.server.indexing import CancelledError
from codesearch.server.reporting import Reporter
from codesearch.server.rpc import INVALID, UNKNOWN, RpcError, explained, parsed, written

if TYPE_CHECKING:
    from codesearch.server.streams import Line
    from codesearch.server.verbs import Verbs


def answer(line: Line, request: object, methods: Verbs) -> bool:
    """Answer REQUEST, the text of a message, on LINE; return whether it went well."""

    def send(message: dict[str, Any]) -> None:
        text = written(message) + b"\n"
        for start in range(0, len(text), protocol.MAX_FRAME):
            line.send(protocol.OUT, text[start : start + protocol.MAX_FRAME])

    def check() -> None:
        if line.gone:
            raise CancelledError("cancelled")

    id_: object = None
    try:
        said = parsed(str(request).encode("utf-8", "replace"))
        id_, method = said.get("id"), said.get("method")
        if isinstance(id_, bool) or not isinstance(id_, (str, int)) or not isinstance(method, str):
            id_ = None
            raise RpcError(INVALID, "request", "a request has an id, a string or a whole number, and a method")
        if method == "initialize":
            result = methods.initialize(said.get("params"))
        elif method in methods.names:
            reporter = Reporter(id_, lambda params: send({"method": "progress", "params": params}))
            try:
                result = methods.call(method, said.get("params"), reporter.listen, check)
            finally:
                reporter.end()
        else:
            known = ", ".join(sorted(methods.names))
            raise RpcError(UNKNOWN, "method", f"there is no method {method[:40]!r}", f"Known are: {known}.")
    except BrokenPipeError:
        raise
    except Exception as error:
        send({"id": id_, "error": explained(error).object()})
        return False
    send({"id": id_, "result": result})
    return True
