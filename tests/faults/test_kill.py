"""Killed at any point, the index still answers as before, and the next command makes it what a fresh build gives.

Some dozens of rounds; `python -m tests.faults --rounds 500` makes hundreds and prints where.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from codesearch import adaptation
from codesearch.events import Planned, Progress
from codesearch.manifest import Manifest
from codesearch.store import Store
from codesearch.types import Stale
from codesearch.workspace import Workspace
from tests.faults import world
from tests.faults.points import ANY, DEEDS, TRAINS
from tests.faults.rounds import At, Rounds, forks, kill, table
from tests.faults.victim import MARK
from tests.index.conftest import age, contents, finish, fresh, index, write

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")

_QUICK = tuple(deed for deed in DEEDS if deed not in (*TRAINS, "share"))
MANIFEST, STORE = "codesearch.manifest:Manifest", "codesearch.store:Store"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    world.found(root)
    return root


@pytest.fixture
def workspace(root: Path) -> Iterator[Workspace]:
    with Workspace.open(root) as workspace:
        yield workspace


def _die(root: Path, at: At, deed: str = "refresh") -> None:
    assert kill(forks(), deed, root, 0, at), f"{at} was not reached"


def _current(workspace: Workspace) -> str:
    return workspace.layout.current.read_text().strip()


@pytest.mark.parametrize(
    ("deeds", "count"),
    [
        (_QUICK, 15),
        pytest.param(("adapt",), 2, marks=pytest.mark.skipif(not importlib.util.find_spec("torch"), reason="torch")),
    ],
    ids=["indexing", "adapting"],
)
def test_kills_here_and_there(tmp_path: Path, deeds: tuple[str, ...], count: int) -> None:
    rounds = list(Rounds(tmp_path, 1, deeds).run(count))
    assert not any(one.wrong for one in rounds), "\n".join([table(rounds), *(str(r) for r in rounds if r.wrong)])
    at_points = [one for one in rounds if one.point != ANY]
    assert sum(one.killed for one in at_points) >= len(at_points) // 2, table(rounds)


def test_killed_between_the_two_commits_of_a_refresh_readers_see_what_was(workspace: Workspace, root: Path) -> None:
    index(workspace, workers=0)
    before = contents(workspace)
    write(root, "many/module_3.py", "def third():\n    return 3\n")
    (root / "many/module_7.py").unlink()
    _die(root, At(f"{MANIFEST}.commit", "before", 1))
    assert contents(Workspace.open(root)) == before
    assert workspace.state() is Stale.FILES


@pytest.mark.parametrize(
    ("at", "kept"),
    [
        (At(f"{MANIFEST}.record", "before", 1), False),  # the generation is begun, and says nothing of itself yet
        (At(f"{MANIFEST}.commit", "before", 1), False),
        (At(f"{STORE}.append", "after", 3), True),
        (At(f"{STORE}.index", "before", 1), True),
    ],
    ids=lambda value: f"{value.when} {value.point.partition(':')[2]} {value.call}" if isinstance(value, At) else "",
)
def test_a_build_that_was_killed_goes_on(workspace: Workspace, root: Path, at: At, kept: bool) -> None:
    age(root)
    files = sum(path.is_file() for path in root.rglob("*"))
    _die(root, at, "index")
    assert workspace.state() is Stale.MISSING
    planned = next(event.files for event in list(workspace.index(workers=0)) if isinstance(event, Planned))
    assert planned < files if kept else planned == files
    assert [path.name for path in workspace.layout.folder.glob("gen-*")] == [_current(workspace)]


def test_what_killed_runs_have_left_goes_with_the_next_that_writes_and_with_clear(
    workspace: Workspace, root: Path
) -> None:
    index(workspace, workers=0)
    folder = workspace.layout.folder
    for name in ("CURRENT.new", "adaptation.new"):
        (folder / name).touch()
    for name in ("old-gen-7", "gen-8", "model-abc.partial", "work-abc"):
        (folder / name / "inner").mkdir(parents=True)
    (folder / ".gitignore").write_text("")
    (folder / "lock").unlink()
    write(root, "many/module_3.py", "def third():\n    return 3\n")
    index(workspace, workers=0)
    left = {path.name for path in folder.iterdir()} - {"CURRENT", "gen-1", "lock", "seal", ".gitignore"}
    assert left == {"adaptation.new", "model-abc.partial", "work-abc"}, "these belong to training"
    assert (folder / ".gitignore").read_text() == "*\n"
    adaptation.tidy(workspace.layout)  # the next training ends with this
    assert not (folder / "model-abc.partial").exists()
    assert not world.cleared(root)


def test_stopping_the_iteration_keeps_what_was_reported(
    workspace: Workspace, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    age(root)
    monkeypatch.setattr("codesearch.index._COMMIT", 24)
    monkeypatch.setattr("codesearch.prepare._BATCH_FILES", 6)
    events = workspace.index(workers=0)
    planned = next(event for event in events if isinstance(event, Planned))
    done = next(event for event in events if isinstance(event, Progress))
    events.close()
    assert workspace.state() is Stale.MISSING
    rest = list(workspace.index(workers=0))
    assert [event.files for event in rest if isinstance(event, Planned)] == [planned.files - done.files]
    assert finish(rest).files
    assert contents(workspace) == fresh(root, tmp_path / "fresh")


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
def test_workers_end_when_their_parent_is_killed(root: Path) -> None:
    _die(root, At(f"{STORE}.append", "after", 2), "share")
    deadline = time.monotonic() + 60
    while left := _started_by_victim(root):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def _started_by_victim(root: Path) -> list[str]:
    """Return the command lines of the processes that the victim of ROOT has started, and that are still there."""
    found = []
    mark = os.fsencode(f"{MARK}={root}")
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


def test_what_a_store_has_beyond_the_manifest_never_happened(workspace: Workspace, root: Path) -> None:
    index(workspace, workers=0)
    generation = workspace.snapshot()
    before = contents(workspace)
    folder = workspace.layout.generation(_current(workspace))
    with Manifest(folder.manifest) as manifest:
        store = Store.open(folder.store, manifest.store_version)
        assert not store.reset()
        store.remove(["shop/cart.py"])
        store.close()
    assert contents(Workspace.open(root)) == before
    again = Store.open(folder.store, generation.manifest.store_version)
    assert again.reset()
    assert not again.reset()
