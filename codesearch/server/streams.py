"""What a request writes to, and the line to its client that carries it."""

from __future__ import annotations

import io
import select
import socket
import sys
import threading
from collections.abc import Mapping
from typing import Any, Final, TextIO, cast

from codesearch.cli.surroundings import here
from codesearch.server import protocol

_SEND: Final = 30.0
"""Seconds for a client to take what it is sent."""


class Line:
    """The connection to one client."""

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(_SEND)
        self._connection = connection
        self._sending = threading.Lock()
        self.gone = False

    def send(self, kind: bytes, payload: bytes = b"") -> None:
        """Send a frame; raise BrokenPipeError where nobody takes it."""
        self.check()
        try:
            with self._sending:
                protocol.send(self._connection, kind, payload)
        except OSError as error:
            self.gone = True
            raise BrokenPipeError from error

    def pulse(self) -> None:
        """Give a sign of life, unless the client has others to read still."""
        if not self._sending.acquire(blocking=False):
            return
        try:
            if select.select((), (self._connection,), (), 0)[1]:
                protocol.send(self._connection, protocol.ALIVE)
        except (OSError, ValueError):
            self.gone = True
        finally:
            self._sending.release()

    def check(self) -> None:
        """Raise BrokenPipeError where the client has gone."""
        if self.gone:
            raise BrokenPipeError


class _Sink(io.RawIOBase):
    """What is written to it goes to the client, as a frame of one kind."""

    def __init__(self, line: Line, kind: bytes, tty: bool) -> None:
        self._line = line
        self._kind = kind
        self._tty = tty

    def writable(self) -> bool:
        """It is."""
        return True

    def isatty(self) -> bool:
        """Tell whether the client's is a terminal."""
        return self._tty

    def write(self, data: Any) -> int:
        """Send what is written."""
        said = bytes(data)
        for start in range(0, len(said), protocol.MAX_FRAME):
            self._line.send(self._kind, said[start : start + protocol.MAX_FRAME])
        return len(said)


def stream(line: Line, kind: bytes, facts: Mapping[str, Any]) -> TextIO:
    """Return a text stream to the client that behaves as the client's own."""
    tty = bool(facts["tty"])
    sink = io.BufferedWriter(_Sink(line, kind, tty))
    return io.TextIOWrapper(
        sink, str(facts["encoding"]), errors="backslashreplace", line_buffering=tty or kind == protocol.ERR
    )


class Dispatched(io.TextIOBase):
    """Stands for `sys.stdout` or `sys.stderr`: leads to the request that the thread works on, or to the log."""

    def __init__(self, name: str, otherwise: TextIO) -> None:
        self._name = name
        self._otherwise = otherwise

    def _its(self) -> TextIO:
        its: object = getattr(here(), self._name)
        return self._otherwise if its is self else cast(TextIO, its)

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The client's."""
        return self._its().encoding

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, text: str) -> int:
        """Send what is written."""
        return self._its().write(text)

    def flush(self) -> None:
        """Send what is held back."""
        self._its().flush()

    def isatty(self) -> bool:
        """Tell whether the client's is a terminal."""
        return self._its().isatty()

    def fileno(self) -> int:
        """Return what there may be."""
        return self._its().fileno()


def dispatch(log: TextIO) -> None:
    """Make `sys.stdout` and `sys.stderr` those of the request that a thread works on, or else LOG."""
    sys.stdout = Dispatched("stdout", log)
    sys.stderr = Dispatched("stderr", log)
