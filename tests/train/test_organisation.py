"""One retriever for many repositories passes the gate on functions of all of them, or there is none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from codesearch import bundle
from codesearch.errors import UsageError
from codesearch.events import Warned
from codesearch.fleet.access import Access
from codesearch.fleet.commit import Writer
from codesearch.fleet.search import Fleet
from codesearch.fleet.sources import Source
from revela_train.organisation import checkouts, train
from tests.fleet.conftest import commit
from tests.train.test_workspace import CONFIG, DEEDS, THINGS, finish, function


@pytest.fixture
def jargon(tmp_path: Path) -> list[Source]:
    """Three repositories of one house, whose words for things nobody else knows, and one that is gone."""
    found = [Source(str(tmp_path / "gone"), "house/gone")]
    for number in range(3):
        things = list(THINGS)[number::3]
        files = {f"{THINGS[thing]}.py": "".join(function(deed, thing) for deed in DEEDS) for thing in things}
        commit(tmp_path / f"part{number}", files)
        found.append(Source(str(tmp_path / f"part{number}"), f"house/part{number}"))
    return found


def test_what_is_learnt_from_all_is_proved_on_all_and_indexes_a_store(jargon: list[Source], tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    events, done = finish(train(jargon, CONFIG, out, tmp_path / "work"))
    assert [event.message.partition(":")[0] for event in events if isinstance(event, Warned)] == [
        "house/gone is left out"
    ]
    assert done.repositories == 3
    assert [*checkouts(jargon, tmp_path / "work" / "code")] == ["house/gone"], "what failed is no checkout"
    verdict = done.proof.verdict
    assert verdict.accepted and verdict.questions >= 50, verdict.reason
    assert done.bundle is not None and done.bundle.folder == out
    assert bundle.load(out).description.adapted
    writer = Writer.open(str(tmp_path / "store"), done.bundle)
    assert writer.identity.model == done.bundle.fingerprint
    assert Fleet(writer.uri, Access())._encoder.fingerprint == done.bundle.fingerprint, "the store brings its model"


def test_what_does_not_pass_is_not_written(jargon: list[Source], tmp_path: Path) -> None:
    _, done = finish(train(jargon[1:], replace(CONFIG, steps=1, rate=1e-9), tmp_path / "bundle", tmp_path / "work"))
    assert not done.proof.verdict.accepted
    assert done.bundle is None
    assert not (tmp_path / "bundle").exists()


def test_too_few_questions_and_no_repository_are_said(jargon: list[Source], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="none of the repositories"):
        finish(train(jargon[:1], CONFIG, tmp_path / "bundle", tmp_path / "work"))
    commit(tmp_path / "small", {"a.py": "def answer():\n    return 42\n"})
    with pytest.raises(UsageError, match="Name more repositories"):
        finish(train([Source(str(tmp_path / "small"), "small")], CONFIG, tmp_path / "bundle", tmp_path / "work2"))
