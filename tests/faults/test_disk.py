"""A disk that is full, can not be written or fails: said with what to do, nothing lost, and nothing left in the way."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from codesearch import adaptation
from codesearch.adaptation import Adaptation
from codesearch.errors import StorageError
from codesearch.types import Stale
from codesearch.workspace import Workspace
from tests.faults import full, world
from tests.index.conftest import FILES, contents, fresh, write

CODES = (errno.ENOSPC, errno.EROFS, errno.EIO)
STEPS = (
    (False, os, "mkdir", 1),
    (False, os, "mkdir", 3),
    (False, shutil, "copyfile", 2),
    (False, os, "fsync", 1),
    (False, os, "replace", 1),
    (True, os, "replace", 1),
    (True, os, "fsync", 5),
    (True, os, "rename", 1),
    (True, os, "unlink", 1),
)
"""Whether there is an index that is replaced, a step on disk, and the call from which on it fails."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "shop"
    for path, text in FILES.items():
        write(root, path, text)
    return root


def _fail(monkeypatch: pytest.MonkeyPatch, folder: Path, owner: Any, name: str, code: int, first: int = 1) -> None:
    """Let the function NAME of OWNER fail with CODE from call FIRST on, where it concerns FOLDER."""
    function: Callable[..., Any] = getattr(owner, name)
    calls = 0

    def failing(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        concerned = name == "fsync" or any(str(folder) in str(arg) for arg in args)
        calls += concerned
        if concerned and calls >= first:
            raise OSError(code, os.strerror(code), str(args[0]))
        return function(*args, **kwargs)

    monkeypatch.setattr(owner, name, failing)


def test_any_step_on_disk_may_fail(root: Path, tmp_path: Path) -> None:
    """While an index is built first, and while one that answers is replaced."""
    wanted = fresh(root, tmp_path / "fresh")
    wrong: list[str] = []
    refused = 0
    for number, (answers, owner, name, first) in enumerate(STEPS):
        code = CODES[number % len(CODES)]
        what = f"{name} {first}, {errno.errorcode[code]}"
        if not answers:
            shutil.rmtree(root / ".codesearch", ignore_errors=True)
        with pytest.MonkeyPatch.context() as monkeypatch, Workspace.open(root) as workspace:
            _fail(monkeypatch, root / ".codesearch", owner, name, code, first)
            try:
                world.finish(workspace.index(workers=0, rebuild=answers))
            except StorageError as error:
                refused += 1
                if "run the same command again" not in str(error):
                    wrong.append(f"{what}: {error}")
            except Exception as error:
                wrong.append(f"{what}: {type(error).__name__}: {error}")
            if answers and workspace.ask("retry_with_backoff").hits[0].symbol != "retry_with_backoff":
                wrong.append(f"{what}: the old index does not answer")
        with Workspace.open(root) as workspace:
            if workspace.ask("retry_with_backoff").state is not Stale.FRESH or contents(workspace) != wanted:
                wrong.append(f"{what}: it is not right afterwards")
    assert not wrong, "\n".join(wrong)
    assert refused >= 5


def test_a_training_that_can_not_be_kept_leaves_the_one_before(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Workspace.open(root) as workspace:
        world.finish(workspace.index(workers=0))
        base = workspace.base
        first = Adaptation(accepted=True, reason="", base=base.fingerprint, fingerprint=base.fingerprint)
        adaptation.keep(workspace.layout, first, base.folder)
        second = replace(first, reason="better still")
        for owner, name in ((shutil, "copytree"), (os, "rename"), (os, "replace")):
            with monkeypatch.context() as patch:
                _fail(patch, root / ".codesearch", owner, name, errno.ENOSPC)
                with pytest.raises(StorageError, match="disk space"):
                    adaptation.keep(workspace.layout, second, base.folder)
            assert adaptation.last(workspace.layout) == first
            assert adaptation.model(workspace.layout, base) is not None
        adaptation.keep(workspace.layout, second, base.folder)
        assert adaptation.last(workspace.layout) == second
        assert not world.leftovers(workspace)


@pytest.mark.skipif(full.enter() is None, reason="mounting a small disk is not allowed here")
def test_a_small_disk_that_fills_up_and_is_made_read_only(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    command = [*(full.enter() or ()), sys.executable, "-m", "tests.faults.full", str(disk)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    said = json.loads(done.stdout)
    assert not said["wrong"], "\n".join(said["wrong"])
    assert len(said["refusals"]) > 3, said["refusals"]
