"""One indexed repository for all, and a client that speaks to a server over pipes as an editor does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from codesearch.workspace import Workspace
from tests.cli.conftest import script, write  # noqa: F401
from tests.conftest import SPEAKS, new_home

Object = dict[str, Any]


@pytest.fixture(scope="session")
def surroundings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    said = {name: value for name, value in os.environ.items() if not name.startswith(SPEAKS)}
    runtime = tmp_path_factory.mktemp("r")
    runtime.chmod(0o700)
    return said | {
        "HOME": str(new_home(tmp_path_factory)),
        "GIT_CONFIG_SYSTEM": os.devnull,
        "XDG_RUNTIME_DIR": str(runtime),
        "OMP_NUM_THREADS": "1",
    }


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An indexed repository that no test changes."""
    root = write(tmp_path_factory.mktemp("rpc") / "shop")
    with Workspace.open(root) as workspace:
        for _ in workspace.index():
            pass
    return root.resolve()


class Client:
    """The other end of `codesearch serve --stdio`."""

    def __init__(self, root: Path, surroundings: dict[str, str], *arguments: str, speaks: str = "serve") -> None:
        about = [] if "--store" in arguments else ["--root", str(root)]
        words = [speaks, *(["--stdio"] if speaks == "serve" else []), *about, *arguments]
        command = [sys.executable, "-P", "-m", "codesearch.cli", *words]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=surroundings, cwd="/"
        )
        assert self.process.stdin and self.process.stdout and self.process.stderr
        self.out, self.into, self.errors = self.process.stdout, self.process.stdin, self.process.stderr
        self.told: list[Object] = []
        """Notifications, in order."""
        self.answers: dict[int | str, Object] = {}
        self._number = 0
        # A test that waits in vain fails with this instead of waiting for ever.
        self._watch = threading.Timer(100 + int(os.environ.get("FUZZ", "0")), self.process.kill)
        self._watch.daemon = True
        self._watch.start()

    def write(self, text: bytes) -> None:
        self.into.write(b"Content-Length: %d\r\n\r\n%b" % (len(text), text))
        self.into.flush()

    def send(self, method: str, params: Object | None = None, id_: int | str | None = None) -> None:
        said: Object = {"jsonrpc": "2.0", "method": method}
        if id_ is not None:
            said["id"] = id_
        self.write(json.dumps(said if params is None else said | {"params": params}).encode())

    def receive(self) -> Object:
        """Return the next message."""
        length = 0
        while line := self.out.readline().strip():
            name, _, value = line.partition(b": ")
            length = int(value) if name == b"Content-Length" else length
        assert length, "the server has gone"
        said: Object = json.loads(self.out.read(length))
        assert said["jsonrpc"] == "2.0"
        return said

    def wait(self, id_: int | str) -> Object:
        """Return the response with ID_; what comes before it is kept."""
        while id_ not in self.answers:
            said = self.receive()
            if "method" in said:
                self.told.append(said)
            else:
                answered = said.get("id")  # pygls leaves out one that is null
                self.answers[answered if isinstance(answered, (int, str)) else json.dumps(answered)] = said
        return self.answers.pop(id_)

    def request(self, method: str, **params: Any) -> Object:
        """Return the response to one request."""
        self._number += 1
        self.send(method, params, self._number)
        return self.wait(self._number)

    def result(self, method: str, **params: Any) -> Object:
        said = self.request(method, **params)
        assert "error" not in said, said
        found: Object = said["result"]
        return found

    def error(self, method: str, **params: Any) -> Object:
        found: Object = self.request(method, **params)["error"]
        return found

    def end(self) -> int:
        """Close the pipes; return the exit code."""
        self._watch.cancel()
        self.into.close()
        code = self.process.wait(20)
        self.out.close()
        self.errors.close()
        return code


Starts = Callable[..., Client]


@pytest.fixture
def start(surroundings: dict[str, str]) -> Iterator[Starts]:
    """Start servers; those that a test leaves are ended."""
    started: list[Client] = []

    def begin(root: Path, *arguments: str, initialize: bool = True, speaks: str = "serve", **said: Any) -> Client:
        client = Client(root, surroundings, *arguments, speaks=speaks)
        started.append(client)
        if initialize:
            client.result("initialize", protocolVersion=1, **said)
        return client

    yield begin
    for client in started:
        if client.process.poll() is None:
            client.process.kill()
            client.process.wait(20)
        for stream in (client.into, client.out, client.errors):
            if not stream.closed:
                with suppress(BrokenPipeError):
                    stream.close()


def until(true: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "in vain"
        time.sleep(0.02)
