"""What is told without looking at the files is never wrong: whatever can change an index is noticed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from codesearch.paths import Layout
from codesearch.server.freshness import Freshness
from codesearch.settings import Settings
from tests.server.conftest import indexed


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("above") / "shop"
    root.mkdir()
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    indexed(root)
    subprocess.run(["git", "-C", str(root), "add", "."], check=True)
    return root


@pytest.fixture
def known(repository: Path, tmp_path: Path) -> Iterator[tuple[Path, Layout, Freshness]]:
    """A repository that has just been compared, at rest."""
    root = tmp_path / "above" / "shop"
    shutil.copytree(repository, root)
    layout = Layout(root / ".codesearch")
    fresh = Freshness(root)
    fresh.begin(layout)
    fresh.done(layout, Settings())
    yield root, layout, fresh
    fresh.close()


def nested(root: Path) -> None:
    (root / "a" / "b" / "c").mkdir(parents=True)


def git(root: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", str(root), *arguments], check=True, capture_output=True)


CHANGES: dict[str, Callable[[Path], object]] = {
    "edited": lambda root: (root / "shop/cart.py").write_text("def other(): ...\n"),
    "cut short": lambda root: os.truncate(root / "shop/cart.py", 100),
    "new": lambda root: (root / "web/new.py").write_text("def new(): ...\n"),
    "deleted": lambda root: (root / "shop/cart.py").unlink(),
    "replaced": lambda root: (root / "README.md").replace(root / "shop/cart.py"),
    "moved in": lambda root: shutil.copytree(root / "shop", root / "copy"),
    "moved away": lambda root: (root / "shop").rename(root.parent / "gone"),
    "dated": lambda root: os.utime(root / "shop/cart.py"),
    "forbidden": lambda root: (root / "shop/cart.py").chmod(0),
    "folders": nested,
    "hidden": lambda root: (root / ".ignore").write_text("*.py\n"),
    "ignored from above": lambda root: (root.parent / ".ignore").write_text("*.py\n"),
    "ignored by git": lambda root: (root / ".git/info/exclude").write_text("*.py\n"),
    "forgotten by git": lambda root: git(root, "rm", "--cached", "-q", "shop/cart.py"),
    "another branch": lambda root: git(root, "checkout", "-q", "--orphan", "other"),
    "configured": lambda root: git(root, "config", "core.excludesFile", "/nowhere"),
    "excluded at home": lambda root: (Path.home() / ".gitconfig").write_text("[core]\nexcludesFile = /nowhere\n"),
    "a repository": lambda root: git(root, "init", "-q", "web"),
    "above": lambda root: git(root.parent, "init", "-q", "."),
    "the index": lambda root: (root / ".codesearch/CURRENT").write_text("gen-2\n"),
    "the manifest": lambda root: os.utime(root / ".codesearch/gen-1/manifest.sqlite"),
    "adapted": lambda root: (root / ".codesearch/adaptation.json").write_text("{}"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_every_kind_of_change_is_noticed(known: tuple[Path, Layout, Freshness], change: str) -> None:
    root, layout, fresh = known
    assert fresh.unchanged(layout, Settings()) and fresh.unchanged(layout, Settings())
    CHANGES[change](root)
    assert not fresh.unchanged(layout, Settings())
    assert not fresh.unchanged(layout, Settings()), "until the files have been compared again"


def test_what_changes_while_files_are_compared_is_noticed_after_it(known: tuple[Path, Layout, Freshness]) -> None:
    root, layout, fresh = known
    fresh.begin(layout)
    nested(root)
    fresh.done(layout, Settings())
    assert not fresh.unchanged(layout, Settings())
    fresh.begin(layout)
    fresh.done(layout, Settings())
    assert fresh.unchanged(layout, Settings())
    (root / "a/b/c/deep.py").write_text("def deep(): ...\n")
    assert not fresh.unchanged(layout, Settings())


def test_other_settings_and_time_are_changes_too(
    known: tuple[Path, Layout, Freshness], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, layout, fresh = known
    assert not fresh.unchanged(layout, Settings(hidden=True))
    fresh.begin(layout)
    fresh.done(layout, Settings())
    assert fresh.unchanged(layout, Settings())
    monkeypatch.setattr("codesearch.server.freshness._OLDEST", 0)
    assert not fresh.unchanged(layout, Settings())


def test_more_changes_than_the_kernel_keeps_are_noticed(known: tuple[Path, Layout, Freshness]) -> None:
    root, layout, fresh = known
    most = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    for _ in range(most // 2 + 1):
        (root / "web" / "x").touch()
        (root / "web" / "x").unlink()
    assert not fresh.unchanged(layout, Settings())


@pytest.mark.parametrize("limit", ["_MOST", "_LOCAL"])
def test_where_it_can_not_watch_it_knows_nothing(
    known: tuple[Path, Layout, Freshness], monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    root, layout, _ = known
    monkeypatch.setattr(f"codesearch.server.freshness.{limit}", 2 if limit == "_MOST" else frozenset())
    fresh = Freshness(root)
    fresh.begin(layout)
    fresh.done(layout, Settings())
    assert not fresh.unchanged(layout, Settings())
    assert fresh.elsewhere() == ()
