"""A repository that names a program wherever git lets it can not make codesearch run one.

Each attack is shown twice: codesearch does all it ever does with git, and the canary stays silent; then plain git does
one ordinary thing, and the canary sings. So no attack is here that would not work.
"""

from __future__ import annotations

import http.server
import os
import pty
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import Git, Write

from codesearch import git as door
from codesearch.errors import GitError
from codesearch.files import FileEntry, Skip, explain, is_ours, read, scan
from codesearch.settings import Settings
from codesearch.why import Why

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the canary is a shell script")


@dataclass
class Target:
    """A repository with two commits, one of them a merge, and a program that must not run."""

    root: Path
    canary: Path
    sang: Path
    git: Git
    write: Write

    def config(self, *pairs: tuple[str, str]) -> None:
        for name, value in pairs:
            self.git(self.root, "config", name, value)

    def lose(self, revision: str) -> None:
        """Delete one object, as if a partial clone had never fetched it."""
        name = self.git(self.root, "rev-parse", revision).strip()
        (self.root / ".git" / "objects" / name[:2] / name[2:]).unlink()

    def partial_clone(self, url: str, *pairs: tuple[str, str]) -> None:
        self.config(
            ("core.repositoryFormatVersion", "1"),
            ("extensions.partialClone", "origin"),
            ("remote.origin.promisor", "true"),
            ("remote.origin.url", url),
            *pairs,
        )
        self.lose("HEAD:src")


@pytest.fixture
def target(tmp_path: Path, git: Git, write: Write) -> Target:
    root = write(tmp_path / "root", {"src/a.py": "one\n", "src/b.py": "b\n", "notes.md": "# Notes\n"})
    canary = tmp_path / "canary"
    canary.write_text(f"#!/bin/sh\ntouch '{tmp_path}/sang'\nexit 1\n")
    canary.chmod(0o755)
    git(root, "init")
    git(root, "add", ".")
    git(root, "commit", "-m", "first")
    git(root, "checkout", "-b", "side")
    write(root, {"src/a.py": "two\n"})
    git(root, "commit", "-am", "side")
    git(root, "checkout", "main")
    write(root, {"src/a.py": "three\n"})
    git(root, "commit", "-am", "main")
    git(root, "merge", "-s", "ours", "-m", "merged", "side")
    return Target(root, canary, tmp_path / "sang", git, write)


def everything_we_do(root: Path) -> None:
    """List, judge, read, ask for facts and for history, as the program does and as it might."""
    settings = Settings(hidden=True)
    found = list(scan(root, settings))
    assert {"src/a.py", "src/b.py", "notes.md"} <= {entry.path for entry in found if isinstance(entry, FileEntry)}
    for entry in found:
        if isinstance(entry, FileEntry):
            read(entry, settings)
    explain(root, "src/a.py", settings)
    explain(root, "src/absent.py", settings)
    explain(root, ".git/config", settings)
    (root / ".codesearch").mkdir(exist_ok=True)
    is_ours(root / ".codesearch")
    for arguments in (
        ("rev-parse", "HEAD:src/a.py"),
        ("config", "core.pager"),
        ("log", "--format=%H%x00%B%x00%G?"),
        ("log", "--all", "-p", "--stat", "-m"),
        ("log", "-p", "-S", "two", "--", "src"),
        ("log", "--alternate-refs", "--raw"),
        ("check-ignore", "-v", "--no-index", "--", "src/a.py"),
    ):
        with suppress(GitError):
            door.run(root, *arguments, timeout=20)


def monitor(t: Target) -> None:
    t.config(("core.fsmonitor", str(t.canary)))


def included_monitor(t: Target) -> None:
    t.write(t.root, {"evil.config": f"[core]\n\tfsmonitor = {t.canary}\n"})
    t.config(("include.path", "../evil.config"))


def conditionally_included_monitor(t: Target) -> None:
    t.write(t.root, {"evil.config": f"[core]\n\tfsmonitor = {t.canary}\n"})
    t.config(("includeIf.gitdir:**.path", "../evil.config"))


def monitor_of_a_folder_elsewhere(t: Target) -> None:
    """The `.git` is a file that names another folder, and that one another still, whose configuration it shares."""
    elsewhere = t.root.parent / "elsewhere"
    (t.root / ".git").rename(elsewhere)
    own = t.write(t.root / "own", {"HEAD": "ref: refs/heads/main\n", "commondir": "../../elsewhere\n"})
    shutil.copy(elsewhere / "index", own / "index")
    t.write(t.root, {".git": "gitdir: own\n"})
    monitor(t)


