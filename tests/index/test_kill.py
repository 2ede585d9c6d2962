"""Killed at any point, the index still answers as before, and the next run makes it what a fresh build gives."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from codesearch.events import Planned, Progress
from codesearch.manifest import Manifest
from codesearch.store import Store
from codesearch.types import Stale
from codesearch.workspace import Workspace

from .conftest import age, contents, finish, fresh, index, write

CHILD = """
import os, signal, sys
from pathlib import Path
from codesearch import index, manifest, prepare, store
from codesearch.workspace import Workspace

def main():
    index._COMMIT, prepare._BATCH_FILES = 40, 8  # many small commits, so that there is much to fall between
    point, root, workers = sys.argv[1], sys.argv[2], int(sys.argv[3])
    if point:
        when, name, call, wanted = point.split()
        owner = {"Manifest": manifest.Manifest, "Store": store.Store}[name]
        original, calls = getattr(owner, call), [0]
        def dying(*args, **kwargs):
            calls[0] += 1
            if calls[0] == int(wanted) and when == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            result = original(*args, **kwargs)
            if calls[0] == int(wanted):
                os.kill(os.getpid(), signal.SIGKILL)
            return result
        setattr(owner, call, dying)
    for event in Workspace.open(Path(root)).index(workers=workers):
        print(type(event).__name__, flush=True)

if __name__ == "__main__":
    main()
"""


def start(tmp_path: Path, root: Path, point: str = "", workers: int = 0) -> subprocess.Popen[str]:
    script = tmp_path / "child.py"
    script.write_text(CHILD)
    return subprocess.Popen(
        [sys.executable, str(script), point, str(root), str(workers)], stdout=subprocess.PIPE, text=True
    )


def kill_at(tmp_path: Path, root: Path, point: str) -> None:
    """Index in a process that kills itself at POINT: before or after, class, method, number of the call."""
    child = start(tmp_path, root, point)
    child.communicate(timeout=60)
    assert child.returncode == -signal.SIGKILL


def many(root: Path, word: str = "first") -> None:
    for i in range(60):
        write(root, f"many/module_{i}.py", f"def function_{i}(x):\n    return {word}_{i}(x)\n\n\ndef twin(y):\n    y\n")


def test_killed_between_the_two_commits_of_a_refresh_readers_see_what_was(
    workspace: Workspace, root: Path, tmp_path: Path
) -> None:
    many(root)
    index(workspace)
    before = contents(workspace)
    many(root, "second")
    (root / "many/module_7.py").unlink()
    kill_at(tmp_path, root, "before Manifest commit 1")
    assert contents(Workspace.open(root)) == before
    assert workspace.state() is Stale.FILES
    index(workspace)
    assert contents(workspace) == fresh(root, tmp_path / "fresh")


@pytest.mark.parametrize(
    ("point", "kept"),
    [
        ("before Manifest record 1", False),  # the generation is begun, and says nothing of itself yet
        ("before Manifest commit 1", False),
        ("after Store append 3", True),
        ("before Store index 1", True),
        ("after Store index 1", True),
    ],
)
def test_a_build_that_was_killed_goes_on(
    workspace: Workspace, root: Path, tmp_path: Path, point: str, kept: bool
) -> None:
    many(root)
    age(root)
    kill_at(tmp_path, root, point)
    assert workspace.state() is Stale.MISSING
    events = list(workspace.index())
    planned = next(e.files for e in events if isinstance(e, Planned))
    assert planned < 60 if kept else planned == 67
    assert finish(events).files == 66
    assert contents(workspace) == fresh(root, tmp_path / "fresh")
    assert [p.name for p in workspace.layout.folder.glob("gen-*")] == [current(workspace)]


def current(workspace: Workspace) -> str:
    return workspace.layout.current.read_text().strip()


@pytest.mark.parametrize("point", ["after Store compact 1", "after Store clean 1"])
def test_killed_while_compacting(workspace: Workspace, root: Path, tmp_path: Path, point: str) -> None:
    many(root)
    index(workspace)
    # More chunks than the full-text index may lag behind make compaction due.
    for i in range(120):
        write(root, f"more/module_{i}.py", "".join(f"def f{j}(x):\n    return g{i}_{j}(x)\n\n\n" for j in range(5)))
    kill_at(tmp_path, root, point)
    index(workspace)
    assert contents(workspace) == fresh(root, tmp_path / "fresh")


def test_killed_at_any_moment(root: Path, tmp_path: Path) -> None:
    """Four times, while files change in between; then once to the end."""
    chance = random.Random(1)
    many(root)
    for attempt in range(4):
        child = start(tmp_path, root, workers=chance.choice([0, 2]))
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(chance.uniform(0, 1.5))
        child.kill()
        child.communicate()
        for i in chance.sample(range(60), 5):
            write(root, f"many/module_{i}.py", f"def function_{i}(x):\n    return attempt_{attempt}(x)\n")
    with Workspace.open(root) as workspace:
        index(workspace)
        assert contents(workspace) == fresh(root, tmp_path / "fresh")
        assert not list(workspace.layout.folder.rglob("*.tmp*"))


def test_stopping_the_iteration_keeps_what_was_reported(
    workspace: Workspace, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many(root)
    age(root)
    monkeypatch.setattr("codesearch.index._COMMIT", 40)
    monkeypatch.setattr("codesearch.prepare._BATCH_FILES", 8)
    events = workspace.index(workers=0)
    done = next(e for e in events if isinstance(e, Progress))
    events.close()
    assert workspace.state() is Stale.MISSING
    rest = list(workspace.index())
    assert [e.files for e in rest if isinstance(e, Planned)] == [67 - done.files]
    assert contents(workspace) == fresh(root, tmp_path / "fresh")


def test_workers_end_when_their_parent_is_killed(root: Path, tmp_path: Path) -> None:
    many(root)
    child = start(tmp_path, root, "after Store append 2", workers=2)
    child.communicate(timeout=60)
    assert child.returncode == -signal.SIGKILL
    deadline = time.monotonic() + 10
    while left := _processes(str(tmp_path)):
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


def _processes(word: str) -> list[str]:
    """Return the command lines of this machine's processes that were started from the folder named WORD."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if word in str((process / "cwd").resolve()) or word.encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


def test_what_a_store_has_beyond_the_manifest_never_happened(workspace: Workspace, root: Path) -> None:
    index(workspace)
    generation = workspace.snapshot()
    before = contents(workspace)
    folder = workspace.layout.generation(current(workspace))
    with Manifest(folder.manifest) as manifest:
        store = Store.open(folder.store, manifest.store_version)
        assert not store.reset()
        store.remove(["shop/cart.py"])
        store.close()
    assert contents(Workspace.open(root)) == before
    again = Store.open(folder.store, generation.manifest.store_version)
    assert again.reset()
    assert not again.reset()
