"""The gate of an adapted retriever: it lets no noise in, and no gain out."""

from __future__ import annotations

import random

import pytest

from codesearch.eval.proof import FEWEST, Part, gain, judge, part_of


def ranks(n: int, seed: int) -> list[float]:
    rng = random.Random(seed)
    return [1 / rng.randint(1, 10) for _ in range(n)]


def test_noise_is_hardly_ever_let_in() -> None:
    """The lower end of a 90 % interval is above zero by chance in one case of twenty."""
    accepted = sum(judge(ranks(80, 2 * n), ranks(80, 2 * n + 1)).accepted for n in range(60))
    assert accepted <= 8


def test_a_gain_on_a_third_of_the_questions_is_let_in() -> None:
    before = ranks(120, 1)
    after = [min(1.0, r * 2) if n % 3 == 0 else r for n, r in enumerate(before)]
    verdict = judge(before, after)
    assert verdict.accepted and verdict.gain is not None and verdict.gain.low > 0
    assert not judge(after, before).accepted
    assert not judge(before, before).accepted


def test_too_few_questions_prove_nothing() -> None:
    verdict = judge([0.1] * (FEWEST - 1), [1.0] * (FEWEST - 1))
    assert not verdict.accepted and str(FEWEST) in verdict.reason
    with pytest.raises(ValueError, match="pairs"):
        gain([], [])


def test_parts_are_lots_that_never_move() -> None:
    parts = [part_of("a.py", f"f{n}") for n in range(2000)]
    assert parts == [part_of("a.py", f"f{n}") for n in range(2000)]
    assert [round(parts.count(part) / 2000, 1) for part in Part] == [0.5, 0.2, 0.3]
