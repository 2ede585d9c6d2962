"""The recorded conversations in extensions/ are what the server says; UPDATE_GOLDENS=1 records them anew."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import write
from tests.rpc.conftest import Object, Starts

FOLDER = Path(__file__).parents[2] / "extensions/conversations"
HELLO = ("initialize", {"protocolVersion": 1, "clientInfo": {"name": "test", "version": "1"}})
CONVERSATIONS: dict[str, tuple[str, bool, list[tuple[str, Object | None]]]] = {
    "ask": (
        "A question, the sum behind it, what belongs to a result, and where to open it; the index is there.",
        True,
        [
            HELLO,
            ("ask", {"query": "retry a failed call", "limit": 2}),
            ("ask", {"query": "cart", "paths": ["shop"], "types": ["py"], "kinds": ["method"], "tests": False}),
            ("ask", {"query": "xyzzy plugh frobnicate"}),
            ("explain", {"query": "cart total", "limit": 1}),
            ("related", {"path": "shop/cart.py", "line": 5, "limit": 1}),
            ("open-at", {"path": "shop/cart.py", "line": 11}),
            ("status", {}),
            ("shutdown", None),
        ],
    ),
    "first-index": (
        "A folder that nobody has indexed: progress, then what was done, then nothing left to do.",
        False,
        [HELLO, ("status", {}), ("index", {}), ("index", {}), ("ask", {"query": "cart", "limit": 1}), ("status", {})],
    ),
    "untrusted": (
        "A folder that is not trusted: it answers, and learns nothing.",
        True,
        [
            ("initialize", {"protocolVersion": 1, "trusted": False}),
            ("index", {}),
            ("ask", {"query": "cart", "limit": 1}),
            ("adapt", {}),
        ],
    ),
    "errors": (
        "What is refused, and how.",
        True,
        [
            ("ask", {"query": "too early"}),
            ("initialize", {"protocolVersion": 2}),
            HELLO,
            HELLO,
            ("ask", {}),
            ("ask", {"query": " "}),
            ("ask", {"query": "cart", "limit": 0}),
            ("ask", {"query": "cart", "colour": "red"}),
            ("ask", {"query": "cart", "types": ["klingon"]}),
            ("ask", {"query": "cart", "paths": ["../.."]}),
            ("related", {"path": "shop/cart.py", "line": 4000}),
            ("related", {"path": "nothing.py", "line": 1}),
            ("open-at", {"path": "/etc/passwd"}),
            ("adapt", {"budget": "a while"}),
            ("invent", {}),
            ("shutdown", None),
            ("ask", {"query": "too late"}),
        ],
    ),
}
VARY = {"ms", "seconds", "bytes", "date"}
"""Fields that are another each time, and zero in a recording."""


def still(said: Any, root: str) -> Any:
    """Return SAID without what is another each time."""
    if isinstance(said, dict):
        return {name: 0 if name in VARY else still(value, root) for name, value in said.items()}
    if isinstance(said, list):
        return [still(one, root) for one in said]
    if isinstance(said, str):
        return said.replace(root, "ROOT")
    return said


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_the_server_says_what_is_recorded(
    name: str, shop: Path, start: Starts, tmp_path: Path, surroundings: dict[str, str]
) -> None:
    about, indexed, requests = CONVERSATIONS[name]
    root = shop if indexed else write(tmp_path / "shop").resolve()
    client = start(root, initialize=False)
    messages: list[Object] = []

    def keep(side: str, message: Object) -> None:
        text = json.dumps(still(message, str(root))).replace(surroundings["HOME"], "HOME")
        messages.append({"from": side, "message": json.loads(text)})

    for number, (method, params) in enumerate(requests, 1):
        said: Object = {"jsonrpc": "2.0", "id": number, "method": method}
        keep("client", said if params is None else said | {"params": params})
        client.send(method, params, number)
        before = len(client.told)
        answer = client.wait(number)
        for told in client.told[before:]:
            keep("server", told)
        keep("server", answer)
    keep("client", {"jsonrpc": "2.0", "method": "exit"})
    client.send("exit")
    assert client.end() == 0
    file = FOLDER / f"{name}.json"
    if os.environ.get("UPDATE_GOLDENS"):
        file.parent.mkdir(exist_ok=True)
        said = {"about": about, "messages": messages}
        file.write_text(json.dumps(said, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    recorded = json.loads(file.read_text(encoding="utf-8"))
    assert quiet(recorded["messages"], indexed) == quiet(messages, indexed), "UPDATE_GOLDENS=1 records it anew"


def quiet(messages: list[Object], indexed: bool) -> list[Object]:
    """Return MESSAGES with, of progress, the beginning alone: how much of the rest there is, is a matter of speed.

    Where all is INDEXED before, none of it: files that are a moment old are looked at once more, or are not any more.
    """
    kept = set() if indexed else {"begin"}
    return [
        one
        for one in messages
        if one["message"].get("method") != "progress" or one["message"]["params"]["kind"] in kept
    ]


def test_what_editors_read_is_complete() -> None:
    assert {file.stem for file in FOLDER.glob("*.json")} == set(CONVERSATIONS)


def test_no_error_says_its_advice_twice() -> None:
    said = [one["message"] for file in FOLDER.glob("*.json") for one in json.loads(file.read_text())["messages"]]
    errors = [message["error"] for message in said if "error" in message]
    advised = [error for error in errors if error["data"]["advice"]]
    assert advised and all(error["data"]["advice"] not in error["message"] for error in advised)
