"""`codesearch serve --stdio`: the conversation over standard input and output, framed as LSP frames it.

Standard input and output are taken for the protocol alone: whatever else of this process or of its children reads or
prints, finds nothing there and prints to standard error.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from typing import BinaryIO, Final

from codesearch.server.rpc import INVALID, MOST_BYTES, PARSE, Conversation, RpcError
from codesearch.server.verbs import Verbs

_LONGEST_LINE: Final = 1024
"""Bytes of a line of a header."""
_MOST_SKIPPED: Final = 64 << 20
"""Bytes of a message that is refused; one of more would keep all that comes behind it waiting, and ends it all."""
_PIECE: Final = 1 << 16


class EndError(RpcError):
    """What can not be skipped."""


def serve(methods: Verbs) -> None:
    """Converse until the client ends it, or its end of the pipe is closed."""
    source, sink = take_streams()
    writing = threading.Lock()

    def send(text: bytes) -> None:
        with writing:
            sink.write(b"Content-Length: %d\r\n\r\n" % len(text) + text)
            sink.flush()

    methods.load()
    conversation = Conversation(methods, send)
    try:
        while not conversation.ended:
            try:
                text = receive(source)
            except RpcError as error:
                conversation.refuse(error)
                if isinstance(error, EndError):
                    break
                continue
            if text is None:
                break
            conversation.receive(text)
    finally:
        conversation.close()
        methods.close()


def receive(source: BinaryIO) -> bytes | None:
    """Return the next message, or None at the end; what is none is read and then refused.

    Raises:
        RpcError: a header says no length, or one of more than is taken.
    """
    length = -1
    seen = False
    while (line := _line(source)) not in (b"\r\n", b"\n"):
        if not line:
            return None
        seen = True
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            value = value.strip()
            length = int(value) if value.isdigit() and len(value) < 16 else -1
    if length < 0:
        raise RpcError(PARSE, "header", "there is no Content-Length" if seen else "there is no header")
    if length > _MOST_SKIPPED:
        raise EndError(INVALID, "size", f"a message has {length:,} bytes; the conversation ends")
    if length > MOST_BYTES:
        _pieces(source, length, lambda _: None)
        raise RpcError(INVALID, "size", f"a message has {length:,} bytes; {MOST_BYTES:,} are taken")
    parts: list[bytes] = []
    return b"".join(parts) if _pieces(source, length, parts.append) else None


def _line(source: BinaryIO) -> bytes:
    """Return the next line; of one that is too long, the beginning."""
    line = source.readline(_LONGEST_LINE)
    rest = line
    while len(rest) == _LONGEST_LINE and not rest.endswith(b"\n"):
        rest = source.readline(_LONGEST_LINE)
    return line


def _pieces(source: BinaryIO, length: int, take: Callable[[bytes], None]) -> bool:
    """Read LENGTH bytes; return whether there were so many."""
    while length:
        piece = source.read(min(length, _PIECE))
        if not piece:
            return False
        length -= len(piece)
        take(piece)
    return True


def take_streams() -> tuple[BinaryIO, BinaryIO]:
    """Return standard input and output, and leave nothing in their places."""
    source = os.fdopen(os.dup(0), "rb")
    sink = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return source, sink
