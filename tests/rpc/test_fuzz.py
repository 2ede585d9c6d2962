"""Thousands of messages that nobody in his senses would send: no crash, no hang, no word from outside the root.

FUZZ=10000 python -m pytest tests/rpc/test_fuzz.py sends so many each way; without, what a minute has room for.
"""

from __future__ import annotations

import json
import os
import random
import resource
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from codesearch.server.methods import Methods
from codesearch.server.rpc import MOST_BYTES, Conversation
from tests.cli.conftest import write
from tests.rpc.conftest import Object, Starts, until
from tests.rpc.sock import Socket

FUZZ = int(os.environ.get("FUZZ", "0"))
"""Messages each way, or 0 for the few that are sent by default."""
SECRET = "zanzibar_launch_code"
METHODS = ["ask", "related", "explain", "status", "index", "adapt", "open-at", "initialize", "nothing", "", "__class__"]
NAMES = ["query", "limit", "paths", "path", "line", "globs", "types", "kinds", "tests", "minScore", "rebuild", "root"]
ODD: list[Any] = [
    *(None, True, False, 0, -1, 1, 5, 2**31, 2**63, 10**400, 1.5, -0.0, 1e308),
    *("", " ", "cart", "\0", "\ud800", "é" * 50, "x" * 30_000, "../" * 40, "..", "/", "/etc/passwd", "~", "$HOME"),
    *("out/secret.py", "out", "loop", "../secret.py", "shop/cart.py", "C:\\Windows", "file:///etc/passwd", "[", "!"),
    *([], {}, [[]], {"a": {}}, ["cart"], ["../secret.py"], ["out"], [1], {"id": 1}, [None] * 200),
]


