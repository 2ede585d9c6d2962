"""An index folder that comes with a repository or an archive: it is not believed, not followed, and not written to."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from codesearch import nearest, registry
from codesearch.cli.care import indexes
from codesearch.errors import UsageError
from codesearch.events import Warned
from codesearch.seal import SEAL, seal, sealed
from codesearch.settings import Settings
from codesearch.types import Stale
from codesearch.workspace import Workspace
from tests.cli.conftest import Command, codesearch, script, surroundings, write  # noqa: F401
from tests.hostile.watch import nothing_opened
from tests.index.conftest import index

QUESTION = "call again after a failure, waiting longer each time"


@pytest.fixture
def stranger(tmp_path: Path) -> Path:
    """An index of a stranger's, made for the very path and inode that the victim's root has."""
    root = write(tmp_path / "shop")
    folder = tmp_path / "made elsewhere"
    with Workspace.open(root, Settings(index_dir=folder)) as workspace:
        index(workspace)
    (folder / SEAL).unlink()
    return folder


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    """A file of the user's, outside of the root, that a link leads to."""
    file = tmp_path / "home" / "profile"
    file.parent.mkdir()
    file.write_text("alias ll='ls -l'\n" * 30_000)  # so long that a log would be begun anew
    return file


def link(name: str) -> Callable[[Path, Path], None]:
    def plant(folder: Path, precious: Path) -> None:
        place = folder / name
        if place.is_dir():
            shutil.rmtree(place)
        place.unlink(missing_ok=True)
        place.symlink_to(precious if "store" not in name and "model" not in name else precious.parent)

    return plant


