"""What a store has of a repository, and answers about it, is what the index of a checkout has and answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codesearch.errors import UsageError
from codesearch.fleet.access import Access, Wanted
from codesearch.fleet.search import Fleet
from codesearch.fleet.sources import Source
from codesearch.fleet.store import FleetStore
from codesearch.gist import Gist
from codesearch.search import Filter
from codesearch.store import unpacked
from codesearch.types import Answer, Hit, Row
from codesearch.workspace import Workspace
from tests.cli.test_related import FILES as BELONGING
from tests.fleet.conftest import BILLING, commit, filled

QUESTIONS = (
    "failed payments are tried again with a growing delay",
    "how is the sum of the cart computed",
    "Cart.total",
    "retry_with_backoff",
    "shop/cart.py:12",
    "test of the cart",
    "zebra stripes",
)

GLOBS = (
    ("*.py",),
    ("!*.py",),
    ("/shop",),
    ("shop/**/*.py", "web/", "!*.ts"),
    ("s?op/[a-c]*", "[!a-z]*.md"),
    ("no/such",),
    ("*", "!tests/"),
)


def source(folder: Path, **said: str) -> Source:
    return Source(str(folder), "/".join(folder.parts[-2:]), **said)


def rows_of(table: Any) -> dict[Row, bytes]:
    """Return each row with its vector, whatever the order."""
    columns = (table[name].to_pylist() for name in Row._fields)
    vectors = np.array(table["vector"].to_pylist()).astype(np.int8)
    return {Row(*row): vector.tobytes() for row, vector in zip(zip(*columns, strict=True), vectors, strict=True)}


def said(answer: Answer) -> tuple[list[Any], float]:
    hits = [(hit.id, hit.path, hit.span, hit.text, round(hit.score, 4), hit.copies) for hit in answer.hits]
    return hits, round(answer.confidence, 4)


def told(gist: Gist | None) -> Any:
    return gist and (gist.hit.path, gist.line, gist.says, belonging(gist.callers), belonging(gist.tests))


def belonging(hits: Sequence[Hit]) -> list[Any]:
    return [(hit.id, hit.path, hit.text, round(hit.score, 4)) for hit in hits]


@pytest.fixture
def store(shop: Path, billing: Path, tmp_path: Path) -> str:
    uri = str(tmp_path / "store")
    filled(uri, [source(shop, visibility="public"), source(billing)])
    return uri


def test_the_rows_of_a_repository_are_those_of_its_own_index(store: str, shop: Path, billing: Path) -> None:
    from codesearch.store import col

    fleet = FleetStore.open(store)
    for folder in (shop, billing):
        with Workspace.open(folder) as workspace:
            assert [*workspace.index()]
            expected = rows_of(workspace.snapshot().store.read())
        its = fleet._chunks.search().where((col("repository") == source(folder).name) & (col("kind") != "repository"))
        found = its.to_arrow()
        assert len(found) == len(expected) >= 5
        assert rows_of(found) == expected


def test_who_sees_one_repository_gets_the_answers_of_its_own_index(store: str, shop: Path) -> None:
    """Scores and confidence too: they say nothing of what else is in the store."""
    fleet, told_of = Fleet(store, Access(visibilities=frozenset({"public"}))), 0
    with Workspace.open(shop) as workspace:
        assert [*workspace.index()]
        for question in QUESTIONS:
            for least in (0.0, None):
                expected = workspace.ask(question, min_score=least, refresh=False)
                found = fleet.ask(question, min_score=least)
                assert said(found) == said(expected), question
            assert told(fleet.gist(found)) == told(workspace.gist(expected)), question
            told_of += workspace.gist(expected) is not None
    assert told_of > 3


@pytest.mark.parametrize("globs", GLOBS, ids=" ".join)
def test_globs_mean_in_a_store_what_they_mean_in_a_folder(store: str, shop: Path, globs: tuple[str, ...]) -> None:
    """They come before the choice of candidates, as everything that is asked about does."""
    fleet = Fleet(store, Access())
    with Workspace.open(shop) as workspace:
        assert [*workspace.index()]
        for question in QUESTIONS:
            expected = workspace.ask(question, 50, only=Filter(globs), min_score=0, refresh=False)
            found = fleet.ask(question, 50, wanted=Wanted(repositories=("acme/shop",), globs=globs), min_score=0)
            assert {hit.id for hit in found.hits} == {hit.id for hit in expected.hits}, question


def test_a_glob_leaves_room_for_what_it_lets_through(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codesearch.fleet.search.DEPTH", 1)
    fleet = Fleet(store, Access())
    for globs, path in (((), "shop/cart.py"), (("*.go",), "web/server.go"), (("!*.py", "!*.md"), "web/server.go")):
        found = fleet.ask("the sum of the cart on the page", wanted=Wanted(globs=globs), min_score=0)
        assert found.hits[0].path == path
    with pytest.raises(UsageError, match="Give a pattern"):
        fleet.ask("cart", wanted=Wanted(globs=("[z-a]",)))


def test_what_belongs_to_a_line_is_what_belongs_to_it_in_the_repositorys_own_index(
    shop: Path, billing: Path, tmp_path: Path
) -> None:
    commit(shop, BELONGING)
    store = str(tmp_path / "s")
    filled(store, [source(shop, visibility="public"), source(billing)])
    fleet = Fleet(store, Access())
    relations = set()
    with Workspace.open(shop) as workspace:
        assert [*workspace.index()]
        lines = ((file, line) for file in BELONGING for line in range(1, len(workspace.lines(file)) + 1))
        for path, line in lines:
            wanted, expected = workspace.related(path, line, refresh=False)
            subject, found = fleet.related("acme/shop", path, line)
            assert (subject.id, subject.text, subject.repository) == (wanted.id, wanted.text, "acme/shop")
            for relation, hits in expected.items():
                assert belonging(found[relation]) == belonging(hits), (path, line)
                relations |= {relation} if hits else set()
    assert len(relations) == 4
    private = Fleet(store, Access(frozenset({"public"})))
    refused = []
    for name, path in (("acme/billing", "README.md"), ("acme/none", "README.md"), ("acme/shop", "none.py")):
        with pytest.raises(UsageError, match="or may be seen") as error:
            private.related(name, path, 1)
        refused.append(str(error.value).replace(name, "X"))
    assert refused[0] == refused[1]


def test_a_file_of_the_store_has_the_lines_of_the_file(billing: Path, tmp_path: Path) -> None:
    texts = {
        "ends.py": "import os\n\n\ndef first():\n    return 1\n\n\n\n",
        "unended.py": "def first(): return 1\ndef second(): return 2",
        "returns.js": "function a() { return 1 } function b() { return 2 }\r\n\r\nfunction c() { return a() }\r\n",
        "long.py": "def long():\n" + "".join(f"    step({number})\n\n" for number in range(500)) + "\f\n",
    }
    for name, text in texts.items():
        (billing / name).write_bytes(text.encode())
    commit(billing, {})
    filled(str(tmp_path / "s"), [source(billing)])
    fleet = Fleet(str(tmp_path / "s"), Access())
    with Workspace.open(billing) as workspace:
        for path in (*BILLING, *texts):
            expected = workspace.lines(path)
            assert expected and fleet.lines("acme/billing", path) == expected, path
    assert fleet.lines("acme/billing", "../passwords") == fleet.lines("acme/none", "ends.py") == []
    assert Fleet(str(tmp_path / "s"), Access(frozenset({"public"}))).lines("acme/billing", "ends.py") == []


def test_results_carry_repository_and_commit(store: str, billing: Path) -> None:
    best = Fleet(store, Access()).ask("send the invoice by mail", wanted=Wanted(tests=False)).hits[0]
    assert (best.repository, best.path, best.symbol) == ("acme/billing", "billing/invoice.py", "send_invoice")
    assert best.commit == (billing / ".git/refs/heads/main").read_text().strip()
    assert best.place == "acme/billing/billing/invoice.py"
    assert "def send_invoice(customer, amount):" in best.text


def test_filters_choose_what_is_asked_about(store: str) -> None:
    fleet = Fleet(store, Access())
    asked = "where is something sent or served"

    def found(**wanted: Any) -> set[tuple[str, str]]:
        hits = fleet.ask(asked, 50, wanted=Wanted(**wanted), min_score=0).hits
        return {(hit.repository, hit.language) for hit in hits}

    assert {name for name, _ in found()} == {"acme/shop", "acme/billing"}
    assert {name for name, _ in found(repositories=("billing",))} == {"acme/billing"}
    assert {name for name, _ in found(owners=("acme",))} == {"acme/shop", "acme/billing"}
    assert {language for _, language in found(languages=frozenset({"go"}))} == {"go"}
    paths = {hit.path for hit in fleet.ask(asked, 50, wanted=Wanted(tests=False), min_score=0).hits}
    assert paths and not any(path.startswith("tests/") for path in paths)


def test_vectors_are_kept_exactly() -> None:
    stored = np.arange(-127, 128, dtype=np.int8)[None]
    assert (unpacked(stored.astype(np.float16).astype(np.int8)) == unpacked(stored)).all()
