"""What a store has of a repository, and answers about it, is what the index of a checkout has and answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codesearch.fleet.access import Access, Wanted
from codesearch.fleet.search import Fleet
from codesearch.fleet.sources import Source
from codesearch.fleet.store import FleetStore
from codesearch.store import unpacked
from codesearch.types import Answer, Row
from codesearch.workspace import Workspace
from tests.fleet.conftest import filled

QUESTIONS = (
    "failed payments are tried again with a growing delay",
    "how is the sum of the cart computed",
    "Cart.total",
    "retry_with_backoff",
    "shop/cart.py:12",
    "test of the cart",
    "zebra stripes",
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
    fleet = Fleet(store, Access(visibilities=frozenset({"public"})))
    with Workspace.open(shop) as workspace:
        assert [*workspace.index()]
        for question in QUESTIONS:
            for least in (0.0, None):
                expected = workspace.ask(question, min_score=least, refresh=False)
                assert said(fleet.ask(question, min_score=least)) == said(expected), question


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
