"""The asking side: finds the server, hands it what was typed, and gives back what it says. Standard library only.

This runs before anything else of the program is imported, and only ever saves time: whatever is unusual, missing, old,
slow or broken is answered by None, and the command runs in this process as it would without a server. Nothing is
written before the server has said that its answer is complete, except progress on a terminal, so an answer that breaks
off is made here from the beginning.
"""

# ruff: noqa: PTH100, PTH109, PTH111, PTH112, PTH117
# Paths are strings here: pathlib costs 6 ms of the 40 that a warm answer takes.

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from contextlib import suppress
from typing import Any, Final

from codesearch import nearest
from codesearch.server import protocol
from codesearch.server.protocol import Place, ProtocolError

_COMMANDS: Final = frozenset({"ask", "related", "status"})
_UNUSUAL: Final = ("--help", "-h", "--batch", "--no-server")
"""Options whose commands run here: there is nothing to gain, or standard input is theirs."""
_ACCEPT: Final = 3.0
"""Seconds until the first sign of life; a server that is merely busy gives it in milliseconds."""
_SILENCE: Final = 10.0
"""Seconds without a sign of life, which comes every second, after which a server counts as hung."""
_MOST: Final = 64 << 20
"""Bytes of an answer that are held back until it is complete."""


class Client:
    """One command on its way to the server."""

    def __init__(self, argv: list[str]) -> None:
        self.place: Place | None = None
        self.start = False
        """Whether a server should be started, once the command is done."""
        self.replace = False
        """Whether it takes the place of one that is older or hangs."""
        self._argv = argv
        self._served: list[str] = []
        """What a server is told to serve."""
        if not argv or argv[0] not in _COMMANDS or _switched_off() or _asked(argv, *_UNUSUAL):
            return
        # A relative place is another one to the server, which stands elsewhere.
        places = filter(None, (os.environ.get("CODESEARCH_HOME"), os.environ.get("CODESEARCH_CONFIG")))
        if not all(os.path.isabs(os.path.expanduser(place)) for place in places):
            return
        with suppress(OSError):  # one stands in a folder that is gone
            if store := _value(argv, "--store"):
                self._of_store(store, _values(argv, "--visibility"), _value(argv, "--allow"))
            else:
                self._of_folder(_value(argv, "--root"), _value(argv, "--index-dir"))

    def _of_folder(self, typed: str, index_dir: str) -> None:
        home = os.environ.get("CODESEARCH_HOME", "")
        root = os.path.realpath(typed or ".")
        if not typed and not index_dir:
            root = nearest.indexed(root, home)
        if os.path.isdir(root):
            index_dir = os.path.abspath(index_dir) if index_dir else ""
            self.place = Place.of_folder(root, index_dir, home)
            self._served = ["--root", root, *(["--index-dir", index_dir] if index_dir else [])]

    def _of_store(self, store: str, visibility: list[str], allow: str) -> None:
        # A question to a store takes long enough for these to be loaded.
        from pathlib import Path

        from codesearch.errors import UsageError
        from codesearch.fleet.access import access
        from codesearch.fleet.address import address

        stands = Path.cwd()
        file = stands / allow if allow else None
        try:
            uri = address(store, stands)
            self.place = Place.of_store(uri, access(visibility, file).said)
        except UsageError:  # which the command says
            return
        shown = [word for name in visibility for word in ("--visibility", name)]
        self._served = ["--store", uri, *shown, *(["--allow", str(file)] if file else [])]

    def run(self) -> int | None:
        """Let the server answer; return the exit code, or None where the command has to run here."""
        if self.place is None:
            return None
        if not self.place.trusted():
            self.start = not self.place.exists()
            return None
        try:
            connection, token = self.place.connect(_ACCEPT)
        except TimeoutError:
            self.start = self.replace = True
            return None
        except OSError:
            self.start = True
            return None
        said: list[tuple[bytes, bytes]] = []
        try:
            with connection:
                code = self._exchange(connection, token, said)
        except (OSError, ProtocolError, ValueError, AttributeError) as error:  # the last: a stream that is closed
            # A server that crashed has left its lock, one that hangs still holds it.
            self.start = True
            self.replace = isinstance(error, TimeoutError)
            return None
        if code is not None:
            for kind, text in said:
                _write(kind, text)
        return code

    def _exchange(self, connection: socket.socket, token: str, held: list[tuple[bytes, bytes]]) -> int | None:
        """Send the command; return its exit code and add to HELD what it prints, or return None if it is declined."""
        request = {
            "do": protocol.COMMAND,
            "token": token,
            "code": protocol.fingerprint(),
            "argv": self._argv,
            "cwd": os.getcwd(),
            "environ": dict(os.environ),
            "stdout": _facts(sys.stdout),
            "stderr": _facts(sys.stderr),
            "size": _size(),
        }
        said = json.dumps(request).encode("ascii")
        if len(said) > protocol.MAX_REQUEST:
            return None
        protocol.send(connection, protocol.REQUEST, said)
        size = 0
        progress = sys.stderr.isatty()
        while True:
            kind, payload = protocol.receive(connection)
            connection.settimeout(_SILENCE)
            if kind == protocol.ALIVE:
                continue
            if kind == protocol.DECLINE:
                self.start = self.replace = payload.decode("ascii", "replace") == protocol.OTHER_CODE
                return None
            if kind == protocol.EXIT:
                return int(payload)
            if kind == protocol.ERR and progress and not held:
                _write(kind, payload)
                continue
            size += len(payload)
            if kind not in (protocol.OUT, protocol.ERR) or size > _MOST:
                raise ProtocolError("an answer that is none")
            held.append((kind, payload))

    def start_server(self) -> None:
        """Start the server in the background, detached from this terminal and from its pipes."""
        import subprocess

        # -P: whatever lies in the folder that one stands in is not imported.
        command = [sys.executable, "-P", "-m", "codesearch.server", *self._served]
        if self.replace:
            command += ["--replace"]
        options: dict[str, Any] = {"start_new_session": True}
        if os.name == "nt":
            options = {"creationflags": 0x00000008 | 0x08000000}  # DETACHED_PROCESS, CREATE_NO_WINDOW
        nothing = subprocess.DEVNULL
        try:
            process = subprocess.Popen(command, stdin=nothing, stdout=nothing, stderr=nothing, cwd=os.sep, **options)
        except OSError:
            return
        process.returncode = 0  # it outlives us; without this Python warns that it does


