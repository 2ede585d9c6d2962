"""A repository that is read from elsewhere runs nothing here, whatever it says and whatever this machine is set to.

Nor does whoever asks get more than he may see, whatever he asks.
"""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import pytest

from codesearch import git as door
from codesearch.errors import CodesearchError, GitError
from codesearch.fleet.access import Access
from codesearch.fleet.build import Unbuilt, build
from codesearch.fleet.sources import Source
from codesearch.paths import base_bundle
from codesearch.server.params import ParamsError
from codesearch.server.store import WarmStore
from codesearch.server.store_methods import StoreMethods
from tests.fleet.conftest import built, commit, filled, git
from tests.rpc.test_fuzz import FUZZ, SECRET, value


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


NAMES = ("query", "limit", "repositories", "owners", "globs", "types", "languages", "kinds", "minScore", "path", "line")
HIDDEN = ("acme/secret", "acme/shop' OR repository = 'acme/secret", 'acme/shop" OR "1"="1', "acme/%", "acme/\0secret")


def test_hundreds_of_requests_to_a_store_and_no_word_of_what_may_not_be_seen(tmp_path: Path) -> None:
    store, dice = str(tmp_path / "store"), random.Random(7)
    commit(tmp_path / "acme/shop", {"cart.py": "def cart():\n    return 1\n"})
    commit(tmp_path / "acme/secret", {"secret.py": f"def {SECRET}():\n    return 1234\n"})
    shown = Source(str(tmp_path / "acme/shop"), "acme/shop", visibility="public")
    filled(store, [shown, Source(str(tmp_path / "acme/secret"), "acme/secret")])
    methods = StoreMethods(WarmStore(store, Access(frozenset({"public"}))))
    answered = 0
    for _ in range(FUZZ or 400):
        params = {dice.choice(NAMES): value(dice) for _ in range(dice.randrange(3))}
        params["query"] = dice.choice((SECRET, "secret.py:1", "cart"))
        params |= dice.choice(({}, {"minScore": 0}, {"globs": [dice.choice(("*.py", "secret.py", "!cart.py"))]}))
        params |= dice.choice(({}, {"repositories": [dice.choice(HIDDEN)]}, {"owners": ["acme"]}))
        name = dice.choice(("ask", "explain", "related", "lines"))
        if name in ("related", "lines"):
            params = {"repository": dice.choice((*HIDDEN, "acme/shop")), "path": dice.choice(("secret.py", "cart.py"))}
            params |= {"line": value(dice)} if name == "related" else {}
        try:
            said = methods.call(name, params)
        except (ParamsError, CodesearchError) as error:
            said = {"error": str(error)}
        else:
            answered += 1
        assert f"def {SECRET}" not in json.dumps(said) and "1234" not in json.dumps(said), (name, params)
        assert {one["repository"] for one in said.get("results", ())} <= {"acme/shop"}, (name, params)
    assert answered > 20
