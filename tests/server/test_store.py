"""A store is answered about by a server for each access: as without one, and nothing beyond what was said."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from codesearch.fleet.access import access
from codesearch.fleet.sources import Source
from codesearch.fleet.store import FleetStore
from codesearch.server import protocol
from tests.cli.conftest import Command
from tests.cli.test_terminal import Terminal
from tests.fleet.conftest import BILLING, commit, filled
from tests.index.conftest import FILES
from tests.rpc.conftest import Client
from tests.server.conftest import Server, alive, processes

Object = dict[str, Any]
CARDS = {"cards.py": 'def charge(card):\n    """Charge the card, and write a receipt."""\n    bank(card)\n'}


class StoreServer(Server):
    """What a test does with the servers of one store, for one access: as the words in `shows` say."""

    shows: tuple[str, ...] = ()

    def showing(self, *shows: str) -> StoreServer:
        other = StoreServer(self.root, self._command, self.environment)
        other.shows, other.started = shows, self.started
        return other

    def ask(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return self.command("ask", *arguments, "--store", str(self.root), *self.shows, **environment)

    def command(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return self._command(*arguments, cwd=self.root.parent, **environment)

    def status(self) -> dict[str, object]:
        try:
            said: dict[str, object] = json.loads(self.exchange({"do": protocol.STATUS})[0])
        except OSError:
            return {"running": False}
        return said | {"running": True}

    def start(self, **environment: str) -> int:
        argv = [sys.executable, "-P", "-m", "codesearch.server", "--store", str(self.root), *self.shows]
        environ = self.environment | environment
        self.started.append(subprocess.Popen(argv, env=environ, cwd="/", stderr=subprocess.DEVNULL))
        return self.up()

    def socket(self) -> str:
        """Return where it is met."""
        visibility = [name for word, name in pairwise(self.shows) if word == "--visibility"]
        allow = next((Path(name) for word, name in pairwise(self.shows) if word == "--allow"), None)
        place = protocol.Place.of_store(str(self.root), access(visibility, allow).said)
        return str(self.runtime / Path(place.socket).name)

    def exchange(self, request: Object) -> tuple[bytes, bytes, bytes]:
        """Send REQUEST as a program of this user's may; return all that is printed, and the last frame."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(60)
            connection.connect(self.socket())
            protocol.send(connection, protocol.REQUEST, json.dumps(request).encode())
            said = b""
            while (frame := protocol.receive(connection))[0] not in (protocol.EXIT, protocol.DECLINE):
                said += frame[1]
        return said, *frame

    def typed(self, *argv: str) -> Object:
        """Return the request that a client makes of ARGV."""
        stream = {"tty": False, "encoding": "utf-8"}
        said = {"do": protocol.COMMAND, "token": "", "code": protocol.fingerprint(), "argv": argv, "size": (0, 0)}
        return {**said, "cwd": "/", "environ": self.environment, "stdout": stream, "stderr": stream}

    def request(self, method: str, **params: object) -> Object:
        said = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        out, _, _ = self.exchange({"do": protocol.RPC, "token": "", "request": json.dumps(said)})
        answer: Object = json.loads(out)
        return answer


def stored(folder: Path) -> Path:
    """Return a store of three repositories, one of them public."""
    for name, files in (("shop", FILES), ("billing", BILLING), ("cards", CARDS)):
        commit(folder / "acme" / name, files)
    fill(folder)
    return folder / "store"


def fill(folder: Path) -> int:
    """Bring the store in FOLDER up to date with the repositories there; return its version."""
    sources = [
        Source(str(folder / "acme" / name), f"acme/{name}", visibility=visibility)
        for name, visibility in (("shop", "public"), ("billing", "private"), ("cards", "private"))
    ]
    filled(str(folder / "store"), sources)
    return FleetStore.open(str(folder / "store")).version


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stored(tmp_path_factory.mktemp("fleet"))


