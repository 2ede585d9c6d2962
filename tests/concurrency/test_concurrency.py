"""A small crowd at one workspace, for some seconds. More: python -m tests.concurrency."""

from __future__ import annotations

import pytest

from tests.concurrency.crowd import Crowd


def test_processes_at_one_workspace_lose_nothing_and_say_nothing_wrong(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    # Short: the path of a server's socket has some hundred bytes at most.
    crowd = Crowd(tmp_path_factory.mktemp("c"), processes=4, modules=20, rest=4, seed=1)
    told = crowd.run(8)
    assert told.well, told.table()
    assert told.answers["fresh"] and told.edits > 10, told.table()
