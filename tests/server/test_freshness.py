"""What is told without looking at the files is never wrong: whatever can change an index is noticed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from codesearch import files
from codesearch.errors import RootError
from codesearch.events import Done
from codesearch.paths import Layout
from codesearch.server.freshness import Freshness
from codesearch.server.warm import Pool
from codesearch.settings import Settings
from codesearch.types import Stale
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
    "linked": lambda root: (root / "web/other.py").hardlink_to(root / "shop/cart.py"),
    "excluded at home": lambda root: (Path.home() / ".gitconfig").write_text("[core]\nexcludesFile = /nowhere\n"),
    "a repository": lambda root: git(root, "init", "-q", "web"),
    "above": lambda root: git(root.parent, "init", "-q", "."),
    "the index": lambda root: (root / ".codesearch/CURRENT").write_text("gen-2\n"),
    "the manifest": lambda root: os.utime(root / ".codesearch/gen-1/manifest.sqlite"),
    "adapted": lambda root: (root / ".codesearch/adaptation.json").write_text("{}"),
}


NAMED = {
    "edited": {"shop/cart.py"},
    "cut short": {"shop/cart.py"},
    "new": {"web/new.py"},
    "deleted": {"shop/cart.py"},
    "replaced": {"README.md", "shop/cart.py"},
    "dated": {"shop/cart.py"},
    "forbidden": {"shop/cart.py"},
}
"""The files that alone have to be looked at again; after any other change all have to."""


@pytest.mark.parametrize("change", CHANGES)
def test_every_kind_of_change_is_noticed(known: tuple[Path, Layout, Freshness], change: str) -> None:
    root, layout, fresh = known
    assert fresh.changed(layout, Settings()) == fresh.changed(layout, Settings()) == set()
    CHANGES[change](root)
    noticed = fresh.changed(layout, Settings())
    assert noticed == NAMED.get(change)
    assert fresh.changed(layout, Settings()) == noticed, "until the files have been compared again"


def test_what_changes_while_files_are_compared_is_noticed_after_it(known: tuple[Path, Layout, Freshness]) -> None:
    root, layout, fresh = known
    fresh.begin(layout)
    nested(root)
    fresh.done(layout, Settings())
    assert fresh.changed(layout, Settings()) is None
    fresh.begin(layout)
    fresh.done(layout, Settings())
    assert fresh.changed(layout, Settings()) == set()
    (root / "a/b/c/deep.py").write_text("def deep(): ...\n")
    assert fresh.changed(layout, Settings()) == {"a/b/c/deep.py"}


def test_files_stay_to_be_looked_at_until_they_have_been(known: tuple[Path, Layout, Freshness]) -> None:
    root, layout, fresh = known
    (root / "shop/cart.py").write_text("def other(): ...\n")
    assert fresh.changed(layout, Settings()) == {"shop/cart.py"}
    (root / "web/new.py").write_text("def new(): ...\n")
    fresh.done(layout, Settings(), {"shop/cart.py"})
    assert fresh.changed(layout, Settings()) == {"web/new.py"}
    fresh.done(layout, Settings(), {"web/new.py"})
    assert fresh.changed(layout, Settings()) == set()


def test_many_files_are_compared_at_once(known: tuple[Path, Layout, Freshness]) -> None:
    root, layout, fresh = known
    for number in range(100):
        (root / f"web/new_{number}.py").write_text("def new(): ...\n")
    assert fresh.changed(layout, Settings()) is None
    fresh.begin(layout)
    fresh.done(layout, Settings())
    assert fresh.changed(layout, Settings()) == set()


def test_other_settings_and_time_are_changes_too(
    known: tuple[Path, Layout, Freshness], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, layout, fresh = known
    assert fresh.changed(layout, Settings(hidden=True)) is None
    fresh.begin(layout)
    fresh.done(layout, Settings())
    assert fresh.changed(layout, Settings()) == set()
    monkeypatch.setattr("codesearch.server.freshness._OLDEST", 0)
    assert fresh.changed(layout, Settings()) is None


def test_more_changes_than_the_kernel_keeps_are_noticed(known: tuple[Path, Layout, Freshness]) -> None:
    root, layout, fresh = known
    most = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    for _ in range(most // 2 + 1):
        (root / "web" / "x").touch()
        (root / "web" / "x").unlink()
    assert fresh.changed(layout, Settings()) is None


@pytest.mark.parametrize("limit", ["_MOST", "_LOCAL"])
def test_where_it_can_not_watch_it_knows_nothing(
    known: tuple[Path, Layout, Freshness], monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    root, layout, _ = known
    monkeypatch.setattr(f"codesearch.server.freshness.{limit}", 2 if limit == "_MOST" else frozenset())
    fresh = Freshness(root)
    fresh.begin(layout)
    fresh.done(layout, Settings())
    assert fresh.changed(layout, Settings()) is None
    assert fresh.elsewhere() == ()


def test_a_server_looks_only_at_what_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "shop"
    indexed(root)
    looked: list[object] = []
    scan = files.scan
    monkeypatch.setattr(files, "scan", lambda *said: looked.append(said[2]) or scan(*said))

    def refreshed(change: Callable[[], object]) -> tuple[object, int, int]:
        change()
        *_, done = pool.open(root, Settings()).index()
        assert isinstance(done, Done)
        return looked.pop() if looked else None, done.indexed, done.removed

    with Pool(root) as pool:
        refreshed(lambda: None)
        assert refreshed(lambda: None) == (None, 0, 0)
        cart = root / "shop/cart.py"
        new = root / "web/new.py"
        assert refreshed(lambda: cart.write_text("def other(): ...\n")) == ({"shop/cart.py"}, 1, 0)
        assert refreshed(lambda: new.write_text("def new(): ...\n")) == ({"web/new.py"}, 1, 0)
        assert refreshed(lambda: new.rename(cart)) == ({"web/new.py", "shop/cart.py"}, 1, 1)
        assert refreshed(cart.unlink) == ({"shop/cart.py"}, 0, 1)
        assert refreshed(lambda: (root / "web/.hidden").touch()) == ({"web/.hidden"}, 0, 0)
        assert refreshed(lambda: (root / "a").mkdir()) == (None, 0, 0)
        assert pool.open(root, Settings()).state() is Stale.FRESH


def test_an_index_that_is_empty_at_last_says_so_each_time(tmp_path: Path) -> None:
    root = tmp_path / "shop"
    indexed(root)
    with Pool(root) as pool:
        for _ in pool.open(root, Settings()).index():
            pass
        for file in root.rglob("*"):
            if file.is_file() and ".codesearch" not in file.parts:
                file.unlink()
        for _ in range(2):
            with pytest.raises(RootError):
                list(pool.open(root, Settings()).index())
