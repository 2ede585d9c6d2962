"""An answer through the server is the answer without it, and knows what has just been written."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import threading

import pytest

from codesearch.workspace import Workspace
from tests.cli.test_terminal import Terminal
from tests.server.conftest import Server

ASKED = [
    ("retry a failed call", "-n", "1", "--explain"),
    ("cart", "--color", "always", "-g", "!*.md", "--root", "../shop"),
    ("xyzzy plugh frobnicate", "--max-filesize", "2M"),
]


@pytest.mark.parametrize("arguments", ASKED, ids=" ".join)
def test_output_and_exit_code_are_the_same_with_and_without_the_server(
    served: Server, arguments: tuple[str, ...]
) -> None:
    warm = served.ask(*arguments)
    cold = served.ask(*arguments, "--no-server")
    assert (warm.stdout, warm.stderr, warm.returncode) == (cold.stdout, cold.stderr, cold.returncode)


def test_json_is_the_same_but_for_the_time_it_took(served: Server) -> None:
    said = [served.ask("cart total", "--json", *more).stdout for more in ((), ("--no-server",))]
    warm, cold = (re.sub(r'"ms": [0-9.]+', "", one) for one in said)
    assert warm == cold and '"path": "shop/cart.py"' in warm


def test_related_and_status_come_from_it_too(served: Server) -> None:
    before = served.answered()
    for arguments in (("related", "shop/cart.py:5"), ("status",)):
        warm = served.command(*arguments)
        cold = served.command(*arguments, CODESEARCH_NO_SERVER="1")
        assert (warm.stdout, warm.stderr, warm.returncode) == (cold.stdout, cold.stderr, cold.returncode)
    assert served.answered() == before + 2


def test_a_page_on_a_terminal_is_the_same(served: Server, script: str, surroundings: dict[str, str]) -> None:
    before = served.answered()
    terminal = Terminal(script, surroundings)
    pages = [
        re.sub(r"in \d+ ms|id=\d+", "", terminal("ask", "cart", "-n", "2", *more, cwd=served.root, COLUMNS="60"))
        for more in ((), ("--no-server",))
    ]
    assert pages[0] == pages[1] and "2 results" in pages[0] and "\x1b[" in pages[0]
    assert served.answered() == before + 1


def test_what_a_client_says_of_its_surroundings_is_forgotten_after_it(served: Server) -> None:
    assert "\x1b[" in served.ask("cart", "--color", "always", NO_COLOR="1").stdout
    assert "\x1b[" not in served.ask("cart").stdout


def test_a_new_an_edited_and_a_deleted_file_are_seen_by_the_very_next_question(served: Server) -> None:
    before = served.answered()
    file = served.root / "shop" / "zeppelin.py"
    for name in ("moor_the_zeppelin", "inflate_the_zeppelin", "deflate_the_zeppelin"):
        file.write_text(f"def {name}():\n    return 1\n")
        said = served.ask("zeppelin", "--json").stdout
        assert f'"symbol": "{name}"' in said and '"state": "fresh"' in said
    (served.root / "shop" / ".ignore").write_text("zeppelin.py\n")
    assert "zeppelin.py" not in served.ask("zeppelin", "--json").stdout
    (served.root / "shop" / ".ignore").unlink()
    assert "zeppelin.py" in served.ask("zeppelin", "--json").stdout
    file.unlink()
    assert "zeppelin.py" not in served.ask("zeppelin", "--json").stdout
    assert served.answered() == before + 6


def test_an_index_that_was_removed_and_built_again_is_noticed(served: Server) -> None:
    file = served.root / "shop" / "gondola.py"
    file.write_text("def gondola():\n    return 1\n")
    assert "gondola" in served.ask("gondola", "--json").stdout
    for folder in (served.root / ".codesearch").glob("gen-*"):
        shutil.rmtree(folder)
    (served.root / ".codesearch" / "CURRENT").unlink()
    file.write_text("def gondola_two():\n    return 2\n")
    with Workspace.open(served.root) as workspace:
        for _ in workspace.index():
            pass
    said = served.ask("gondola", "--json")
    assert '"symbol": "gondola_two"' in said.stdout and said.returncode == 0
    file.unlink()


def test_many_clients_at_once_each_get_their_own_answer(served: Server) -> None:
    questions = ["retry a failed call", "parse the query string", "cart total", "payments documentation"]
    expected = {question: served.ask(question).stdout for question in questions}
    assert len(set(expected.values())) == len(questions)
    wrong = []

    def client() -> None:
        for question in questions * 2:
            done = served.ask(question)
            if (done.returncode, done.stdout, done.stderr) != (0, expected[question], ""):
                wrong.append((question, done))

    threads = [threading.Thread(target=client) for _ in range(4)]
    before = served.answered()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert served.answered() == before + 32


def test_a_reader_who_has_seen_enough_is_fine(served: Server, script: str, surroundings: dict[str, str]) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    done = subprocess.run(
        [script, "ask", "cart"], cwd=served.root, env=surroundings, stdout=theirs, stderr=subprocess.PIPE, timeout=60
    )
    os.close(theirs)
    assert (done.returncode, done.stderr) == (0, b"")


def test_below_the_root_the_same_server_answers_with_paths_as_seen_from_there(served: Server) -> None:
    answered = served.answered()
    done = served.ask("cart", "--json", "--root", ".")
    inside = served._command("ask", "cart", "--json", cwd=served.root / "shop")
    assert served.answered() == answered + 2
    paths = [one["path"] for one in json.loads(done.stdout)["results"]]
    seen = [one["path"] for one in json.loads(inside.stdout)["results"]]
    assert seen == [path.removeprefix("shop/") for path in paths if path.startswith("shop/")]