@pytest.fixture(scope="module")
def trap(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with ways out of it: a secret beside it, a link to that, a link to itself."""
    folder = tmp_path_factory.mktemp("trap")
    root = write(folder / "shop").resolve()
    (folder / "secret.py").write_text(f"def {SECRET}():\n    return 1234\n")
    (root / "out").symlink_to(folder)
    (root / "loop").symlink_to(root)
    return root


def value(dice: random.Random, depth: int = 0) -> Any:
    if depth < 3 and dice.random() < 0.2:
        if dice.random() < 0.5:
            return [value(dice, depth + 1) for _ in range(dice.randrange(4))]
        return {dice.choice(NAMES): value(dice, depth + 1) for _ in range(dice.randrange(4))}
    return dice.choice(ODD)


def message(dice: random.Random) -> bytes:
    """Return one that is wrong in some way, or not quite."""
    params: Any
    kind = dice.random()
    if kind < 0.1:
        return dice.randbytes(dice.randrange(200))
    if kind < 0.15:
        return b"[" * dice.randrange(1, 3000)
    if kind < 0.2:
        return json.dumps(value(dice)).encode()
    if kind < 0.23:
        good = [("ask", {"query": "cart"}), ("open-at", {"path": "shop/cart.py"}), ("status", {})]
        method, params = dice.choice(good)
        return json.dumps({"jsonrpc": "2.0", "id": dice.randrange(9999), "method": method, "params": params}).encode()
    params = {dice.choice(NAMES): value(dice) for _ in range(dice.randrange(5))}
    if dice.random() < 0.5:
        params["query"] = dice.choice(("cart", SECRET, "../secret.py:1"))
    if dice.random() < 0.05:
        params = value(dice)
    said: Object = {"jsonrpc": "2.0", "method": dice.choice(METHODS), "params": params}
    if dice.random() < 0.9:
        said["id"] = dice.randrange(50) if dice.random() < 0.9 else value(dice)
    if dice.random() < 0.1:
        said = {"jsonrpc": "2.0", "method": "$/cancelRequest", "params": {"id": dice.choice([value(dice), 1, 2, 3])}}
    if dice.random() < 0.05:
        said[dice.choice(("jsonrpc", "method", "id", "result", "error"))] = value(dice)
    text = json.dumps(said).encode()
    if dice.random() < 0.1:
        at = dice.randrange(len(text))
        text = text[:at] + dice.randbytes(dice.randrange(4)) + text[at + dice.randrange(3) :]
    return text


def framed(dice: random.Random, text: bytes) -> bytes:
    """Return TEXT with a header that may be strange, but says the right length if any."""
    kind = dice.random()
    if kind < 0.02:
        return dice.choice(
            (b"\r\n", b"\n\n", b"Content-Length: -5\r\n\r\n", b"Content-Length: 9e9\r\n\r\n", b"x" * 5000 + b"\r\n\r\n")
        )
    if kind < 0.1:
        return b"content-LENGTH:%d\nContent-Type: x\n\n%b" % (len(text), text)
    return b"Content-Length: %d\r\n\r\n%b" % (len(text), text)


def test_ten_thousand_messages_to_the_methods(trap: Path) -> None:
    methods = Methods(trap)
    methods.initialize({"protocolVersion": 1, "trusted": False})
    said: list[bytes] = []
    conversation = Conversation(methods, said.append)
    conversation.initialized = True
    for seed in range(10_000):
        dice = random.Random(seed)
        conversation.receive(message(dice))
        if seed % 50 == 0:  # so that not all are refused because there are too many
            until(lambda: len(conversation._waiting) < 100)
    until(lambda: not conversation._waiting)
    assert not conversation.ended
    check(json.loads(one) for one in said)
    conversation.close()
    methods.close()


def check(answers: Iterator[Object]) -> None:
    """Assert that all are answers, most are refusals, and none tells of what is outside."""
    codes: dict[int, int] = {}
    results = 0
    for answer in answers:
        if "result" in answer:
            results += 1
            text = json.dumps(answer["result"])
            # The question itself is repeated; a path, or the code, would be an answer.
            assert not any(word in text for word in ("1234", f"def {SECRET}", "root:", "etc/passwd"))
        elif "error" in answer:
            error = answer["error"]
            assert isinstance(error["message"], str) and set(error["data"]) == {"kind", "advice"}
            assert error["code"] != -32603, answer
            codes[error["code"]] = codes.get(error["code"], 0) + 1
    assert results > 10 and {-32700, -32600, -32601, -32602} <= set(codes), (results, codes)


def test_thousands_of_messages_over_a_pipe(trap: Path, start: Starts) -> None:
    client = start(trap, trusted=False)
    answers: list[Object] = []

    def listen() -> None:
        while True:
            said = client.receive()
            answers.append(said)
            if said.get("id") == "last":
                return

    thread = threading.Thread(target=listen)
    thread.start()
    dice = random.Random(7)
    for number in range(FUZZ or 2500):
        text = message(dice)
        if b'"shutdown"' in text or b'"exit"' in text:
            continue
        client.into.write(framed(dice, text))
        if number % 250 == 249:  # lest all are refused because there are too many
            client.send("open-at", {"path": "shop/cart.py"}, f"so far {number}")
            until(lambda number=number: any(one.get("id") == f"so far {number}" for one in answers))
        if number % 500 == 250:
            client.into.write(b"Content-Length: %d\r\n\r\n" % (MOST_BYTES + 1) + b" " * (MOST_BYTES + 1))
    client.into.flush()
    client.send("open-at", {"path": "shop/cart.py"}, "last")
    thread.join(60 + FUZZ)
    assert not thread.is_alive() and client.process.poll() is None
    check(iter(answers))
    assert any("4,194,305 bytes" in one.get("error", {}).get("message", "") for one in answers)
    assert client.result("ask", query="cart")["results"]
    client.into.write(b"Content-Length: 100\r\n\r\nhalf")
    client.into.flush()
    assert client.end() == 0


def test_hundreds_of_messages_to_the_language_server(trap: Path, start: Starts) -> None:
    client = start(trap, initialize=False, speaks="lsp")
    client.result("initialize", capabilities={}, rootUri=trap.as_uri(), processId=None)
    client.send("initialized", {})
    dice = random.Random(3)
    for number in range(FUZZ or 400):
        text = message(dice)
        for verb in ("ask", "related", "explain", "status", "index", "open-at"):
            text = text.replace(f'"{verb}"'.encode(), f'"codesearch/{verb}"'.encode())
        if text and not any(word in text for word in (b"initialize", b"adapt")):
            client.write(text)
        if number % 100 == 99:
            client.send("codesearch/open-at", {"path": "shop/cart.py"}, f"so far {number}")
            client.wait(f"so far {number}")
    assert client.process.poll() is None
    client.send("codesearch/ask", {"query": "cart"}, "last")
    assert client.wait("last")["result"]["results"]
    said = json.dumps([answer for answer in client.answers.values() if "result" in answer])
    assert "1234" not in said and "etc/passwd" not in said
    client.into.close()
    assert client.process.wait(20) == 0 and client.errors.read() == b""


def test_hundreds_of_messages_to_the_server_of_agents(trap: Path, surroundings: dict[str, str]) -> None:
    agent = Agent(trap, surroundings)
    dice = random.Random(5)
    for number in range(FUZZ or 400):
        text = message(dice).replace(b"\n", b" ")
        kind = dice.random()
        if kind < 0.5:
            arguments = {dice.choice((*NAMES, "max_tokens")): value(dice) for _ in range(dice.randrange(4))}
            params = {"name": dice.choice(("search", "related", "", "eval")), "arguments": arguments}
            said = {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params}
            text = json.dumps(said).encode()
        agent.into.write(text + b"\n")
        agent.into.flush()
        if number % 50 == 49:
            agent.search("cart", f"so far {number}")
    while "shop/cart.py:" not in (found := agent.search("cart", "last")):
        assert "Ask again" in found, found
    assert agent.process.poll() is None
    answers = json.dumps([one["result"] for one in agent.said if "result" in one])
    assert not any(word in answers for word in ("1234", f"def {SECRET}", "root:x", "/etc/passwd:"))
    assert agent.end() == (0, b"")


@pytest.mark.parametrize("speaks", ["mcp", "lsp"])
def test_what_is_too_long_ends_the_conversation_and_not_the_memory(
    speaks: str, trap: Path, surroundings: dict[str, str]
) -> None:
    agent = Agent(trap, surroundings, speaks)
    with suppress(BrokenPipeError):  # it has seen enough
        if speaks == "lsp":
            agent.into.write(b"x" * 5_000_000 + b"\r\nContent-Length: 99999999999\r\n\r\n")
        for _ in range(1000 if speaks == "mcp" else 1):
            agent.into.write(b"[" * (1 << 20))
        agent.into.flush()
    code, said = agent.end()
    assert code == 0 and b"the conversation ends" in said and b"Traceback" not in said
    assert agent.peak < 1_000_000


class Agent:
    """A process that is spoken to as no client would: what it says is kept as it comes."""

    def __init__(self, root: Path, surroundings: dict[str, str], speaks: str = "mcp") -> None:
        command = [sys.executable, "-P", "-m", "codesearch.cli", speaks, "--root", str(root)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, env=surroundings, cwd="/", stdin=pipe, stdout=pipe, stderr=pipe)
        assert self.process.stdin and self.process.stdout and self.process.stderr
        self.into, self._out, self._errors = self.process.stdin, self.process.stdout, self.process.stderr
        self.said: list[Object] = []
        self.peak = 0
        """Kilobytes that it had at most, when it has ended."""
        if speaks == "mcp":
            hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}
            self._request("initialize", hello, "hello")
            self.into.write(b'{"jsonrpc": "2.0", "method": "notifications/initialized"}\n')
            self.into.flush()

    def _request(self, method: str, params: Object, id_: str) -> Object:
        self.into.write(json.dumps({"jsonrpc": "2.0", "id": id_, "method": method, "params": params}).encode() + b"\n")
        self.into.flush()
        while True:
            said: Object = json.loads(self._out.readline())
            self.said.append(said)
            if said.get("id") == id_ and "method" not in said:
                return said

    def search(self, query: str, id_: str) -> str:
        said = self._request("tools/call", {"name": "search", "arguments": {"query": query}}, id_)
        text: str = said["result"]["content"][0]["text"]
        return text

    def end(self) -> tuple[int, bytes]:
        """Close the pipe; return the exit code and what was complained of."""
        with suppress(BrokenPipeError):
            self.into.close()
        self._out.close()
        errors = self._errors.read()
        self._errors.close()
        _, status, used = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        # A child's account begins with what its parent had when it was forked, which is the whole suite.
        self.peak = used.ru_maxrss if used.ru_maxrss > resource.getrusage(resource.RUSAGE_SELF).ru_maxrss else 0
        return self.process.returncode, errors


@pytest.fixture(scope="module")
def served(trap: Path, surroundings: dict[str, str]) -> Iterator[Socket]:
    command = [sys.executable, "-P", "-m", "codesearch.server", "--root", str(trap)]
    process = subprocess.Popen(command, env=surroundings, cwd="/", stderr=subprocess.DEVNULL)
    client = Socket(trap, surroundings["XDG_RUNTIME_DIR"])

    def up() -> bool:
        try:
            client.connect().close()
        except OSError:
            return False
        return True

    until(up)
    yield client
    assert process.poll() is None, "it is still there"
    process.terminate()
    process.wait(20)


def test_thousands_of_messages_over_the_socket(served: Socket) -> None:
    wrong: list[str] = []
    heard: list[Object] = []

    def client(seed: int) -> None:
        dice = random.Random(seed)
        for _ in range(FUZZ // 8 or 250):
            try:
                kind = dice.random()
                if kind < 0.6:
                    text = message(dice).decode("latin-1")
                    if '"adapt"' not in text and '"stop"' not in text:
                        heard.extend(served.raw(text))
                    continue
                with served.connect() as connection:
                    if kind < 0.7:
                        connection.sendall(dice.randbytes(dice.randrange(300)))
                    elif kind < 0.8:
                        connection.sendall(b"R" + struct.pack(">I", dice.choice(((1 << 20) + 1, 1 << 31))))
                    elif kind < 0.9:
                        frame = json.dumps({"do": dice.choice(("rpc", "x", None)), "request": value(dice)}).encode()
                        connection.sendall(b"R" + struct.pack(">I", len(frame)) + frame)
                    connection.shutdown(socket.SHUT_RDWR)
            except (BrokenPipeError, ConnectionResetError):
                pass
            except Exception as error:
                wrong.append(repr(error))

    threads = [threading.Thread(target=client, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60 + FUZZ)
    assert not any(thread.is_alive() for thread in threads) and not wrong, wrong[:3]
    check(iter(heard))
    assert served.request("ask", {"query": "cart"})["result"]["results"]