def monitor_of_a_submodule(t: Target) -> None:
    inner = t.write(t.root / "src" / "inner", {"c.py": "three\n"})
    t.git(inner, "init")
    t.git(inner, "add", ".")
    t.git(inner, "commit", "-m", "inner")
    t.git(t.root, "add", "src/inner")
    t.git(inner, "config", "core.fsmonitor", str(t.canary))


def worktree_monitor(t: Target) -> None:
    t.config(("core.repositoryFormatVersion", "1"), ("extensions.worktreeConfig", "true"))
    t.git(t.root, "config", "--worktree", "core.fsmonitor", str(t.canary))


def monitor_with_untracked_cache(t: Target) -> None:
    t.config(("core.untrackedCache", "true"))
    t.git(t.root, "update-index", "--force-untracked-cache")
    t.git(t.root, "status")
    monitor(t)


def hook(t: Target) -> None:
    hooks = t.root / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    shutil.copy(t.canary, hooks / "post-index-change")
    os.utime(t.root / "notes.md", (1, 1))


def hooks_path(t: Target) -> None:
    (t.root / "hooks").mkdir()
    shutil.copy(t.canary, t.root / "hooks" / "post-index-change")
    t.config(("core.hooksPath", "hooks"))
    os.utime(t.root / "notes.md", (1, 1))


def clean_filter(t: Target) -> None:
    t.config(("filter.evil.clean", str(t.canary)))
    t.write(t.root, {".gitattributes": "* filter=evil\n", "src/a.py": "four!\n"})


def process_filter(t: Target) -> None:
    t.config(("filter.evil.process", str(t.canary)))
    t.write(t.root, {".gitattributes": "* filter=evil\n", "src/a.py": "four!\n"})


def text_converter(t: Target) -> None:
    t.config(("diff.evil.textconv", str(t.canary)))
    t.write(t.root, {".gitattributes": "* diff=evil\n"})


def diff_driver(t: Target) -> None:
    t.config(("diff.evil.command", str(t.canary)))
    t.write(t.root, {".gitattributes": "* diff=evil\n"})


def external_diff(t: Target) -> None:
    t.config(("diff.external", str(t.canary)))


def merge_driver(t: Target) -> None:
    t.config(("merge.evil.driver", str(t.canary)), ("log.diffMerges", "remerge"))
    t.write(t.root, {".gitattributes": "* merge=evil\n"})


def _sign(t: Target, kind: str) -> None:
    commit = t.git(t.root, "cat-file", "commit", "HEAD")
    header, _, message = commit.partition("\n\n")
    body = f"-----BEGIN {kind}-----\n \n iQEzBAABCAAdFiEE\n -----END {kind}-----"
    (t.root.parent / "commit").write_text(f"{header}\ngpgsig {body}\n\n{message}")
    signed = t.git(t.root, "hash-object", "-t", "commit", "-w", str(t.root.parent / "commit")).strip()
    t.git(t.root, "update-ref", "HEAD", signed)


def signature(t: Target) -> None:
    _sign(t, "PGP SIGNATURE")
    t.config(("gpg.program", str(t.canary)), ("log.showSignature", "true"))


def signature_in_format(t: Target) -> None:
    _sign(t, "PGP SIGNATURE")
    t.config(("gpg.openpgp.program", str(t.canary)), ("format.pretty", "%G?"))


def ssh_signature(t: Target) -> None:
    _sign(t, "SSH SIGNATURE")
    t.config(
        ("gpg.ssh.program", str(t.canary)), ("gpg.ssh.allowedSignersFile", "/dev/null"), ("log.showSignature", "true")
    )


def x509_signature(t: Target) -> None:
    _sign(t, "SIGNED MESSAGE")
    t.config(("gpg.x509.program", str(t.canary)), ("log.showSignature", "true"))


def transport(t: Target) -> None:
    t.partial_clone(f"ext::{t.canary}", ("protocol.ext.allow", "always"))


def ssh_command(t: Target) -> None:
    t.partial_clone("ssh://example.invalid/x", ("core.sshCommand", str(t.canary)), ("protocol.ssh.allow", "always"))


def upload_pack(t: Target) -> None:
    t.partial_clone(str(t.root), ("remote.origin.uploadpack", str(t.canary)), ("protocol.file.allow", "always"))


def git_proxy(t: Target) -> None:
    t.partial_clone("git://example.invalid/x", ("core.gitProxy", str(t.canary)), ("protocol.git.allow", "always"))


def sparse_index(t: Target) -> None:
    """Reading the index of a sparse checkout makes git fetch folders that are not there."""
    t.git(t.root, "sparse-checkout", "set", "--cone", "--sparse-index", "docs")
    t.write(t.root, {"src/a.py": "", "src/b.py": ""})
    transport(t)


