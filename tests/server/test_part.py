"""A server answers from a part of the first index, and opens later parts beside the questions."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from codesearch import index, prepare
from codesearch.events import Done, Event, Progress
from codesearch.server import warm
from codesearch.server.warm import DeclinedError, Pool
from codesearch.settings import Settings
from codesearch.types import Stale
from codesearch.workspace import Workspace
from tests.cli.conftest import write

BODY = "def moor_{0}_{1}(ship):\n    return ship + {1}\n\n\n"


def until_the_next(work: Iterator[Event], kind: type[Event]) -> None:
    for event in work:
        if isinstance(event, kind):
            return


def test_a_part_answers_until_a_later_one_is_open_and_then_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "_COMMIT", 30)  # many parts of few files
    monkeypatch.setattr(prepare, "_BATCH_FILES", 2)
    monkeypatch.setattr(warm, "_REST", 0.0)
    root = write(tmp_path / "many", {f"m{n}.py": "".join(BODY.format(n, k) for k in range(12)) for n in range(24)})
    root = root.resolve()
    with Workspace.open(root) as builder, Pool(root) as pool:
        work = builder.index()
        with pytest.raises(DeclinedError):
            pool.open(root, Settings())
        until_the_next(work, Progress)
        answer = pool.open(root, Settings()).ask("moor_0_3", refresh=False)
        assert 0 < answer.indexed < 1 and answer.state is Stale.FILES and answer.hits[0].symbol == "moor_0_3"
        until_the_next(work, Progress)
        first = pool.open(root, Settings()).ask("moor_0_3", refresh=False)
        assert first.indexed == answer.indexed, "it waits for nothing"
        deadline = time.monotonic() + 60
        while pool.open(root, Settings()).ask("moor_0_3", refresh=False).indexed == answer.indexed:
            assert time.monotonic() < deadline, "the later part is opened beside the questions"
            time.sleep(0.02)
        until_the_next(work, Done)
        whole = pool.open(root, Settings()).ask("moor_23_3", refresh=False)
        assert whole.indexed == 1 and whole.state is Stale.FRESH and whole.hits[0].symbol == "moor_23_3"
