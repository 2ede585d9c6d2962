"""Whatever of an index is gone, cut short or overwritten, the next command notices, and answers as if nothing was."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from codesearch import adaptation, bundle, generations
from codesearch.adaptation import Adaptation
from codesearch.errors import CodesearchError
from codesearch.events import Planned
from codesearch.types import Stale
from codesearch.workspace import Workspace
from tests.faults import world
from tests.index.conftest import FILES, age, contents, fresh, write

EVERY = "FAULTS_EVERY" in os.environ
"""Whether every single file is mended, and not one of each kind; half a minute more."""

Damage = Callable[[Path], None]
Use = Callable[[Workspace], None]


def _halve(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def _empty(file: Path) -> None:
    file.write_bytes(b"")


def _files(folder: Path) -> list[Path]:
    return sorted(file.relative_to(folder) for file in folder.rglob("*") if file.is_file())


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, Any]]:
    """A repository, a copy of its index that has grown by refreshes, and what it holds."""
    folder = tmp_path_factory.mktemp("damage")
    root = folder / "shop"
    for path, text in FILES.items():
        write(root, path, text)
    age(root)
    with Workspace.open(root) as workspace:
        world.finish(workspace.index(workers=0))
        for number in range(2):
            write(root, "shop/cart.py", FILES["shop/cart.py"].replace("0.2", f"0.{number}"))
            world.finish(workspace.index(workers=0))
    age(root)
    with Workspace.open(root) as workspace:
        world.finish(workspace.index(workers=0))
    shutil.copytree(root / ".codesearch", folder / "whole")
    return root, folder / "whole", fresh(root, folder / "fresh")


def _ask(workspace: Workspace) -> None:
    assert workspace.ask("retry_with_backoff").hits[0].symbol == "retry_with_backoff"


def _index(workspace: Workspace) -> None:
    world.finish(workspace.index(workers=0))


def _damaged(indexed: tuple[Path, Path, dict[str, Any]], name: Path, damage: Damage) -> Workspace:
    """Return the repository's workspace with the file NAME of a whole index damaged."""
    root, whole, _ = indexed
    shutil.rmtree(root / ".codesearch", ignore_errors=True)
    shutil.copytree(whole, root / ".codesearch")
    damage(root / ".codesearch" / name)
    return Workspace.open(root)


def _wrong_after(indexed: tuple[Path, Path, dict[str, Any]], name: Path, damage: Damage, use: Use) -> list[str]:
    """Return what is wrong when the next command, after NAME was damaged, is USE."""
    with _damaged(indexed, name, damage) as workspace:
        try:
            use(workspace)
            return [] if contents(workspace) == indexed[2] else [f"{name}: differs"]
        except Exception as error:
            return [f"{name}: {type(error).__name__}: {error}"]


@pytest.mark.parametrize("damages", [(Path.unlink,), (_halve, _empty)], ids=["gone", "cut short"])
def test_each_file_of_an_index_in_turn(indexed: tuple[Path, Path, dict[str, Any]], damages: tuple[Damage, ...]) -> None:
    """Each is noticed before it is read; what follows is the same, so it is done once for each kind, or if EVERY."""
    names = _files(indexed[1])
    done: set[tuple[Path, str]] = set()
    wrong = []
    for number, name in enumerate(names):
        damage = damages[number % len(damages)]
        vouched_for = len(name.parts) > 1 and (damage is Path.unlink or (indexed[1] / name).stat().st_size)
        vouched_for = vouched_for and name.name != generations.HINT
        if vouched_for:
            with _damaged(indexed, name, damage) as workspace:
                if workspace.state() is not Stale.DAMAGED:
                    wrong.append(f"{name}: not noticed")
        kind = name.parent, name.suffix
        if EVERY or kind not in done:
            done.add(kind)
            wrong += _wrong_after(indexed, name, damage, (_ask, _index)[number % 2])
    assert not wrong, "\n".join(wrong)
    assert len(names) > 20


