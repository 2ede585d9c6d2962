"""How evidence becomes a page: every score explained by its own parts, no file filling it, ties decided by place."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesearch.evidence import Evidence
from codesearch.rank import ADAPTED, CONTEXTUAL, MORE, SHIPPED, VECTORS, Weights, page, reasons, totals


@st.composite
def evidences(draw: st.DrawFn) -> Evidence:
    lengths = draw(st.lists(st.integers(1, 4), max_size=6))
    figure = st.floats(0, 1, allow_subnormal=False)

    def column(n: int) -> np.ndarray:
        return np.array(draw(st.lists(figure, min_size=n, max_size=n)))

    return Evidence(
        positions=np.arange(sum(lengths)),
        file_of=np.repeat(np.arange(len(lengths)), lengths),
        files=np.arange(len(lengths)),
        of_chunk={name: column(sum(lengths)) for name in SHIPPED.chunk},
        of_file={name: column(len(lengths)) for name in SHIPPED.file},
        similarity=0,
        coverage=0,
        known=0,
        named=0,
        certain=False,
    )


@given(evidences())
def test_a_page_has_every_chunk_once_by_scores_that_are_the_sums_of_their_reasons(evidence: Evidence) -> None:
    scores = totals(evidence)
    order, before = page(scores, evidence.file_of)
    assert sorted(order.tolist()) == evidence.positions.tolist()
    shown = [
        sum(worth for _, worth in reasons(evidence, at, n))
        for at, n in zip(order.tolist(), before.tolist(), strict=True)
    ]
    np.testing.assert_allclose(shown, scores[order] + MORE.value * np.sqrt(before), atol=1e-5)
    assert all(a >= b - 1e-5 for a, b in pairwise(shown))
    counted: dict[int, int] = {}
    for file, n in zip(evidence.file_of[order].tolist(), before.tolist(), strict=True):
        assert n == counted.get(file, 0), "how many of its file stand before it"
        counted[file] = n + 1


def test_a_second_chunk_comes_late_unless_it_is_much_better_than_another_file() -> None:
    file_of = np.array([0, 0, 1])
    close = page(np.array([9.0, 8.9, 8.0]), file_of)[0].tolist()
    earned = page(np.array([9.0, 8.9, 8.9 + MORE.value - 0.1]), file_of)[0].tolist()
    assert (close, earned) == ([0, 2, 1], [0, 1, 2])


def test_what_scores_the_same_keeps_the_order_of_its_places() -> None:
    file_of = np.arange(40)
    assert page(np.ones(40) + 1e-9 * np.arange(40), file_of)[0].tolist() == list(range(40))


@pytest.mark.parametrize("other", [ADAPTED, CONTEXTUAL])
def test_another_kind_of_retriever_changes_what_vectors_are_worth_and_nothing_else(other: Weights) -> None:
    pairs = (("chunk", SHIPPED.chunk, other.chunk), ("file", SHIPPED.file, other.file))
    changed = {(kind, name) for kind, its, other in pairs for name in its if its[name] != other[name]}
    assert changed == VECTORS
    assert all(its.keys() == other.keys() for _, its, other in pairs)
