"""A server's life: questions while it indexes, cancelling, being killed, folders that are hostile or not trusted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.cli.conftest import write
from tests.rpc.conftest import Starts, until

FUNCTION = "def step_{0}(value):\n    '''Do step {0} of the work.'''\n    return value + {0}\n\n\n"
FUNCTIONS = "".join(map(FUNCTION.format, range(60)))


def many(root: Path, files: int = 120) -> Path:
    """Write so much that indexing takes a second or more."""
    return write(root, {f"part{n}/m{n}.py": FUNCTIONS.replace("step", f"step{n}") for n in range(files)}).resolve()


def test_questions_are_answered_while_the_first_index_is_built_and_it_goes_on(tmp_path: Path, start: Starts) -> None:
    client = start(many(tmp_path / "many"))
    began = time.monotonic()
    said = client.result("ask", query="step7_3")
    took = time.monotonic() - began
    assert took < 3, took  # 2 s, and something for a machine that others use
    shares = [said["indexed"]]
    while said["indexed"] < 1 or said["state"] != "fresh":
        assert said["state"] in ("missing", "files") and time.monotonic() - began < 60
        said = client.result("ask", query="step7_3")
        shares.append(said["indexed"])
    assert shares == sorted(shares)
    assert said["results"][0]["path"] == "part7/m7.py"
    goes_on = [one for one in client.told if one["params"]["id"] is None]
    assert len(shares) == 1 or goes_on[0]["params"]["kind"] == "begin"
    assert client.result("status")["indexing"] is False


def test_indexing_never_stands_in_a_questions_way_and_can_be_cancelled(tmp_path: Path, start: Starts) -> None:
    client = start(many(tmp_path / "many"))
    client.result("index")
    client.send("index", {"rebuild": True}, "slow")
    client.send("open-at", {"path": "part7/m7.py", "line": 3}, "quick")
    client.send("ask", {"query": "step7_3"}, "question")
    began = time.monotonic()
    assert client.wait("quick")["result"]["line"] == 3
    answer = client.wait("question")["result"]
    assert time.monotonic() - began < 3 and answer["results"][0]["path"] == "part7/m7.py"
    client.send("$/cancelRequest", {"id": "slow"})
    said = client.wait("slow")
    assert "result" in said or said["error"]["code"] == -32800
    kinds = [one["params"]["kind"] for one in client.told if one["params"]["id"] == "slow"]
    assert kinds[0] == "begin" and kinds[-1] == "end"
    assert client.result("ask", query="step7_3")["results"][0]["path"] == "part7/m7.py"


def test_a_question_that_waits_can_be_cancelled(tmp_path: Path, start: Starts) -> None:
    client = start(many(tmp_path / "many", 40))
    for number in range(20):
        client.send("ask", {"query": f"step{number}"}, number + 100)
    for number in range(20):
        client.send("$/cancelRequest", {"id": number + 100})
    answered = {}
    while len(answered) < 20:
        said = client.receive()
        if "method" not in said:
            answered[said["id"]] = said.get("error", {}).get("code")
    assert list(answered.values()).count(-32800) >= 18


def test_a_killed_server_is_started_anew_and_goes_on(tmp_path: Path, start: Starts) -> None:
    root = many(tmp_path / "many")
    client = start(root)
    client.send("index", {}, "slow")
    until(lambda: client.receive().get("method") == "progress")
    os.kill(client.process.pid, signal.SIGKILL)
    assert client.process.wait(10) == -signal.SIGKILL
    again = start(root)
    done = again.result("index")
    assert done["files"] == 120
    assert again.result("ask", query="step7_3")["results"][0]["path"] == "part7/m7.py"


@pytest.mark.parametrize("how", ["the pipe is closed", "SIGTERM"])
def test_it_ends_soon_and_quietly(how: str, tmp_path: Path, start: Starts) -> None:
    client = start(many(tmp_path / "many"))
    client.send("index", {}, "slow")
    client.receive()
    if how == "SIGTERM":
        client.process.terminate()
    else:
        client.into.close()
    errors = client.errors.read()
    assert client.process.wait(15) == (143 if how == "SIGTERM" else 0)
    assert b"Traceback" not in errors


def test_a_folder_that_is_not_trusted_is_searched_and_left_as_it_is(
    tmp_path: Path, start: Starts, surroundings: dict[str, str]
) -> None:
    root = write(tmp_path / "shop").resolve()
    before = sorted(root.rglob("*"))
    client = start(root, trusted=False)
    assert client.result("index")["files"] == 4
    assert client.result("ask", query="cart")["results"]
    assert client.error("adapt")["data"]["kind"] == "untrusted"
    where = client.result("status")["index"]
    assert where.startswith(surroundings["HOME"])
    assert sorted(root.rglob("*")) == before
    inside = start(root, "--index-dir", str(root / "mine"), trusted=False)
    assert inside.result("index")["files"] == 4
    assert sorted(root.rglob("*")) == before


def test_what_a_repository_holds_is_neither_run_nor_followed(tmp_path: Path, start: Starts, script: str) -> None:
    ran = tmp_path / "ran"
    evil = f"open({str(ran)!r}, 'a').write(__name__)\n"
    # Enough for worker processes.
    root = write(tmp_path / "many", {f"part{n % 9}/m{n}.py": FUNCTION.format(n) for n in range(320)}).resolve()
    write(root, {f"{name}.py": evil for name in ("json", "lancedb", "typer", "numpy", "sitecustomize")})
    write(root, {"multiprocessing/__init__.py": evil, "codesearch/__init__.py": evil})
    secret = tmp_path / "secret.py"
    secret.write_text("x = 1\n")
    (root / "link.py").symlink_to(secret)
    (root / "folder").symlink_to(tmp_path)
    client = start(root)
    client.end()
    given = {name: value for name, value in os.environ.items() if name != "CODESEARCH_NO_SERVER"}
    process = subprocess.Popen(
        [script, "serve", "--stdio"], cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=given
    )
    client.process, client.into, client.out = process, process.stdin, process.stdout  # type: ignore[assignment]
    client.result("initialize", protocolVersion=1)
    assert client.result("index")["files"] >= 320
    for path in ("link.py", "folder/secret.py", "../secret.py", str(secret), "", "part1", "nothing.py", "a\0b"):
        assert client.error("open-at", path=path)["code"] in (-32602, -32010), path
    assert client.error("related", path="folder/secret.py", line=1)["code"] == -32010
    assert client.error("ask", query="x", paths=["folder"])["code"] == -32010
    assert client.result("open-at", path=str(root / "json.py")) == {"path": str(root / "json.py"), "line": 1}
    client.into.close()
    assert process.wait(20) == 0
    client.out.close()
    assert not ran.exists(), ran.read_text()


def test_text_that_would_steer_a_terminal_is_data(tmp_path: Path, start: Starts) -> None:
    root = write(tmp_path / "shop", {"a.py": "def bell():\n    return '\x1b]0;\x07 \u202e'\n"}).resolve()
    client = start(root)
    client.result("index")
    said = client.result("ask", query="bell", minScore=0)["results"][0]["text"]
    assert "\x1b]0;" in said  # as JSON it was escaped; this is what it stands for
    assert "\\u001b" in json.dumps(said)


def test_a_root_that_is_called_by_a_link_is_known_by_both_names(shop: Path, tmp_path: Path, start: Starts) -> None:
    link = tmp_path / "link"
    link.symlink_to(shop)
    client = start(link)
    for root in (link, shop):
        assert client.result("open-at", path=str(root / "shop/cart.py"))["path"] == str(shop / "shop/cart.py")
        assert client.result("ask", query="cart", paths=[str(root / "shop")])["results"]
    assert client.error("initialize", protocolVersion=1, root="\0")["code"] == -32600


def test_a_message_that_never_ends_ends_the_conversation(shop: Path, start: Starts) -> None:
    client = start(shop)
    client.into.write(b"Content-Length: 99999999999\r\n\r\n")
    client.into.flush()
    assert client.receive()["error"]["data"]["kind"] == "size"
    assert client.process.wait(20) == 0