@pytest.fixture(scope="session")
def warm(store: Path, codesearch: Command, surroundings: dict[str, str]) -> Iterator[StoreServer]:
    """A store whose server, for who may see all of it, runs."""
    server = StoreServer(store, codesearch, surroundings)
    try:
        server.start()
        yield server
    finally:
        server.end()


@pytest.fixture(scope="session")
def public(warm: StoreServer) -> StoreServer:
    """Another server of the same store, for who may see less."""
    server = warm.showing("--visibility", "public")
    server.start()
    return server


@pytest.fixture
def fresh_store(tmp_path: Path, codesearch: Command, surroundings: dict[str, str]) -> Iterator[StoreServer]:
    """A store without a server."""
    server = StoreServer(stored(tmp_path), codesearch, surroundings)
    try:
        yield server
    finally:
        server.end()


ASKED = (
    ("send the invoice by mail", "-n", "2", "--explain"),
    ("cart", "--color", "always", "-g", "*.py", "-g", "!tests/", "-C", "3"),
    ("sum of the prices", "--repository", "shop", "-t", "py", "-l"),
    ("xyzzy plugh frobnicate",),
    ("cart", "--repository", "acme/none"),
    ("cart", "-g", "[z-a]"),
    ("cart", "--wait"),
)


@pytest.mark.parametrize("arguments", ASKED, ids=" ".join)
def test_an_answer_is_the_same_with_the_server_and_without(warm: StoreServer, arguments: tuple[str, ...]) -> None:
    before = warm.answered()
    served = warm.ask(*arguments)
    alone = warm.ask(*arguments, "--no-server")
    assert (served.stdout, served.stderr, served.returncode) == (alone.stdout, alone.stderr, alone.returncode)
    assert warm.answered() == before + 1


def test_related_code_is_the_same_with_the_server_and_without(warm: StoreServer, public: StoreServer) -> None:
    before = warm.answered()
    place = ("related", "acme/shop/shop/cart.py:14", "--store", str(warm.root))
    served, alone = warm.command(*place), warm.command(*place, "--no-server")
    assert (served.stdout, served.stderr, served.returncode) == (alone.stdout, alone.stderr, alone.returncode)
    assert warm.answered() == before + 1 and served.stdout.startswith("acme/shop/")
    assert json.loads(warm.command(*place, "--json").stdout)["repository"] == "acme/shop"
    for hidden in ("acme/cards/cards.py:1", "acme/none/cards.py:1"):
        refused = public.command("related", hidden, "--store", str(warm.root), *public.shows)
        assert (refused.returncode, refused.stdout) == (2, "") and "that may be seen" in refused.stderr


def test_a_strangers_settings_in_the_folder_one_stands_in_say_nothing_of_a_store(
    warm: StoreServer, tmp_path: Path
) -> None:
    (tmp_path / ".codesearch.toml").write_text("limit = 1\nno-tests = true\n")
    asked = ("ask", "send the invoice", "-l", "--min-score", "0", "--store", str(warm.root))
    for more in ((), ("--no-server",)):
        found = warm._command(*asked, *more, cwd=tmp_path).stdout.splitlines()
        assert len(found) > 2 and "acme/billing/tests/test_invoice.py" in found


def test_json_is_the_same_but_for_the_time_it_took(warm: StoreServer) -> None:
    said = [warm.ask("charge the card", "--json", *more).stdout for more in ((), ("--no-server",))]
    served, alone = (re.sub(r'"ms": [0-9.]+', "", one) for one in said)
    assert served == alone and '"repository": "acme/cards"' in served
    told = json.loads(warm.ask("send the invoice by mail", "--json").stdout)["answer"]
    assert (told["repository"], told["line"], told["symbol"]) == ("acme/billing", 4, "send_invoice")
    assert told["says"] == "Send the invoice by mail, and remember that it was sent."


