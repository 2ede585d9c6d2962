"""What a person sees: the page on a terminal, its colours, and that a repository can not steer the terminal."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import threading
from pathlib import Path

import pytest

from tests.cli.conftest import Command, write

STYLE = re.compile(r"\x1b\[[0-9;]*m")
LINK = re.compile(r"\x1b\]8;[^\x07\x1b]*\x1b\\")
"""With this, the only sequences that a page may hold."""
HOSTILE = "\x1b[2J\x1b]0;owned\x07 \x9b31m \u202egnp.exe \x08\x08"


class Terminal:
    """Runs the command with a terminal of 100 columns as its output."""

    def __init__(self, script: str, environment: dict[str, str]) -> None:
        self.script = script
        self.environment = environment | {"TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40"}

    def __call__(self, *arguments: str, cwd: Path, **environment: str) -> str:
        ours, theirs = pty.openpty()
        said: list[bytes] = []

        def read() -> None:
            try:
                while data := os.read(ours, 65536):
                    said.append(data)
            except OSError:  # Linux says "input/output error" for the end
                pass

        reader = threading.Thread(target=read)
        reader.start()
        subprocess.run(
            [self.script, *arguments],
            cwd=cwd,
            env=self.environment | environment,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            timeout=120,
        )
        os.close(theirs)
        reader.join(10)
        os.close(ours)
        return b"".join(said).decode().replace("\r\n", "\n")


@pytest.fixture(scope="module")
def terminal(script: str, surroundings: dict[str, str]) -> Terminal:
    return Terminal(script, surroundings)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory, codesearch: Command) -> Path:
    """A repository whose file names and source hold what steers terminals."""
    root = write(
        tmp_path_factory.mktemp("hostile"),
        {
            "evil\x1b[31m\nshop/forged.py:1:rm -rf.py": f"# {HOSTILE} zeppelin\ndef zeppelin():\n    return 1\n",
            "README.md": f"# zeppelin {HOSTILE}\n\nzeppelin\n",
        },
    )
    assert codesearch("index", cwd=root).returncode == 0
    return root


def test_a_page_shows_place_name_numbered_snippet_and_state(indexed: Path, terminal: Terminal) -> None:
    page = terminal("ask", "retry: call again, waiting longer after a failure", "-n", "2", cwd=indexed)
    assert STYLE.search(page)
    lines = [line.rstrip() for line in LINK.sub("", STYLE.sub("", page)).splitlines()]
    assert " ".join(lines[:2]) == (
        "retry_with_backoff is in shop/retry.py:10: Call again after a failure, waiting twice as long each time."
    )
    assert lines[3:5] == [f"{'shop/retry.py:10-17':95}━━━━━", "retry_with_backoff  function"]
    assert re.fullmatch(r" +11 +\"\"\"Call again after a failure, waiting twice as long each time\.\"\"\"", lines[6])
    assert re.fullmatch(r"2 results in \d+ ms, index fresh", lines[-1])
    assert f"{(indexed / 'shop/retry.py').as_uri()}".removeprefix("file://") in page, "places are links"


def test_no_color_and_color_never_give_a_page_without_any_sequence(indexed: Path, terminal: Terminal) -> None:
    plain = terminal("ask", "cart", "-n", "1", cwd=indexed, NO_COLOR="1")
    assert "shop/cart.py" in plain and "\x1b" not in plain
    never = terminal("ask", "cart", "-n", "1", "--color", "never", cwd=indexed)
    assert "shop/cart.py" in never and "\x1b" not in never


def test_color_always_colours_a_pipe(indexed: Path, codesearch: Command) -> None:
    plain = codesearch("ask", "cart", cwd=indexed).stdout
    coloured = codesearch("ask", "cart", "--color", "always", cwd=indexed, NO_COLOR="1").stdout
    assert STYLE.search(coloured) and STYLE.sub("", coloured) == plain


def test_progress_is_shown_on_a_terminal_and_cleared(shop: Path, terminal: Terminal) -> None:
    shown = terminal("index", "--no-train", cwd=shop)
    assert "indexing" in shown
    assert "indexed 4 files" in STYLE.sub("", shown).splitlines()[-1]


@pytest.mark.parametrize("where", ["page", "pipe", "json", "inspect", "skipped"])
def test_nothing_in_a_repository_can_steer_the_terminal_or_forge_a_line(
    where: str, hostile: Path, terminal: Terminal, codesearch: Command
) -> None:
    evil = next(path.name for path in (hostile / "evil\x1b[31m\nshop").iterdir())
    if where == "page":
        shown = LINK.sub("", STYLE.sub("", terminal("ask", "zeppelin", cwd=hostile)))
    elif where == "skipped":
        (hostile / "x\x1b[2J.bin").write_bytes(b"\0")
        shown = codesearch("index", cwd=hostile).stderr
        assert r"x\x1b[2J.bin" in shown
    else:
        arguments = {"pipe": ("ask", "zeppelin"), "json": ("ask", "zeppelin", "--json")}
        done = codesearch(*arguments.get(where, ("inspect", f"evil\x1b[31m\nshop/{evil}")), cwd=hostile)
        shown = done.stdout
        assert not any(line.startswith("shop/forged.py:1:") for line in shown.splitlines())
    for steering in "\x1b", "\x07", "\x08", "\x9b", "\u202e":
        assert steering not in shown
    assert where == "skipped" or "forged.py" in shown
