"""JSON-RPC over the warm server's socket, as another program speaks it."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

from codesearch.server import protocol
from codesearch.server.protocol import Place
from tests.rpc.conftest import Object


class Socket:
    """Asks the server that is met at a place; a connection a request."""

    def __init__(self, root: Path, runtime: str) -> None:
        self.place = Place.of_folder(str(root), "", "")
        name = Path(self.place.socket).name
        self.path = str(Path(runtime) / "codesearch" / name)

    def connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(30)
        try:
            connection.connect(self.path)
        except BaseException:
            connection.close()
            raise
        return connection

    def raw(self, text: str) -> list[Object]:
        """Return all that is said to a message."""
        with self.connect() as connection:
            frame = {"do": protocol.RPC, "token": "", "request": text}
            protocol.send(connection, protocol.REQUEST, json.dumps(frame).encode())
            said = b""
            while (got := protocol.receive(connection))[0] != protocol.EXIT:
                assert got[0] in (protocol.ALIVE, protocol.OUT), got
                said += got[1]
        return [json.loads(line) for line in said.splitlines()]

    def request(self, method: str, params: Any = None) -> Object:
        """Return the response to one request."""
        said: Object = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        return self.raw(json.dumps(said))[-1]