def test_a_page_on_a_terminal_is_the_same(warm: StoreServer, script: str, surroundings: dict[str, str]) -> None:
    terminal, asked = Terminal(script, surroundings), ("ask", "send the invoice by mail", "--store", str(warm.root))
    before = warm.answered()
    pages = [
        re.sub(r"in \d+ ms", "", terminal(*asked, "-n", "2", *more, cwd=warm.root.parent, COLUMNS="90"))
        for more in ((), ("--no-server",))
    ]
    assert pages[0] == pages[1] and "2 results" in pages[0] and warm.answered() == before + 1
    plain = re.sub(r"\x1b\[[\d;]*m", "", pages[0])
    assert "send_invoice is in acme/billing/billing/invoice.py:4: Send the invoice by mail" in plain


def test_the_first_question_starts_one_for_its_access_and_no_other_is_answered_by_it(
    warm: StoreServer, tmp_path: Path
) -> None:
    allow = tmp_path / "allow"
    allow.write_text("acme/billing\n")
    some = warm.showing("--allow", str(allow))
    assert some.ask("send the invoice").returncode == 0
    some.up()
    answered, others = some.answered(), warm.answered()
    assert some.ask("send the invoice").returncode == 0
    same = tmp_path / "same"
    same.write_text("# the same, in other words\n\nacme/billing  # ours\n")
    assert warm.showing("--allow", str(same)).ask("send the invoice").returncode == 0
    assert (some.answered(), warm.answered()) == (answered + 2, others)
    shown = some.command("serve", "--status", "--store", str(some.root), *some.shows)
    assert f"store     {some.root}\nshows     1 repositories by name\n" in shown.stdout
    # What the file says counts when one asks, not what it said when the server was started.
    allow.write_text("acme/cards\n")
    found = some.ask("send the invoice", "--min-score", "0", "-l", "--no-server").stdout
    assert found == some.ask("send the invoice", "--min-score", "0", "-l").stdout and "billing" not in found


def test_who_may_see_less_is_not_answered_by_the_server_of_who_may_see_all(
    warm: StoreServer, public: StoreServer
) -> None:
    before = warm.answered(), public.answered()
    asked = ("send the invoice", "-l", "--min-score", "0")
    shown = public.ask(*asked).stdout.splitlines()
    assert shown and all(line.startswith("acme/shop/") for line in shown)
    assert "acme/billing/billing/invoice.py" in warm.ask(*asked).stdout.splitlines()
    assert (warm.answered(), public.answered()) == (before[0] + 1, before[1] + 1)


@pytest.mark.parametrize(
    ("argv", "why"),
    [
        (("ask", "charge the card", "--store", "STORE"), b"store"),
        (("ask", "charge the card", "--store", "STORE", "--visibility", "private"), b"store"),
        (("ask", "charge the card", "--store", "STORE", "--visibility", "public", "--visibility", "private"), b"store"),
        (("ask", "charge the card", "--store", "STORE", "--visibility", "public", "--allow", "ALLOW"), b"store"),
        (("ask", "charge the card", "--store", "STORE/.", "--visibility", "public", "--allow", "ALLOW"), b"store"),
        (("ask", "charge the card", "--store", "OTHER", "--visibility", "public"), b"store"),
        (("ask", "charge the card", "--root", "REPOSITORY"), b"folder"),
        (("fleet", "status", "--store", "STORE"), b"command"),
        (("status", "--root", "REPOSITORY"), b"command"),
    ],
    ids=lambda said: " ".join(said) if isinstance(said, tuple) else said.decode(),
)
def test_no_request_widens_what_a_server_was_started_for(
    public: StoreServer, argv: tuple[str, ...], why: bytes, tmp_path: Path
) -> None:
    (tmp_path / "allow").write_text("acme/cards\n")
    stands = {"STORE": public.root, "ALLOW": tmp_path / "allow", "OTHER": tmp_path}
    stands["REPOSITORY"] = public.root.parent / "acme/cards"
    words = [re.sub("[A-Z]{5,}", lambda name: str(stands[name[0]]), word) for word in argv]
    assert public.exchange(public.typed(*words)) == (b"", protocol.DECLINE, why)


