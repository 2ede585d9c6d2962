"""Files that can not be read, go while they are read, or have a date that no clock gives: a matter of one file.

Whatever happened, the index is that of a fresh build once it is over.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from codesearch import files
from codesearch.events import Planned, Skipped
from codesearch.types import Stale
from codesearch.workspace import Workspace
from tests.faults import world
from tests.index.conftest import FILES, age, contents, finish, fresh, root, workspace, write

__all__ = ["root", "workspace"]  # fixtures

CART = "shop/cart.py"


def _refresh(workspace: Workspace) -> dict[str, str]:
    """Bring the index up to date; return what was skipped, and why."""
    return {event.path: event.reason for event in list(workspace.index(workers=0)) if isinstance(event, Skipped)}


@pytest.mark.parametrize(("code", "known"), [(errno.EIO, False), (errno.EIO, True), (errno.EACCES, True)])
def test_a_file_that_can_not_be_read_is_named_each_time_and_indexed_when_it_can(
    workspace: Workspace, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, known: bool
) -> None:
    if known:
        world.finish(workspace.index(workers=0))
        write(root, CART, FILES[CART].replace("TAX", "VAT"))
    age(root)
    read = files._read

    def failing(top: str, path: str, most: int) -> bytes:
        if path == CART:
            raise OSError(code, os.strerror(code))
        return read(top, path, most)

    with monkeypatch.context() as patch:
        patch.setattr(files, "_read", failing)
        for _ in range(2):
            assert os.strerror(code) in _refresh(workspace)[CART]
            assert workspace.ask("parse query").hits[0].path == "web/app.ts"
    assert not _refresh(workspace)
    assert contents(workspace) == fresh(root, tmp_path / "fresh")


def _removed(root: Path) -> None:
    (root / CART).unlink()


def _replaced_by_a_folder(root: Path) -> None:
    (root / CART).unlink()
    write(root, f"{CART}/inner.py", "def inner():\n    return 1\n")


def _replaced_by_a_pipe(root: Path) -> None:
    (root / CART).unlink()
    os.mkfifo(root / CART)


def _replaced_by_a_link(root: Path) -> None:
    (root / CART).unlink()
    (root / CART).symlink_to("/etc/passwd")


def _rewritten(root: Path) -> None:
    write(root, CART, "def other():\n    return 'written between the look and the reading'\n")


def _grown(root: Path) -> None:
    with (root / CART).open("a") as file:
        file.write("\n\ndef more():\n    return 2\n")


def _parent_removed(root: Path) -> None:
    (root / "shop").rename(root / "moved")


@pytest.mark.parametrize(
    "change",
    [_removed, _replaced_by_a_folder, _replaced_by_a_pipe, _replaced_by_a_link, _rewritten, _grown, _parent_removed],
    ids=lambda change: change.__name__.strip("_"),
)
def test_a_file_that_changes_between_the_look_and_the_reading(
    workspace: Workspace, root: Path, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    age(root)
    events = []
    for event in workspace.index(workers=0):
        events.append(event)
        if isinstance(event, Planned):
            change(root)
    finish(events)
    world.finish(workspace.index(workers=0))
    assert contents(workspace) == fresh(root, tmp_path / "fresh")


def test_a_folder_that_can_not_be_listed_is_named_and_comes_back(
    workspace: Workspace, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.finish(workspace.index(workers=0))
    scandir = os.scandir

    def failing(path: object = ".") -> object:
        if str(path).rstrip("/").endswith("shop/shop"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return scandir(path)  # type: ignore[call-overload]

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", failing)
        assert any(os.strerror(errno.EIO) in reason for reason in _refresh(workspace).values())
        assert workspace.ask("parse query").hits[0].path == "web/app.ts"
    assert not _refresh(workspace)
    assert contents(workspace) == fresh(root, tmp_path / "fresh")


# Clocks.

YEAR = 365 * 24 * 3600


def _date(root: Path, path: str, seconds: float) -> None:
    os.utime(root / path, (seconds, seconds))


@pytest.mark.parametrize("jump", [-20 * YEAR, -1, 1, 12 * YEAR], ids=["decades back", "back", "on", "years on"])
def test_a_file_of_the_same_size_is_read_again_whichever_way_its_date_has_moved(
    workspace: Workspace, root: Path, tmp_path: Path, jump: int
) -> None:
    age(root)
    world.finish(workspace.index(workers=0))
    write(root, CART, FILES[CART].replace("TAX = 0.2", "TAX = 0.3"))
    _date(root, CART, 1_000_000_000 + jump)
    world.finish(workspace.index(workers=0))
    assert contents(workspace) == fresh(root, tmp_path / "fresh")


@pytest.mark.parametrize("offset", [-YEAR, YEAR], ids=["a year late", "a year early"])
def test_an_index_that_is_built_while_the_clock_is_wrong(
    workspace: Workspace, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offset: int
) -> None:
    """Files are dated by the same clock: then it is put right, files change, and it is wrong again."""
    now, now_ns = time.time, time.time_ns

    def wrong_clock(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(time, "time", lambda: now() + offset)
        patch.setattr(time, "time_ns", lambda: now_ns() + offset * 10**9)

    for number in range(3):
        with monkeypatch.context() as patch:
            if number % 2 == 0:
                wrong_clock(patch)
            write(root, CART, FILES[CART].replace("TAX = 0.2", f"TAX = 0.{number + 3}"))
            _date(root, CART, time.time())
            world.finish(workspace.index(workers=0))
        assert workspace.state() is Stale.FRESH
    assert contents(workspace) == fresh(root, tmp_path / "fresh")


def test_dates_that_no_clock_gives(workspace: Workspace, root: Path, tmp_path: Path) -> None:
    for path, seconds in ((CART, -1), ("shop/retry.py", 0), ("web/app.ts", 2**33), ("web/server.go", 1e9 + 1e-9)):
        _date(root, path, seconds)
    for number in range(2):
        world.finish(workspace.index(workers=0))
        write(root, CART, FILES[CART].replace("TAX = 0.2", f"TAX = 0.{number + 3}"))
        _date(root, CART, -1 - number)
    world.finish(workspace.index(workers=0))
    assert contents(workspace) == fresh(root, tmp_path / "fresh")
