"""A repository that is read from elsewhere runs nothing here, whatever it says and whatever this machine is set to."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from codesearch import git as door
from codesearch.errors import GitError
from codesearch.fleet.build import Unbuilt, build
from codesearch.fleet.sources import Source
from codesearch.paths import base_bundle
from tests.fleet.conftest import built, commit, filled, git


def test_a_filter_of_the_machines_own_is_not_run_for_a_strangers_attribute(home: Path, tmp_path: Path) -> None:
    """As git-lfs, which is installed for all repositories, would load what a stranger points to."""
    ran = tmp_path / "ran"
    (home / ".gitconfig").write_text(
        f'[filter "lfs"]\n\tsmudge = touch {ran}\n\tprocess = touch {ran}\n\trequired = true\n'
        f"[core]\n\thooksPath = {tmp_path}/hooks\n[init]\n\ttemplateDir = {tmp_path}/template\n"
    )
    for name in ("hooks/post-checkout", "template/hooks/post-checkout", "hooks/reference-transaction"):
        hook = tmp_path / name
        hook.parent.mkdir(parents=True, exist_ok=True)
        hook.write_text(f"#!/bin/sh\ntouch {ran}\n")
        hook.chmod(0o755)
    repository = tmp_path / "code"
    repository.mkdir()
    os.environ["GIT_CONFIG_GLOBAL"] = os.devnull  # to make it
    try:
        made = commit(repository, {".gitattributes": "*.py filter=lfs\n", "a.py": "def answer():\n    return 42\n"})
    finally:
        del os.environ["GIT_CONFIG_GLOBAL"]
    folder = tmp_path / "out"
    folder.mkdir()
    assert door.checkout(str(repository), "HEAD", folder) == made
    assert (folder / "a.py").read_text() == "def answer():\n    return 42\n"
    assert not ran.exists()


def test_what_a_source_repository_is_set_to_run_is_not_run(tmp_path: Path) -> None:
    repository, ran = tmp_path / "code", tmp_path / "ran"
    commit(repository, {"a.py": "def answer():\n    return 42\n"})
    for name in ("uploadpack.packObjectsHook", "core.fsmonitor", "core.sshCommand", "core.alternateRefsCommand"):
        git(repository, "config", name, f"touch {ran}; git pack-objects")
    folder = tmp_path / "out"
    folder.mkdir()
    assert door.checkout(str(repository), "main", folder)
    assert not ran.exists()


@pytest.mark.parametrize("url", ["ext::touch {ran}", "--upload-pack=touch {ran}", "ssh://-oProxyCommand=touch {ran}/x"])
def test_an_address_that_names_a_program_is_refused(url: str, tmp_path: Path) -> None:
    ran, folder = tmp_path / "ran", tmp_path / "out"
    folder.mkdir()
    for reach in (
        lambda: door.advertised(url.format(ran=ran)),
        lambda: door.checkout(url.format(ran=ran), "x", folder),
    ):
        with pytest.raises(GitError):
            reach()
    assert not ran.exists()


def test_links_lead_nowhere_and_secrets_stay_out(tmp_path: Path) -> None:
    (tmp_path / "passwords.py").write_text("password = 'hunter2'\n")
    repository, store = tmp_path / "code", str(tmp_path / "store")
    repository.mkdir()
    (repository / "link.py").symlink_to(tmp_path / "passwords.py")
    (repository / "folder").symlink_to(tmp_path)
    commit(repository, {"a.py": "def answer():\n    return 42\n", ".env": "TOKEN=hunter2\n", "id_rsa": "hunter2\n"})
    filled(store, [Source(str(repository), "code")])
    for file in (file for file in Path(store).rglob("*") if file.is_file()):
        assert b"hunter2" not in file.read_bytes(), file


def test_a_revision_is_a_branch_a_tag_or_a_hash(tmp_path: Path) -> None:
    repository, store = tmp_path / "code", str(tmp_path / "store")
    old = commit(repository, {"a.py": "def old():\n    return 1\n"})
    git(repository, "tag", "-a", "v1", "-m", "one")
    new = commit(repository, {"a.py": "def new():\n    return 2\n"})
    git(repository, "branch", "next")
    filled(store, [])
    for revision, expected in (("v1", old), ("next", new), ("HEAD", new), (old, old)):
        assert door.advertised(str(repository), revision) == expected
        assert built(Source(str(repository), "code", revision), store).entry.commit == expected
    said = build(Source(str(repository), "code", "v9"), None, store, str(base_bundle()), timeout=60, careful=False)
    assert isinstance(said, Unbuilt) and "no v9" in said.reason