def run(argv: list[str]) -> tuple[Client, int | None]:
    """Let a server answer ARGV; return the client, and the exit code or None where nothing was answered."""
    client = Client(argv)
    if client.place is None:
        return client, None
    before = signal.getsignal(signal.SIGTERM)
    if before is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _terminate)
    try:
        return client, client.run()
    except BrokenPipeError:
        # The reader has seen enough. What is left in the buffer goes nowhere; Python would try once more, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return client, 0
    except KeyboardInterrupt:
        return client, _interrupted(130)
    except _TerminatedError:
        return client, _interrupted(143)
    finally:
        signal.signal(signal.SIGTERM, before)


def control(place: Place, do: str) -> dict[str, Any] | None:
    """Ask the server at PLACE for its STATUS, or to STOP; return what it says, or None where none answers."""
    if not place.trusted():
        return None
    try:
        connection, token = place.connect(_ACCEPT)
        with connection:
            protocol.send(connection, protocol.REQUEST, json.dumps({"do": do, "token": token}).encode("ascii"))
            said: dict[str, Any] = {}
            while (frame := protocol.receive(connection))[0] != protocol.EXIT:
                if frame[0] == protocol.OUT:
                    said = json.loads(frame[1])
            return said
    except (OSError, ProtocolError, ValueError):
        return None


class _TerminatedError(BaseException):
    """SIGTERM came."""


def _terminate(*_: object) -> None:
    raise _TerminatedError


def _interrupted(code: int) -> int:
    print("codesearch: interrupted; what is indexed stays, and the same command goes on from there", file=sys.stderr)
    return code


def _switched_off() -> bool:
    return os.environ.get("CODESEARCH_NO_SERVER", "").strip().lower() not in ("", "0", "false", "no", "off")


def _asked(argv: list[str], *options: str) -> bool:
    return any(word == option or word.startswith(option + "=") for word in argv for option in options)


def _value(argv: list[str], option: str) -> str:
    """Return the last value of OPTION; where this reads ARGV otherwise than the command does, the server notices."""
    return next(reversed(_values(argv, option)), "")


def _values(argv: list[str], option: str) -> list[str]:
    values = []
    for at, word in enumerate(argv):
        if word == "--":
            break
        if word == option and at + 1 < len(argv):
            values.append(argv[at + 1])
        elif word.startswith(option + "="):
            values.append(word[len(option) + 1 :])
    return values


def _facts(stream: Any) -> dict[str, Any]:
    return {"tty": stream.isatty(), "encoding": stream.encoding}


def _size() -> tuple[int, int]:
    """Return columns and lines of the terminal, 0 and 0 where there is none."""
    for descriptor in (0, 1, 2):
        try:
            return tuple(os.get_terminal_size(descriptor))  # type: ignore[return-value]
        except OSError:
            continue
    return 0, 0


def _write(kind: bytes, text: bytes) -> None:
    stream = sys.stdout if kind == protocol.OUT else sys.stderr
    stream.buffer.write(text)
    stream.buffer.flush()
