"""A server of git's own protocol that holds the first who asks, so that a test knows: a worker is at work, now."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from pathlib import Path
from queue import SimpleQueue


class Holding:
    """Serves one repository at `url`; the first connection is held, and never answered."""

    def __init__(self, repository: Path) -> None:
        self._repository = repository
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"git://127.0.0.1:{self._listener.getsockname()[1]}/held"
        self.held: SimpleQueue[tuple[str, int]] = SimpleQueue()
        """Address of whoever is held."""
        self._open: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, peer = self._listener.accept()
            except OSError:
                return
            if self._open:
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()
            else:
                self._open.append(connection)
                self.held.put(peer)

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            size = int(connection.recv(4, socket.MSG_WAITALL), 16)
            words = connection.recv(size - 4, socket.MSG_WAITALL).split(b"\0")
            version = next((word[8:].decode() for word in words if word.startswith(b"version=")), "0")
            command = ["git", "upload-pack", "--strict", str(self._repository / ".git")]
            environment = {**os.environ, "GIT_PROTOCOL": f"version={version}"}
            subprocess.run(command, stdin=connection, stdout=connection, env=environment, check=False)

    def close(self) -> None:
        self._listener.close()
        for connection in self._open:
            connection.close()


def worker_of(peer: tuple[str, int]) -> int:
    """Return the process that Ray started, of which git's at the address PEER is a child."""
    import psutil

    process = next(
        psutil.Process(found.pid)
        for found in psutil.net_connections("tcp4")
        if found.pid and found.laddr and tuple(found.laddr) == peer
    )
    while not process.name().startswith("ray::"):
        process = process.parent()
        assert process is not None, "git was not started by a worker"
    return int(process.pid)
