"""A repository that a server may serve, and the command as a person runs it, with servers allowed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from codesearch.workspace import Workspace
from tests.cli.conftest import Command, codesearch, script, write  # noqa: F401
from tests.conftest import SPEAKS, new_home


@pytest.fixture(scope="session")
def surroundings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment that says nothing, where servers may be started; all that were are ended at last."""
    said = {name: value for name, value in os.environ.items() if not name.startswith(SPEAKS)}
    # Short: the path of a unix socket has some hundred bytes at most.
    runtime = tmp_path_factory.mktemp("r")
    runtime.chmod(0o700)
    return said | {
        "HOME": str(new_home(tmp_path_factory)),
        "GIT_CONFIG_SYSTEM": os.devnull,
        "XDG_RUNTIME_DIR": str(runtime),
        "OMP_NUM_THREADS": "1",
    }


def indexed(root: Path) -> Path:
    """Write the repository to ROOT and index it, in this process: that is faster ten times over than the command."""
    write(root)
    with Workspace.open(root) as workspace:
        for _ in workspace.index():
            pass
    return root


class Server:
    """What a test does with the server of one folder."""

    def __init__(self, root: Path, command: Command, environment: dict[str, str]) -> None:
        self.root = root
        self.environment = environment
        self.runtime = Path(environment["XDG_RUNTIME_DIR"]) / "codesearch"
        self.started: list[subprocess.Popen[bytes]] = []
        self._command = command

    def ask(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return self._command("ask", *arguments, cwd=self.root, **environment)

    def command(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return self._command(*arguments, cwd=self.root, **environment)

    def status(self) -> dict[str, object]:
        said: dict[str, object] = json.loads(self.command("serve", "--status", "--json").stdout)
        return said

    def start(self) -> int:
        """Start the server and wait until it answers; return its process."""
        self.launch()
        return self.up()

    def launch(self, **environment: str) -> subprocess.Popen[bytes]:
        """Start the server as a client does."""
        command = [sys.executable, "-P", "-m", "codesearch.server", "--root", str(self.root.resolve())]
        process = subprocess.Popen(command, env=self.environment | environment, cwd="/", stderr=subprocess.DEVNULL)
        self.started.append(process)
        return process

    def answered(self) -> int:
        said = self.status()
        return int(str(said["answered"])) if said["running"] else -1

    def up(self) -> int:
        """Wait until the server runs; return its process."""
        self.wait(lambda: bool(self.status()["running"]))
        return int(str(self.status()["pid"]))

    def end(self) -> None:
        for pid in processes(self.root):
            os.kill(pid, signal.SIGKILL)
        for process in self.started:
            process.wait(10)

    @staticmethod
    def wait(true: Callable[[], bool], seconds: float = 90) -> None:
        deadline = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < deadline, "in vain"
            time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def processes(root: Path) -> list[int]:
    """Return the servers of ROOT that run."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"codesearch.server" in words and os.fsencode(root.resolve()) in words and alive(int(process.name)):
            found.append(int(process.name))
    return found


@pytest.fixture(scope="session")
def served(
    tmp_path_factory: pytest.TempPathFactory,
    codesearch: Command,  # noqa: F811
    surroundings: dict[str, str],
) -> Iterator[Server]:
    """A repository whose server runs."""
    root = indexed(tmp_path_factory.mktemp("s") / "shop")
    server = Server(root, codesearch, surroundings)
    try:
        server.start()
        yield server
    finally:
        server.end()


@pytest.fixture
def fresh(
    tmp_path: Path,
    codesearch: Command,  # noqa: F811
    surroundings: dict[str, str],
) -> Iterator[Server]:
    """An indexed repository without a server."""
    root = indexed(tmp_path / "shop")
    server = Server(root, codesearch, surroundings)
    try:
        yield server
    finally:
        server.end()


@pytest.fixture(scope="session")
def cart(served: Server) -> str:
    """What the question `cart` prints, with a server and without."""
    done = served.ask("cart")
    assert done.returncode == 0
    return done.stdout
