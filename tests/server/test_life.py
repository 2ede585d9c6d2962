"""How a server is started, found, replaced and ended, and that no answer is lost over it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

import codesearch
from tests.server.conftest import Server, alive, processes


def test_the_first_question_starts_one_and_stop_ends_it(fresh: Server) -> None:
    assert fresh.command("serve", "--status").returncode == 1
    assert fresh.ask("cart").returncode == 0
    pid = fresh.up()
    said = fresh.command("serve", "--status")
    assert said.returncode == 0 and str(pid) in said.stdout
    stopped = fresh.command("serve", "--stop")
    assert (stopped.returncode, stopped.stdout) == (0, "") and "stopped" in stopped.stderr
    fresh.wait(lambda: not alive(pid))
    assert fresh.command("serve", "--stop").returncode == 1
    assert not list(fresh.runtime.glob("*.sock.*"))


def test_none_is_started_that_is_not_wanted(fresh: Server) -> None:
    assert fresh.ask("cart", CODESEARCH_NO_SERVER="1").returncode == 0
    assert fresh.ask("cart", "--no-server").returncode == 0
    time.sleep(0.3)
    assert not processes(fresh.root)


def test_two_first_questions_at_once_start_one_server(fresh: Server) -> None:
    done = []
    threads = [threading.Thread(target=lambda: done.append(fresh.ask("cart"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.returncode for one in done] == [0, 0] and done[0].stdout == done[1].stdout
    fresh.up()
    fresh.wait(lambda: len(processes(fresh.root)) == 1)


def test_one_killed_in_the_middle_of_an_answer_loses_nothing_and_is_replaced(
    fresh: Server, script: str, surroundings: dict[str, str], cart: str
) -> None:
    pid = fresh.start()
    os.kill(pid, signal.SIGSTOP)  # so that the client is sure to be in the middle
    client = subprocess.Popen(
        [script, "ask", "cart"],
        cwd=fresh.root,
        env=surroundings,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(0.5)
    assert client.poll() is None
    os.kill(pid, signal.SIGKILL)
    stdout, stderr = client.communicate(timeout=60)
    assert (client.returncode, stdout, stderr) == (0, cart, "")
    fresh.wait(lambda: processes(fresh.root) not in ([], [pid]))


def test_one_that_hangs_is_noticed_and_replaced(fresh: Server, cart: str) -> None:
    pid = fresh.start()
    os.kill(pid, signal.SIGSTOP)
    done = fresh.ask("cart")
    assert (done.returncode, done.stdout) == (0, cart)
    fresh.wait(lambda: processes(fresh.root) not in ([], [pid]) and not alive(pid))
    fresh.up()
    assert fresh.ask("cart").stdout == cart
    assert fresh.answered() == 1


def test_one_of_another_version_is_replaced(fresh: Server, tmp_path: Path) -> None:
    pid = fresh.start()
    # Another version for the client: a copy of the package, changed.
    package = tmp_path / "other" / "codesearch"
    shutil.copytree(Path(codesearch.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "__init__.py").write_text((package / "__init__.py").read_text().replace("0.1.0", "0.1.1"))
    environment = {name: value for name, value in os.environ.items() if name != "CODESEARCH_NO_SERVER"}
    environment |= {"PYTHONPATH": str(package.parent), "XDG_RUNTIME_DIR": str(fresh.runtime.parent)}
    done = subprocess.run(
        [sys.executable, "-m", "codesearch.cli", "ask", "cart"],
        cwd=fresh.root,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0 and "shop/cart.py" in done.stdout
    fresh.wait(lambda: processes(fresh.root) not in ([], [pid]) and not alive(pid))


def test_it_ends_when_idle_and_when_its_index_is_gone(fresh: Server) -> None:
    assert fresh.launch(CODESEARCH_SERVER_IDLE="1s").wait(90) == 0
    pid = fresh.start()
    shutil.rmtree(fresh.root / ".codesearch")
    fresh.wait(lambda: not alive(pid))


@pytest.mark.parametrize("wrong", ["open to others", "a link"])
def test_a_folder_that_others_can_enter_is_refused(fresh: Server, tmp_path: Path, wrong: str) -> None:
    runtime = tmp_path / "run"
    runtime.mkdir(mode=0o700)
    folder = runtime / "codesearch"
    if wrong == "a link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        folder.symlink_to(tmp_path / "elsewhere")
    else:
        folder.mkdir()
        folder.chmod(0o755)
    assert fresh.ask("cart", XDG_RUNTIME_DIR=str(runtime)).returncode == 0
    time.sleep(0.5)
    assert not processes(fresh.root)
    assert fresh.command("serve", XDG_RUNTIME_DIR=str(runtime)).returncode == 2


@pytest.mark.parametrize(
    "sent",
    [
        struct.pack(">cI", b"R", 1 << 31),
        struct.pack(">cI", b"R", 4) + b"{}{}",
        struct.pack(">cI", b"R", 2) + b"[]",
        struct.pack(">cI", b"?", 2) + b"{}",
        b"GET / HTTP/1.1\r\n\r\n",
        struct.pack(">cI", b"R", 15) + b'{"do":"command"',
    ],
    ids=["oversized", "garbage", "no object", "another kind", "http", "cut short"],
)
def test_a_hostile_message_ends_its_connection_and_nothing_else(served: Server, sent: bytes) -> None:
    [place] = [
        path
        for path in served.runtime.glob("*.json")
        if str(served.status()["pid"]) in path.read_text() and path.with_suffix(".sock").exists()
    ]
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(place.with_suffix(".sock")))
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        with suppress(ConnectionResetError):  # it did not read to the end
            assert connection.recv(1 << 16) in (b"", b"A\0\0\0\0")
    assert served.ask("cart").returncode == 0


def test_without_unix_sockets_there_is_a_port_and_a_token(fresh: Server, tmp_path: Path, cart: str) -> None:
    runtime = tmp_path / ("long" * 30)  # too long a path for a unix socket
    runtime.mkdir(mode=0o700)
    inside = {"XDG_RUNTIME_DIR": str(runtime)}
    assert fresh.ask("cart", **inside).stdout == cart
    fresh.wait(lambda: fresh.command("serve", "--status", **inside).returncode == 0)
    done = fresh.ask("cart", **inside)
    assert (done.returncode, done.stdout, done.stderr) == (0, cart, "")
    assert "answered  1" in fresh.command("serve", "--status", **inside).stdout
    [facts] = (runtime / "codesearch").glob("*.json")
    assert facts.stat().st_mode & 0o777 == 0o600
    facts.write_text(facts.read_text().replace('"token": "', '"token": "x'))
    assert fresh.command("serve", "--status", **inside).returncode == 1
    assert fresh.ask("cart", **inside).stdout == cart
