"""An index that a former version has written is built again by itself, and nothing of it is left.

`formats` holds what those versions wrote, packed by `python -m tests.faults.upgrade --keep`; without `--keep` that also
tries them with their models, from git's history. Whoever raises a version of the rules, of a format or of the base adds
the commit before to `upgrade.FORMATS`.
"""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from codesearch.paths import base_bundle
from tests.faults import upgrade


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "shop"
    upgrade.lay_out(root)
    return root


def _unpack(root: Path, commit: str) -> None:
    """Give ROOT the index that the version at COMMIT wrote."""
    with tarfile.open(upgrade.KEPT / f"{commit}.tar.xz") as archive:
        archive.extractall(root.parent, filter="data")
    index = (root.parent / "index").rename(root / ".codesearch")
    upgrade.move(index, root)
    for name in ("model.onnx", "tokenizer.json"):  # left out for their size; only an index that is fresh needs them
        (index / "gen-1" / "model" / name).symlink_to(base_bundle() / name)


@pytest.mark.parametrize("commit", upgrade.FORMATS)
def test_an_index_of_a_former_version(root: Path, commit: str) -> None:
    _unpack(root, commit)
    assert not list(upgrade.wrong(root))


def test_an_index_of_a_version_without_seals_is_left_alone(root: Path) -> None:
    _unpack(root, "62fbc33")
    assert not list(upgrade.unsealed(root))
