"""Nobody is told of what he may not see: not by results, statistics, confidence, errors or counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from codesearch.errors import UsageError
from codesearch.fleet.access import Access, Wanted, allowed
from codesearch.fleet.search import Fleet, Visible
from codesearch.fleet.sources import Source
from codesearch.fleet.store import FleetStore
from codesearch.types import Answer
from tests.fleet.conftest import commit, filled

TEAMS = ("red", "green", "blue", "grey")
SHOWN = {
    "public": Access(frozenset({"public"})),
    "one by name": Access(repositories=frozenset({"acme/blue"})),
    "both": Access(frozenset({"public"}), frozenset({"acme/blue"})),
    "nothing": Access(frozenset(), frozenset()),
    "of no such visibility": Access(frozenset({"internal"})),
}


def work(team: str, number: int) -> dict[str, str]:
    """Return files that all teams have in common, but for their secrets."""
    return {
        f"{team}/deploy.py": f'def deploy_{team}(target):\n    """Deploy to the target by rocket."""\n    go(target)\n',
        "shared/secret.py": f'def launch():\n    """Launch code {team}word{number}: start rocket."""\n'
        + "    go()\n" * number,
        "README.md": f"# {team}\n\nHow rockets are deployed.\n",
    }


@pytest.fixture(scope="module")
def repositories(tmp_path_factory: pytest.TempPathFactory) -> list[Source]:
    folder = tmp_path_factory.mktemp("teams")
    found = []
    for number, team in enumerate(TEAMS):
        commit(folder / team, work(team, number))
        found.append(Source(str(folder / team), f"acme/{team}", visibility="public" if number < 2 else "private"))
    return found


@pytest.fixture(scope="module")
def store(repositories: list[Source], tmp_path_factory: pytest.TempPathFactory) -> str:
    uri = str(tmp_path_factory.mktemp("fleet") / "store")
    filled(uri, repositories)
    return uri


ASKED = ("start the rocket", "launch", "deploy_blue", "greyword3", "shared/secret.py:2", "how are rockets deployed")


def said(answer: Answer) -> tuple[list[tuple[Any, ...]], float]:
    return [(hit.place, hit.span, hit.text, hit.copies, round(hit.score, 4)) for hit in answer.hits], round(
        answer.confidence, 4
    )


@pytest.mark.parametrize("shown", SHOWN)
def test_answers_are_those_of_a_store_that_has_nothing_else(
    store: str, repositories: list[Source], shown: str, tmp_path: Path
) -> None:
    access = SHOWN[shown]
    fleet = Fleet(store, access)
    visible = {entry.repository for entry in fleet.entries}
    rest = [source for source in repositories if source.name in visible]
    assert len(rest) == {"public": 2, "one by name": 1, "both": 3}.get(shown, 0)
    alone = None
    if rest:
        filled(str(tmp_path / "alone"), rest)
        alone = Fleet(str(tmp_path / "alone"), Access())
    for question in ASKED:
        for least in (0.0, None):
            found = fleet.ask(question, 50, min_score=least)
            assert said(found) == (said(alone.ask(question, 50, min_score=least)) if alone else ([], 0.0)), question


def test_the_filter_comes_before_the_choice_of_candidates(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many better ones there are that may not be seen: one candidate is asked for, and one found."""
    monkeypatch.setattr("codesearch.fleet.search.DEPTH", 1)
    fleet = Fleet(store, SHOWN["one by name"])
    for question in ASKED[:3]:
        assert {hit.repository for hit in fleet.ask(question, min_score=0).hits} == {"acme/blue"}


def test_what_may_not_be_seen_and_what_is_not_there_are_one(store: str) -> None:
    fleet = Fleet(store, SHOWN["public"])

    def refused(**wanted: Any) -> str:
        with pytest.raises(UsageError) as error:
            fleet.ask("launch", wanted=Wanted(**wanted))
        return str(error.value)

    assert refused(repositories=("acme/grey",)).replace("grey", "X") == refused(repositories=("acme/X",))
    assert refused(repositories=("grey",)).replace("grey", "X") == refused(repositories=("X",))
    assert refused(owners=("Z",)) == "nothing of Z is in the store, or may be seen."


def test_a_filter_of_nobody_shows_nothing_of_the_ledger(store: str) -> None:
    for name in ("nothing", "of no such visibility"):
        seen = Visible.of(FleetStore.open(store), SHOWN[name])
        assert seen.entries == ()
        assert seen.frequencies(["launch", "rocket"]) == {}


def test_a_list_of_what_may_be_seen_is_names_and_comments(tmp_path: Path) -> None:
    file = tmp_path / "allow"
    file.write_text("acme/blue  # ours\n\n# none\nacme/red\n")
    assert allowed(file) == {"acme/blue", "acme/red"}
    file.write_text("")
    assert not Access(repositories=allowed(file)).all, "an empty list is no leave to see all"
    with pytest.raises(UsageError, match="can not be read"):
        allowed(tmp_path / "none")
