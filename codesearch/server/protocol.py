"""What client and server agree on: where they meet, who may, and how bytes are framed. Standard library only.

They meet in a folder of this user alone (0700): `<name>.sock`, or where there are no unix sockets, or the path is too
long for one, a port of the loopback interface. `<name>.json` (0600) says the server's process, and for a port its
number and the token that a client must show; `<name>.lock` is held as long as the server lives. The name stands for the
workspace: its root and where its index was said to be; or for a store and what may be seen of it.

A client sends one frame, a JSON object, and gets frames back until `EXIT` or `DECLINE`: five bytes of kind and length,
then the payload. Anything longer than the bounds here ends the connection.
"""

from __future__ import annotations

import json
import os
import socket
import stat
import struct
import zlib
from hashlib import blake2b
from typing import TYPE_CHECKING

import codesearch

if TYPE_CHECKING:
    from typing import Self

REQUEST = b"R"
ALIVE = b"A"
"""Sent at once, and every second while there is nothing else to send."""
OUT = b"O"
ERR = b"E"
EXIT = b"X"
"""The answer is complete; the payload is the exit code."""
DECLINE = b"D"
"""The server does not answer this; the payload says why, in a word."""

OTHER_CODE = "code"
"""The reason of a server that runs other code than the client, and is to be replaced."""

STOP = "stop"
STATUS = "status"
COMMAND = "command"
RPC = "rpc"
"""A request of extensions/PROTOCOL.md, in the field `request`; what comes back is lines of JSON, in frames of OUT."""

MAX_REQUEST = 1 << 20
"""Bytes of a request; arguments and environment together are some kilobytes."""
MAX_FRAME = 1 << 20
"""Bytes of a frame of an answer."""
PULSE = 1.0
"""Seconds between two signs of life."""

_HEAD = struct.Struct(">cI")
_LONGEST_ADDRESS = 100
"""Bytes of a path that a unix socket can be bound to; 104 on some systems, 108 on others."""


class ProtocolError(Exception):
    """The other side does not keep to the protocol, or has gone."""


def send(connection: socket.socket, kind: bytes, payload: bytes = b"") -> None:
    """Send one frame."""
    connection.sendall(_HEAD.pack(kind, len(payload)) + payload)


def receive(connection: socket.socket, limit: int = MAX_FRAME) -> tuple[bytes, bytes]:
    """Return kind and payload of the next frame; raise ProtocolError where none of at most LIMIT bytes comes."""
    kind, length = _HEAD.unpack(_exactly(connection, _HEAD.size))
    if length > limit:
        raise ProtocolError(f"a frame of {length} bytes")
    return kind, _exactly(connection, length)


def _exactly(connection: socket.socket, size: int) -> bytes:
    parts = []
    while size:
        part = connection.recv(min(size, 1 << 16))
        if not part:
            raise ProtocolError("the other side has gone")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


class Place:
    """Where the server of one workspace is met, or that of one store for one access."""

    def __init__(self, *said: str) -> None:
        """Use `of_folder` or `of_store`."""
        name = blake2b(os.fsencode("\0".join(said)), digest_size=10).hexdigest()
        self.folder = _folder()
        self.base = os.path.join(self.folder, name)
        self.socket = self.base + ".sock"
        self.facts = self.base + ".json"
        self.lock = self.base + ".lock"

    @classmethod
    def of_folder(cls, root: str, index_dir: str, home: str) -> Self:
        """ROOT is a real path; INDEX_DIR what was typed, made absolute, and HOME `CODESEARCH_HOME`, each or empty."""
        return cls(root, index_dir, home)

    @classmethod
    def of_store(cls, uri: str, access: str) -> Self:
        """ACCESS is as `Access.said` has it: who may see something else meets another server."""
        return cls("", uri, access)  # no root is empty

    @property
    def unix(self) -> bool:
        """Whether a unix socket will do."""
        return hasattr(socket, "AF_UNIX") and len(os.fsencode(self.socket)) <= _LONGEST_ADDRESS

    def trusted(self) -> bool:
        """Tell whether the folder is this user's and nobody else can look into it; a missing one is not."""
        try:
            status = os.lstat(self.folder)
        except OSError:
            return False
        if not stat.S_ISDIR(status.st_mode):
            return False
        return os.name == "nt" or (status.st_uid == os.geteuid() and not status.st_mode & 0o077)

    def exists(self) -> bool:
        """Tell whether anything is where the folder would be."""
        return os.path.lexists(self.folder)

    def read(self) -> dict[str, object]:
        """Return the server's facts, or nothing where there are none."""
        try:
            with open(self.facts, encoding="ascii") as file:  # noqa: PTH123
                said = json.loads(file.read(1 << 16))
        except (OSError, ValueError):
            return {}
        return said if isinstance(said, dict) else {}

    def connect(self, timeout: float) -> tuple[socket.socket, str]:
        """Return a connection to the server, and the token to show.

        Raises:
            OSError: there is no server, or it does not accept within TIMEOUT seconds.
        """
        facts = {} if self.unix else self.read()
        if self.unix:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        elif isinstance(facts.get("port"), int):
            connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        else:
            raise FileNotFoundError(self.facts)
        try:
            connection.settimeout(timeout)
            connection.connect(self.socket if self.unix else ("127.0.0.1", facts["port"]))
        except BaseException:
            connection.close()
            raise
        return connection, str(facts.get("token", ""))


def _folder() -> str:
    """Return the folder of sockets: below XDG_RUNTIME_DIR where that is set, else among temporary files, by user."""
    # ruff: noqa: PTH118
    environ = os.environ
    if os.name == "nt":
        return os.path.join(environ.get("LOCALAPPDATA") or environ.get("TEMP") or ".", "codesearch", "run")
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    if runtime.startswith("/") and os.access(runtime, os.W_OK):
        return os.path.join(runtime, "codesearch")
    return os.path.join(environ.get("TMPDIR") or "/tmp", f"codesearch-{os.getuid()}")


def fingerprint() -> str:
    """Return what changes when the program does: its version, its place, and the dates of all its files."""
    package = os.path.dirname(os.path.abspath(codesearch.__file__))  # noqa: PTH100, PTH120
    seen: list[tuple[str, int, int]] = []
    folders = [package]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if entry.name != "__pycache__":
                        folders.append(entry.path)
                else:
                    status = entry.stat()
                    seen.append((entry.path, status.st_mtime_ns, status.st_size))
    seen.sort()
    return f"{codesearch.__version__}-{zlib.crc32(repr(seen).encode('utf-8', 'surrogateescape')):08x}"