def test_what_is_asked_over_the_socket_is_about_what_may_be_seen(public: StoreServer) -> None:
    said = public.request("ask", query="charge the card", minScore=0, limit=50)["result"]
    assert {one["repository"] for one in said["results"]} == {"acme/shop"}
    globs = public.request("explain", query="cart", globs=["*.py", "!/shop/retry.py"], minScore=0)["result"]["results"]
    assert {(one["repository"], one["path"]) for one in globs} >= {("acme/shop", "shop/cart.py")}
    assert not any(one["path"] == "shop/retry.py" for one in globs) and globs[0]["parts"]
    status = public.request("status")["result"]
    assert (status["repositories"], status["store"]) == (1, str(public.root))
    assert public.request("initialize", protocolVersion=1)["result"]["store"] == str(public.root)
    lines = public.request("lines", repository="acme/shop", path="shop/cart.py", first=3, last=4)["result"]["lines"]
    assert lines == FILES["shop/cart.py"].splitlines()[2:4]
    for method, params in (
        ("ask", {"query": "x", "repositories": ["acme/cards"]}),
        ("ask", {"query": "x", "owners": ["nobody"]}),
        ("ask", {"query": "x", "visibility": ["private"]}),
        ("ask", {"query": "x", "allow": ["acme/cards"]}),
        ("ask", {"query": "x", "paths": ["/etc"]}),
        ("lines", {"repository": "acme/cards", "path": "cards.py"}),
        ("related", {"repository": "acme/cards", "path": "cards.py", "line": 1}),
        ("related", {"repository": "acme/shop", "path": "../cards/cards.py", "line": 1}),
        ("lines", {"repository": "acme/shop", "path": "../../cards/cards.py"}),
        ("lines", {"repository": "acme/shop' OR '1'='1", "path": "cards.py"}),
        ("lines", {"repository": "acme/shop", "path": "/etc/passwd"}),
        ("initialize", {"protocolVersion": 1, "store": "/elsewhere"}),
        ("index", {}),
    ):
        refused = public.request(method, **params)
        assert refused["error"]["data"]["kind"] in ("usage", "params", "method"), (method, params, refused)
        assert "receipt" not in json.dumps(refused)


def test_a_program_converses_about_a_store_over_its_pipes(store: Path, surroundings: dict[str, str]) -> None:
    client = Client(store, surroundings, "--store", str(store), "--visibility", "public")
    try:
        assert client.error("ask", query="cart")["data"]["kind"] == "uninitialized"
        assert client.error("initialize", protocolVersion=1, store="/elsewhere")["data"]["kind"] == "params"
        said = client.result("initialize", protocolVersion=1, store=str(store))
        assert (said["store"], said["canTrain"]) == (str(store), False)
        (best,) = client.result("ask", query="the sum of the cart", globs=["*.py"], limit=1, minScore=0)["results"]
        assert (best["repository"], best["path"]) == ("acme/shop", "shop/cart.py")
        related = client.result("related", repository="acme/shop", path=best["path"], line=best["start_line"])[
            "related"
        ]
        assert related and {one["repository"] for one in related} == {"acme/shop"}
        assert client.error("ask", query="x", repositories=["cards"])["data"]["kind"] == "usage"
        assert client.error("adapt")["data"]["kind"] == "method"
        assert client.result("shutdown") is None
    finally:
        code = client.end()
    assert code == 0


def test_where_there_is_a_port_nobody_is_answered_without_the_token(warm: StoreServer, tmp_path: Path) -> None:
    runtime = tmp_path / ("long" * 30)  # too long a path for a unix socket
    runtime.mkdir(mode=0o700)
    server = warm.showing("--visibility", "private")
    server.environment = warm.environment | {"XDG_RUNTIME_DIR": str(runtime)}
    inside = {"XDG_RUNTIME_DIR": str(runtime)}
    assert server.ask("charge the card", **inside).returncode == 0
    server.wait(lambda: bool(list((runtime / "codesearch").glob("*.json"))))
    [facts] = (runtime / "codesearch").glob("*.json")
    port, token = (json.loads(facts.read_text())[name] for name in ("port", "token"))
    message = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ask", "params": {"query": "charge the card"}})
    for shown in ({}, {"token": ""}, {"token": token[:-1]}, {"token": None}, {"token": token}):
        with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
            protocol.send(
                connection,
                protocol.REQUEST,
                json.dumps({"do": protocol.RPC, "request": message, **shown}).encode(),
            )
            said = b""
            try:
                while (frame := protocol.receive(connection))[0] != protocol.EXIT:
                    said += frame[1]
            except protocol.ProtocolError:
                assert said == b"" and shown.get("token") != token
            else:
                assert b"acme/cards" in said and shown.get("token") == token