@pytest.mark.parametrize("content", [b"", b'{"version":1}', b'{"version":10}', b'{"version":99999}', b"garbage"])
def test_a_hint_of_lancedbs_that_is_wrong_is_no_damage(
    indexed: tuple[Path, Path, dict[str, Any]], content: bytes
) -> None:
    """It is written in its place with each commit: empty after one that had no room, and longer before all is done."""
    name = Path("gen-1/store/chunks.lance/_versions", generations.HINT)
    with _damaged(indexed, name, lambda file: file.write_bytes(content) and None) as workspace:
        assert workspace.state() is Stale.FRESH
        cart = indexed[0] / "shop/cart.py"
        kept = cart.read_bytes()
        try:
            cart.write_bytes(kept + b"\n\ndef more():\n    return 2\n")
            assert workspace.ask("more", min_score=0).hits[0].symbol == "more"
        finally:
            cart.write_bytes(kept)
        _index(workspace)
        assert contents(workspace) == indexed[2]
        assert [path.name for path in workspace.layout.folder.glob("gen-*")] == ["gen-1"], "it was not built again"


@pytest.mark.parametrize("folder", ["gen-1", "gen-1/store", "gen-1/model", "gen-1/store/chunks.lance/data"])
def test_a_folder_that_is_gone(indexed: tuple[Path, Path, dict[str, Any]], folder: str) -> None:
    assert not _wrong_after(indexed, Path(folder), shutil.rmtree, _ask)


@pytest.mark.parametrize(
    ("name", "content"),
    [("CURRENT", b"../../elsewhere\n"), ("CURRENT", b"gen-2\n"), ("gen-1/manifest.sqlite", b"garbage" * 1000)],
    ids=["CURRENT leads out", "CURRENT names nothing", "no database"],
)
def test_a_file_that_says_something_else(indexed: tuple[Path, Path, dict[str, Any]], name: str, content: bytes) -> None:
    assert not _wrong_after(indexed, Path(name), lambda file: file.write_bytes(content) and None, _ask)


def test_a_build_that_begins_where_the_index_was_removed_does_not_answer_before_it_is_complete(
    indexed: tuple[Path, Path, dict[str, Any]],
) -> None:
    """It would get the name that CURRENT still says, and be taken for what it names."""
    with _damaged(indexed, Path("gen-1"), shutil.rmtree) as workspace:
        events = workspace.index(workers=0)
        while not isinstance(next(events), Planned):
            pass
        assert generations.current(workspace.layout) is None
        events.close()
        _ask(workspace)


def test_a_retriever_of_its_own_whose_folder_is_half_written_answers_from_its_copy_and_else_is_trained_again(
    indexed: tuple[Path, Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adaptation, "FEWEST", 0)
    with _damaged(indexed, Path("lock"), Path.touch) as workspace:
        base = workspace.base
        made = Path(shutil.copytree(base.folder, tmp_path / "made"))
        own = bundle.save(made, replace(base.description, name="own", query_prefix="x")).fingerprint
        said = Adaptation(
            accepted=True, reason="", base=base.fingerprint, fingerprint=own, seen=adaptation.files(workspace.layout)
        )
        adaptation.keep(workspace.layout, said, made)
        _index(workspace)
        assert workspace.status().fingerprint == own
        for damage in (_halve, Path.unlink):
            damage(workspace.layout.folder / f"model-{own}" / "bundle.json")
            with Workspace.open(indexed[0]) as again:
                _ask(again)
                assert again.status().fingerprint == own
                assert again.training_due() == ""
        shutil.rmtree(workspace.layout.folder / "gen-2")
        with Workspace.open(indexed[0]) as again:
            _ask(again)
            assert contents(again) == indexed[2]
            assert again.status().fingerprint == base.fingerprint
            assert again.training_due() is None


def test_bytes_that_were_overwritten_are_an_error_at_most_and_the_next_command_works(
    indexed: tuple[Path, Path, dict[str, Any]],
) -> None:
    wrong = []
    chance = random.Random(0)

    def overwrite(file: Path) -> None:
        data = bytearray(file.read_bytes())
        at = chance.randrange(max(len(data), 1))
        data[at : at + 200] = chance.randbytes(len(data[at : at + 200]))
        file.write_bytes(data)

    read_as_they_are = {"_indices", "_versions", "data", "manifest.sqlite"}  # the model is known by its digest
    names = [name for name in _files(indexed[1]) if read_as_they_are & {*name.parts}]
    for name in names if EVERY else names[::2]:
        try:
            with suppress(CodesearchError), _damaged(indexed, name, overwrite) as workspace:
                workspace.ask("retry_with_backoff")
            with Workspace.open(indexed[0]) as workspace:
                workspace.ask("retry_with_backoff")
        except Exception as error:
            wrong.append(f"{name}: {type(error).__name__}: {error}")
    assert not wrong, "\n".join(wrong)