def alternate_refs(t: Target) -> None:
    shutil.copytree(t.root, t.root.parent / "other")
    t.write(t.root, {".git/objects/info/alternates": f"{t.root.parent / 'other' / '.git' / 'objects'}\n"})
    t.config(("core.alternateRefsCommand", str(t.canary)))


ATTACKS: list[tuple[Callable[[Target], None], tuple[str, ...]]] = [
    (monitor, ("ls-files", "--others", "--exclude-standard")),
    (included_monitor, ("status",)),
    (conditionally_included_monitor, ("status",)),
    (monitor_of_a_folder_elsewhere, ("status",)),
    (monitor_of_a_submodule, ("status",)),
    (worktree_monitor, ("status",)),
    (monitor_with_untracked_cache, ("ls-files", "--others", "--exclude-standard")),
    (hook, ("status",)),
    (hooks_path, ("status",)),
    (clean_filter, ("status",)),
    (process_filter, ("status",)),
    (text_converter, ("log", "-p")),
    (diff_driver, ("log", "-p", "--ext-diff")),
    (external_diff, ("diff", "side")),
    (merge_driver, ("log", "-p", "-m")),
    (signature, ("log",)),
    (signature_in_format, ("log",)),
    (ssh_signature, ("log",)),
    (x509_signature, ("log",)),
    (transport, ("log", "-p")),
    (ssh_command, ("log", "-p")),
    (upload_pack, ("log", "-p")),
    (git_proxy, ("log", "-p")),
    (sparse_index, ("ls-files",)),
    (alternate_refs, ("log", "--alternate-refs")),
]


@pytest.mark.parametrize(("attack", "provocation"), ATTACKS, ids=[attack.__name__ for attack, _ in ATTACKS])
def test_nothing_of_the_repository_runs(
    target: Target, attack: Callable[[Target], None], provocation: tuple[str, ...]
) -> None:
    attack(target)
    target.sang.unlink(missing_ok=True)

    everything_we_do(target.root)
    assert not target.sang.exists()

    target.git(target.root, *provocation, check=False)
    assert target.sang.exists(), "the attack does not work on plain git, so it proves nothing"


def test_no_password_is_asked_for(target: Target) -> None:
    """A partial clone whose server asks for a password makes plain git run the repository's credential helper."""

    class Unauthorised(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="x"')
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Unauthorised) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        target.partial_clone(
            f"http://127.0.0.1:{server.server_port}/x", ("credential.helper", str(target.canary)), ("http.proxy", "")
        )
        everything_we_do(target.root)
        assert not target.sang.exists()
        target.git(target.root, "log", "-p", check=False)
        assert target.sang.exists()
        server.shutdown()


def test_no_pager_runs(target: Target) -> None:
    """Even with a terminal to write to."""
    target.config(("core.pager", str(target.canary)))
    everything_we_do(target.root)
    assert not target.sang.exists()
    ours, theirs = pty.openpty()
    subprocess.run(["git", "log"], cwd=target.root, stdin=theirs, stdout=theirs, stderr=theirs, timeout=20)
    os.close(theirs)
    os.close(ours)
    assert target.sang.exists()


@pytest.mark.parametrize(
    "command", ["status", "diff", "add", "hash-object", "fetch", "checkout", "-c", "--exec-path=."]
)
def test_commands_that_run_filters_or_reach_out_can_not_be_called(target: Target, command: str) -> None:
    with pytest.raises(ValueError, match="run nothing"):
        door.run(target.root, command)