def pipe(name: str) -> Callable[[Path, Path], None]:
    def plant(folder: Path, precious: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        os.mkfifo(folder / name)

    return plant


def row(folder: Path, precious: Path) -> None:
    """Say that a file outside of the root is one of the repository's."""
    with closing(sqlite3.connect(folder / "gen-1" / "manifest.sqlite")) as db, db:
        db.execute("UPDATE files SET path = ? WHERE path = 'shop/retry.py'", (f"../home/{precious.name}",))


def model(folder: Path, precious: Path) -> None:
    (folder / "gen-1" / "model" / "model.onnx").write_bytes(b"\x80\x04cos\nsystem\n")


def adapted(folder: Path, precious: Path) -> None:
    """Claim that a retriever of the stranger's has proved itself."""
    shutil.copytree(folder / "gen-1" / "model", folder / "model-f00")
    said = {"accepted": True, "reason": "", "base": "", "fingerprint": "f00", "format": 1}
    (folder / "adaptation.json").write_text(json.dumps(said))


def forged(folder: Path, precious: Path) -> None:
    (folder / SEAL).write_bytes(bytes(64))


def another(folder: Path, precious: Path) -> None:
    """A seal of the user's own, of another folder, that has become known."""
    other = folder.parent / "other"
    other.mkdir()
    seal(other)
    shutil.copy(other / SEAL, folder / SEAL)


PLANTED: dict[str, Callable[[Path, Path], None]] = {
    "as it is": lambda folder, precious: None,
    "a seal of nothing": forged,
    "a seal of another folder": another,
    "the seal is a pipe": pipe(SEAL),
    "the seal is a link": link(SEAL),
    "a row that leads out": row,
    "a model that is a pickle": model,
    "a retriever that claims to be adapted": adapted,
    "the log is a link": link("log"),
    "the lock is a link": link("lock"),
    "the lock of training is a link": link("training"),
    "what CURRENT is replaced with is a link": link("CURRENT.new"),
    "CURRENT is a link": link("CURRENT"),
    "CURRENT is a pipe": pipe("CURRENT"),
    "the manifest is a link": link("gen-1/manifest.sqlite"),
    "the store is a link": link("gen-1/store"),
    "the model is a link": link("gen-1/model"),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_an_index_that_came_with_the_folder_is_left_alone(planted: str, stranger: Path, precious: Path) -> None:
    """It is neither read nor written, and a fresh one answers from the user's own folder, with a notice."""
    root = stranger.parent / "shop"
    PLANTED[planted](stranger, precious)
    folder = stranger.rename(root / ".codesearch")
    before = sorted((str(path), path.lstat().st_mtime_ns) for path in folder.rglob("*"))
    kept = precious.read_bytes()
    with (
        nothing_opened(
            precious.parent, *(path for path in folder.iterdir() if path.is_dir() and not path.is_symlink())
        ),
        Workspace.open(root) as workspace,
    ):
        assert workspace.state() is Stale.MISSING
        assert not workspace.layout.folder.is_relative_to(root)
        told = [event.message for event in workspace.index(workers=0) if isinstance(event, Warned)]
        assert len(told) == 1 and "you have not made it here" in told[0] and "Run `codesearch clear`" in told[0]
        answer = workspace.ask(QUESTION)
        assert workspace.bundle.fingerprint == workspace.base.fingerprint
    assert answer.hits[0].path == "shop/retry.py"
    assert precious.read_bytes() == kept
    assert sorted((str(path), path.lstat().st_mtime_ns) for path in folder.rglob("*")) == before


def test_the_command_says_so_and_goes_on(stranger: Path, codesearch: Command) -> None:  # noqa: F811
    root = stranger.parent / "shop"
    stranger.rename(root / ".codesearch")
    done = codesearch("ask", QUESTION, cwd=root)
    assert (done.returncode, done.stdout.partition(":")[0]) == (0, "shop/retry.py")
    assert "not used, because you have not made it here" in done.stderr


def test_one_command_lets_the_index_be_kept_in_the_folder_again(
    stranger: Path,
    precious: Path,
    codesearch: Command,  # noqa: F811
) -> None:
    """What lies there is removed unseen: neither locked, nor followed where it is a link; what else is there stays."""
    root = stranger.parent / "shop"
    for name in ("lock", "log", "gen-1/store"):
        link(name)(stranger, precious)
    folder = stranger.rename(root / ".codesearch")
    (folder / "notes.txt").write_text("mine")
    kept = precious.read_bytes()
    assert "`codesearch clear`" in codesearch("ask", QUESTION, cwd=root).stderr
    done = codesearch("clear", "--yes", cwd=root)
    assert done.returncode == 0
    removed, instead = (Path(line.split()[1]) for line in done.stderr.splitlines())
    assert removed == folder and not instead.is_relative_to(root)
    assert precious.read_bytes() == kept and list(precious.parent.iterdir()) == [precious]
    assert [path.name for path in folder.iterdir()] == ["notes.txt"] and not instead.exists()
    (folder / "notes.txt").unlink()
    done = codesearch("ask", QUESTION, cwd=root)
    assert done.stdout.startswith("shop/retry.py") and "not used" not in done.stderr
    assert (folder / "CURRENT").is_file()


def test_an_index_that_git_tracks_is_not_removed(stranger: Path, codesearch: Command) -> None:  # noqa: F811
    root = stranger.parent / "shop"
    folder = stranger.rename(root / ".codesearch")
    (folder / ".gitignore").unlink()
    for command in (("init", "-q"), ("add", "-f", ".")):
        subprocess.run(["git", *command], cwd=root, check=True)
    assert "Remove .codesearch/" in Workspace.open(root).notice
    assert codesearch("clear", "--yes", cwd=root).returncode == 2
    assert (folder / "CURRENT").is_file()


def test_a_strangers_index_above_is_not_the_one_that_answers(stranger: Path) -> None:
    """Unless the user has made another one there, which is elsewhere because of it."""
    root = stranger.parent / "shop"
    stranger.rename(root / ".codesearch")
    inside = str((root / "shop").resolve())
    assert nearest.indexed(str(root.resolve())) == str(root.resolve())
    assert nearest.indexed(inside) == inside
    with Workspace.open(root) as workspace:
        index(workspace)
    assert nearest.indexed(inside) == str(root.resolve())
    shutil.rmtree(root / ".codesearch")
    with Workspace.open(root) as workspace:
        index(workspace)
    assert nearest.indexed(inside) == str(root.resolve())


def test_an_index_is_ones_own_again_where_it_was_moved_to_and_not_where_it_was_copied_to(tmp_path: Path) -> None:
    root = write(tmp_path / "shop")
    with Workspace.open(root) as workspace:
        index(workspace)
    copy = shutil.copytree(root, tmp_path / "copy")
    moved = root.rename(tmp_path / "moved")
    assert sealed(moved / ".codesearch") and not sealed(copy / ".codesearch")
    assert Workspace.open(moved).state() is Stale.FRESH
    assert Workspace.open(copy).layout.folder.name.startswith("copy-")


def test_a_folder_of_an_index_that_is_named_must_be_ones_own_too(stranger: Path) -> None:
    with pytest.raises(UsageError, match="not made it here"):
        Workspace.open(stranger.parent / "shop", Settings(index_dir=stranger))


def test_a_folder_that_was_noted_and_is_a_strangers_now_is_not_looked_into(stranger: Path) -> None:
    root = stranger.parent / "shop"
    folder = stranger.rename(root / ".codesearch")
    registry.note(root, folder)
    assert [(one["state"], one["files"]) for one in indexes()] == [("no index", 0)]


def test_the_secret_is_for_the_user_alone_and_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "new"))
    folder = tmp_path / "index"
    folder.mkdir()
    seal(folder)
    (key,) = (tmp_path / "new").rglob("key")
    assert key.stat().st_mode & 0o777 == 0o600 and len(key.read_bytes()) == 32
    assert sealed(folder)
    monkeypatch.setenv("HOME", str(tmp_path / "somebody else"))
    assert not sealed(folder)


def test_where_no_secret_can_be_kept_an_index_still_lasts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nobody").write_text("a file, where a home folder should be")
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    root = write(tmp_path / "shop")
    with Workspace.open(root) as workspace:
        index(workspace)
    with Workspace.open(root) as workspace:
        assert workspace.state() is Stale.FRESH