def test_a_client_with_other_credentials_is_not_answered_with_the_servers(warm: StoreServer) -> None:
    before = warm.answered()
    done = warm.ask("charge the card", "-l", "-n", "1", AWS_ACCESS_KEY_ID="another")
    assert (done.returncode, done.stdout) == (0, "acme/cards/cards.py\n")
    assert warm.answered() == before
    assert warm.ask("charge the card", "-n", "1").returncode == 0
    assert warm.answered() == before + 1


def test_what_is_committed_is_seen_by_the_very_next_question_and_so_is_a_store_made_anew(
    fresh_store: StoreServer, tmp_path: Path
) -> None:
    pid = fresh_store.start()
    asked = ("charge the card", "--max-tokens", "200")
    assert "and write a receipt" in fresh_store.ask(*asked).stdout
    before = FleetStore.open(str(fresh_store.root)).version
    commit(tmp_path / "acme/cards", {"cards.py": 'def charge(card):\n    """Charge the card twice."""\n'})
    shutil.rmtree(fresh_store.root)
    assert fill(tmp_path) == before, "it is another store, and its version says nothing of that"
    assert "Charge the card twice" in fresh_store.ask(*asked).stdout
    commit(tmp_path / "acme/cards", {"cards.py": 'def charge(card):\n    """Charge the card thrice."""\n'})
    assert fill(tmp_path) > before
    assert "Charge the card thrice" in fresh_store.ask(*asked).stdout
    assert fresh_store.answered() == 3 and alive(pid)
    shutil.rmtree(fresh_store.root)
    gone = fresh_store.ask(*asked, "--no-server")
    assert (gone.returncode, gone.stdout) == (2, "") and "there is no store at" in gone.stderr
    fresh_store.wait(lambda: not alive(pid))


def test_one_that_was_killed_is_replaced_and_one_that_is_not_wanted_not_started(fresh_store: StoreServer) -> None:
    asked = ("charge the card", "-n", "1")
    alone = fresh_store.ask(*asked, CODESEARCH_NO_SERVER="1").stdout
    assert fresh_store.ask(*asked, "--batch", os.devnull).returncode == 2
    assert not processes(fresh_store.root)
    pid = fresh_store.start()
    os.kill(pid, signal.SIGKILL)
    assert fresh_store.ask(*asked).stdout == alone != ""
    fresh_store.wait(lambda: processes(fresh_store.root) not in ([], [pid]))
    fresh_store.up()
    stop = ("serve", "--stop", "--store", str(fresh_store.root))
    assert fresh_store.command(*stop).returncode == 0
    fresh_store.wait(lambda: not processes(fresh_store.root))
    assert fresh_store.command(*stop).returncode == 1


def test_serving_what_is_no_store_is_an_error_that_says_so(warm: StoreServer, tmp_path: Path) -> None:
    for words, said in (
        (("--store", str(tmp_path)), "there is no store at"),
        (("--store", "ftp://host/x"), "is no place for a store"),
        (("--store", str(warm.root), "--root", "."), "give --root or --store"),
        (("--visibility", "public"), "name it with --store"),
        (("--store", str(warm.root), "--allow", "none"), "can not be read"),
        (("--store", str(warm.root)), "runs for"),
    ):
        done = warm.command("serve", *words)
        assert done.returncode == 2 and said in done.stderr, (words, done.stderr)
