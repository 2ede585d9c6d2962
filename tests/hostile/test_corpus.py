"""The nasty repository is indexed, asked and shown: no crash, nothing run, nothing read outside, nothing steered."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from codesearch.cli.app import app
from codesearch.events import Event, Skipped, Warned
from codesearch.settings import Settings
from codesearch.text import terms
from codesearch.workspace import Workspace
from tests.cli.conftest import script, surroundings  # noqa: F401
from tests.cli.test_terminal import LINK, STYLE, Terminal, terminal  # noqa: F401
from tests.hostile.corpus import CASES, OSC, PRIVATE, Case, write
from tests.hostile.watch import nothing_opened

STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029]")
SETTINGS = Settings(hidden=True)
"""What is hidden is looked at, too, so that it is for another reason that it stays out."""


@dataclass
class Nasty:
    """The repository, and what indexing it told."""

    root: Path
    events: list[Event]
    workspace: Workspace


@pytest.fixture(scope="module")
def nasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nasty]:
    root = write(tmp_path_factory.mktemp("nasty").resolve())
    here = Path.cwd()
    os.chdir(root)  # where one stands when one asks
    try:
        with nothing_opened(root.parent / "private"), Workspace.open(root, SETTINGS) as workspace:
            yield Nasty(root, list(workspace.index()), workspace)
    finally:
        os.chdir(here)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_what_comes_of_it(case: Case, nasty: Nasty) -> None:
    """It is found by what it holds, or left out for the reason that is due, and warned of where it is given up."""
    if case.found:
        hits = nasty.workspace.ask(case.found, min_score=0.0, refresh=False).hits
        assert case.path in [hit.path for hit in hits[:2]] or case.path in str(hits[0].copies)
    if case.skipped is not None:
        skip = nasty.workspace.inspect(case.path).skip
        assert skip is not None and skip.why is case.skipped
    warned = [event.message for event in nasty.events if isinstance(event, Warned)]
    assert case.warned == any(message.startswith(f"{case.path} ") for message in warned)
    if case.name == "a name that is not UTF-8":
        assert [e.reason for e in nasty.events if isinstance(e, Skipped) and e.path == case.path] == [
            "unreadable: its name is not UTF-8"
        ]
    assert not list(nasty.root.rglob("ran"))


def test_what_is_ordinary_is_found_beside_all_that(nasty: Nasty) -> None:
    best = nasty.workspace.ask("where is the innocence of the stars done", refresh=False).hits[0]
    assert (best.path, best.symbol) == ("innocent.py", "innocence_of_stars")


def test_nothing_private_is_in_the_index(nasty: Nasty) -> None:
    for question in (PRIVATE, "launch code", "1234"):
        answer = nasty.workspace.ask(question, 50, min_score=0.0, refresh=False)
        assert not any(PRIVATE in hit.text or "launch" in hit.path for hit in answer.hits)
    assert not nasty.workspace.snapshot().manifest.frequencies(terms(PRIVATE))
    assert nasty.workspace.snapshot().manifest.frequencies(terms("innocence")), "terms are asked for as they are kept"


def test_a_second_look_finds_nothing_new(nasty: Nasty) -> None:
    """What is strange does not make an index stale for ever."""
    before = nasty.workspace.status().chunks
    list(nasty.workspace.index())
    assert nasty.workspace.status().chunks == before
    assert str(nasty.workspace.state()) == "fresh"


SHOWN: list[tuple[str, ...]] = [
    ("ask", "where is the escaping of the stars done", "--min-score", "0", "-n", "20"),
    ("ask", "where is the documenting of the stars done", "--explain"),
    ("ask", "where is the forging of the stars done", "-l"),
    ("ask", "where is the naming of the stars done", "--vimgrep"),
    ("ask", OSC),
    ("related", "escaping.py:1"),
    ("inspect", "documenting.py"),
    ("inspect", next(case.path for case in CASES if case.name == "escape sequences in a name")),
    ("config", "--origin"),
    ("status",),
    ("index", "--no-train"),
]


@pytest.mark.parametrize("arguments", SHOWN, ids=" ".join)
def test_no_output_holds_what_steers_a_terminal(arguments: tuple[str, ...], nasty: Nasty) -> None:
    done = CliRunner().invoke(app, [*arguments, *(() if arguments[0] == "config" else ("--hidden",))])
    assert done.exit_code in (0, 1, 2) and isinstance(done.exception, SystemExit | None)
    # A newline and a tab are the output's own; what a name holds of them is written out.
    assert not STEERING.search(done.stdout + done.stderr)
    assert not any(line.startswith("shop.py:1:rm") for line in (done.stdout + done.stderr).splitlines())
    assert not list(nasty.root.rglob("ran"))


def test_a_page_on_a_terminal_holds_its_own_colours_and_links_alone(nasty: Nasty, terminal: Terminal) -> None:  # noqa: F811
    for question in ("where is the escaping of the stars done", "where is the clearing of the stars done"):
        page = terminal("ask", question, "--hidden", "--min-score", "0", "-n", "30", cwd=nasty.root)
        assert "of_stars" in page and STYLE.search(page)
        assert not STEERING.search(LINK.sub("", STYLE.sub("", page)))


@pytest.mark.usefixtures("nasty")
def test_json_is_one_line_of_ascii() -> None:
    question = "escaping naming pairing forging of the stars"
    done = CliRunner().invoke(app, ["ask", question, "--json", "--min-score", "0", "-n", "50", "--hidden"])
    assert done.stdout.isascii() and done.stdout.count("\n") == 1
    paths = [result["path"] for result in json.loads(done.stdout)["results"]]
    assert "forging\nshop.py:1:rm -rf.py" in paths