def test_a_git_of_the_repositorys_own_is_not_found(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a PATH with a relative folder in it, the git of the folder that one stands in is found before the system's."""
    shutil.copy(target.canary, target.root / "git")
    monkeypatch.setenv("PATH", f".:{os.environ['PATH']}")
    everything_we_do(target.root)
    assert not target.sang.exists()
    subprocess.run("git status", shell=True, cwd=target.root, timeout=20)
    assert target.sang.exists()


def test_variables_of_a_surrounding_git_say_nothing(
    target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a hook, git sets `GIT_DIR` and friends; the root alone says which repository is meant."""
    elsewhere = target.write(tmp_path / "elsewhere", {"other.py": ""})
    target.git(elsewhere, "init")
    for name, value in {"GIT_DIR": ".git", "GIT_WORK_TREE": ".", "GIT_INDEX_FILE": ".git/index"}.items():
        monkeypatch.setenv(name, str(elsewhere / value))
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", str(target.canary))
    monkeypatch.setenv("GIT_LITERAL_PATHSPECS", "1")
    everything_we_do(target.root)
    assert not target.sang.exists()
    assert os.environ["GIT_DIR"] == str(elsewhere / ".git")


def test_a_working_tree_elsewhere_is_not_listed(target: Target, tmp_path: Path) -> None:
    """`core.worktree` would have git list another folder under the root's name."""
    target.write(tmp_path / "elsewhere", {"private.py": "", "src/a.py": ""})
    target.config(("core.worktree", str(tmp_path / "elsewhere")))
    assert "private.py" in target.git(target.root, "ls-files", "--others")
    everything_we_do(target.root)
    listed = door.run(target.root, "ls-files", "--others")
    assert b"private" not in listed


def test_a_file_that_git_would_wait_for_ends_in_a_message(target: Target) -> None:
    """A named pipe in place of an ignore file makes git wait for ever."""
    exclude = target.root / ".git" / "info" / "exclude"
    exclude.unlink(missing_ok=True)
    exclude.parent.mkdir(exist_ok=True)
    os.mkfifo(exclude)
    began = time.monotonic()
    with pytest.raises(GitError, match=r"longer than 0\.5 s"):
        door.run(target.root, "ls-files", "--others", "--exclude-standard", timeout=0.5)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("name", [".git", ".git/commondir", ".git/HEAD"])
def test_a_pipe_in_place_of_gits_own_files_is_not_waited_for(target: Target, name: str, tmp_path: Path) -> None:
    (target.root / ".git").rename(tmp_path / "gone")
    if "/" in name:
        (target.root / ".git").mkdir()
    os.mkfifo(target.root / name)
    own, shared = door.folders(str(target.root))
    assert (own, shared) == (str(target.root / ".git"), str(target.root / ".git"))


def test_a_repository_of_another_owner_is_walked_without_git(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """Git's own protection stands; its refusal is said, and `.gitignore` files are read all the same."""
    monkeypatch.setenv("GIT_CONFIG_COUNT", "0")
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder away")
    target.write(
        target.root, {".gitignore": "*.log\n", "x.log": "", ".git/info/exclude": "excluded.py\n", "excluded.py": ""}
    )
    monitor(target)
    for folder in (target.root, target.root / ".git"):
        os.chown(folder, 4242, 4242)
    found = list(scan(target.root, Settings()))
    assert [entry.path for entry in found if isinstance(entry, FileEntry)] == ["notes.md", "src/a.py", "src/b.py"]
    (notice,) = [entry for entry in found if isinstance(entry, Skip)]
    assert notice.why is Why.GIT
    assert "ownership" in notice.detail
    assert not target.sang.exists()


def test_a_folder_inside_that_poses_as_a_repository_is_not_one(target: Target, tmp_path: Path) -> None:
    """A bare repository can be committed as plain files; git would take its configuration for its own."""
    inside = target.root / "fixtures"
    target.git(tmp_path, "init", "--bare", str(inside))
    target.write(inside, {"code.py": ""})
    with (inside / "config").open("a") as config:
        config.write(f"[core]\n\tbare = false\n\tworktree = .\n\tfsmonitor = {target.canary}\n")
    assert "code.py" in {entry.path for entry in scan(inside, Settings())}
    with pytest.raises(GitError, match="bare"):
        door.run(inside, "ls-files", "--others")
    assert not target.sang.exists()
    target.git(inside, "ls-files", "--others")
    assert target.sang.exists()


def test_an_index_that_git_tracks_is_not_ours(target: Target, tmp_path: Path) -> None:
    """Whoever commits a `.codesearch` would have us load their index; wherever the root is in the repository."""
    ours = target.root / "src" / ".codesearch"
    target.write(ours, {".gitignore": "*\n", "CURRENT": "gen-1"})
    assert is_ours(ours)
    target.git(target.root, "add", "--force", "src/.codesearch/CURRENT")
    assert not is_ours(ours)
    target.write(target.root, {"src/.CodeSearch2/CURRENT": ""})
    target.git(target.root, "add", "--force", "src/.CodeSearch2/CURRENT")
    (target.root / "src/.CodeSearch2").rename(target.root / "src/.codesearch2")
    assert not is_ours(target.root / "src/.codesearch2"), (
        "where upper and lower case are one, this is the tracked folder"
    )
    outside = target.write(tmp_path / "outside", {"CURRENT": ""})
    assert is_ours(outside)
    (target.root / "link").symlink_to(outside)
    assert not is_ours(target.root / "link")
    assert not is_ours(target.root / "absent")


def test_an_index_with_a_repository_of_its_own_inside_is_judged_from_outside(target: Target) -> None:
    ours = target.write(target.root / ".codesearch", {"CURRENT": "gen-1"})
    target.git(target.root, "add", "--force", ".codesearch")
    target.git(ours, "init")
    assert not is_ours(ours)
