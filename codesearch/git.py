"""The one door to git: every git call of the program goes through it, and it lets a repository execute nothing.

A repository under search is hostile input, and its configuration can name programs: a file-system monitor, hooks, clean
and smudge filters, external diffs and text converters, pagers, signature checkers, credential helpers, and transports
that a partial clone starts to fetch a missing object. Three things keep them all still:

- only commands that have no need of a working-tree file's content are allowed (`_COMMANDS`): `status`, `diff`, `add`
  and `hash-object` run clean filters whatever is configured, so they cannot be called at all;
- configuration on the command line, which outranks every file, names no program (`_CONFIG`);
- the environment forbids transports, prompts and writes.

`advertised` and `checkout` read a repository that is elsewhere, for an index of many. They speak its transport, with
the person's own credentials, but write into a repository that is made for it: all its configuration is ours, and the
files are checked out without anybody's, so that no filter is known that an attribute could name.

Which repository is meant follows from the folder alone: inherited `GIT_DIR`, `GIT_INDEX_FILE` and the like are hidden,
and the working tree is where its `.git` is, whatever `core.worktree` says.

Git's own ownership check (`safe.directory`) stays on. Callers take a `GitError` to mean that git has no facts about the
folder.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from codesearch.errors import GitError
from codesearch.regular import opened

TIMEOUT = 60.0
"""Seconds. Listing a million files takes about ten; a named pipe in place of a file git reads would take for ever."""

_LOG = ("--no-ext-diff", "--no-textconv", "--no-show-signature", "--no-color")
_COMMANDS: dict[str, tuple[str, ...]] = {
    "check-ignore": (),
    "config": ("--get",),
    "log": _LOG,
    "ls-files": (),
    "rev-parse": (),
}
"""The commands that may be run, each with the options that always go first."""

_NOTHING = "false"
"""A program that does nothing and fails, should git find a way to start one after all."""

_CONFIG = (
    "core.bigFileThreshold=1m",  # larger ones are binary to a diff, which then has no gigabytes of them
    "core.fsmonitor=false",
    f"core.hooksPath={os.devnull}",
    "core.untrackedCache=false",
    "core.ignoreCase=false",  # names as they are on disk: git may think `a.py` listed already, as `A.py`
    "core.precomposeUnicode=false",
    "core.pager=cat",
    f"core.sshCommand={_NOTHING}",
    f"core.askPass={_NOTHING}",
    f"core.gitProxy={_NOTHING}",
    f"core.alternateRefsCommand={_NOTHING}",
    "credential.helper=",
    "diff.external=",
    "format.pretty=medium",
    f"gpg.program={_NOTHING}",
    f"gpg.openpgp.program={_NOTHING}",
    f"gpg.x509.program={_NOTHING}",
    f"gpg.ssh.program={_NOTHING}",
    "log.diffMerges=first-parent",  # "remerge" runs merge drivers
    "log.showSignature=false",
    "protocol.allow=never",
    "safe.bareRepository=explicit",
)

_ENVIRONMENT = {
    "GIT_ALLOW_PROTOCOL": "none",  # unlike protocol.allow, not outranked by a repository's protocol.<name>.allow
    "GIT_ASKPASS": _NOTHING,
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_SSH_COMMAND": _NOTHING,
    "GIT_TERMINAL_PROMPT": "0",
}

_REMOTE_CONFIG = (
    f"core.hooksPath={os.devnull}",
    "core.fsmonitor=false",
    "fetch.recurseSubmodules=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "protocol.ext.allow=never",  # names a program
    "submodule.recurse=false",
)
_REMOTE = {
    "GIT_ALLOW_PROTOCOL": "file:git:http:https:ssh",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_TERMINAL_PROMPT": "0",
}
_NOBODY = {**_ENVIRONMENT, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "GIT_CONFIG_COUNT": "0"}
"""The environment in which files are checked out: nobody's configuration."""

_HASH = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")

_INHERITED = ("GIT_CONFIG_", "GIT_EXEC_PATH", "GIT_CEILING_DIRECTORIES", "GIT_DISCOVERY_ACROSS_FILESYSTEM")
"""What may pass from the caller's environment: where git is installed, and the person's own configuration."""

_spawning = threading.Lock()


def run(
    folder: str | Path, command: str, *arguments: str, ok: Container[int] = (0,), timeout: float = TIMEOUT
) -> bytes:
    """Run one git COMMAND in FOLDER of a repository and return what it wrote to standard output, unaltered.

    ARGUMENTS are passed as they are, without a shell; a path among them belongs after `--`, through `literal`.

    Raises:
        GitError: git is not installed, FOLDER is in no repository, git took longer than TIMEOUT seconds, or it ended
            with a status not in OK; the message holds what git said.
        ValueError: COMMAND is not one of those that run nothing.
    """
    if command not in _COMMANDS:
        raise ValueError(f"git {command} is not among the commands that can run nothing of the repository's")
    top = top_of(folder)
    if top is None:
        raise GitError(f"{folder} is in no git repository")
    argv = (f"--work-tree={top}", *_configured(_CONFIG), command, *_COMMANDS[command], *arguments)
    return _run(folder, command, argv, _ENVIRONMENT, ok, timeout)


def advertised(url: str, revision: str = "HEAD", timeout: float = TIMEOUT) -> str:
    """Return the hash of the commit that REVISION, a branch, tag or hash, is in the repository at URL, a path or not.

    Raises:
        GitError: the repository can not be reached, or has no such revision.
    """
    if _HASH.fullmatch(revision):
        return revision
    # Tags that are objects of their own are followed by what they point to.
    refs = ["HEAD"] if revision == "HEAD" else [f"refs/{kind}/{revision}" for kind in ("heads", "tags")]
    patterns = refs if revision == "HEAD" else [*refs, f"refs/tags/{revision}^{{}}"]
    argv = (*_configured(_REMOTE_CONFIG), "ls-remote", "--", url, *patterns)
    said = _run(os.sep, "ls-remote", argv, _REMOTE, (0,), timeout).decode("ascii", "replace")
    found = {ref: commit for commit, _, ref in (line.partition("\t") for line in said.splitlines())}
    for ref in (refs[0], *reversed(patterns)):
        if ref in found:
            return found[ref]
    raise GitError(f"there is no {revision}: name a branch, a tag or a commit that is there")


def checkout(url: str, revision: str, folder: str | Path, timeout: float = TIMEOUT) -> str:
    """Check the files that the repository at URL has at REVISION out into the empty FOLDER; return the commit's hash.

    Only that commit is fetched. Submodules are not, and links lead where they lead: `files` follows none.

    Raises:
        GitError: the repository can not be reached, or has no such revision.
    """
    ours = tuple(_configured(_REMOTE_CONFIG))
    _run(folder, "init", (*ours, "init", "--quiet", "--template="), _NOBODY, (0,), timeout)
    fetch = ("fetch", "--quiet", "--depth=1", "--no-tags", "--no-write-commit-graph", "--", url, revision)
    _run(folder, "fetch", (*ours, *fetch), _REMOTE, (0,), timeout)
    switch = ("checkout", "--quiet", "--detach", "FETCH_HEAD", "--")
    _run(folder, "checkout", (*ours, *_configured(_CONFIG), *switch), _NOBODY, (0,), timeout)
    return run(folder, "rev-parse", "HEAD").decode("ascii", "replace").strip()


def _configured(settings: Sequence[str]) -> Iterator[str]:
    for setting in settings:
        yield from ("-c", setting)


def _run(
    folder: str | Path,
    command: str,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    ok: Container[int],
    timeout: float,
) -> bytes:
    """Run git with ARGUMENTS, COMMAND among them, in FOLDER and ENVIRONMENT; see `run`."""
    try:
        from git.cmd import Git  # 70 ms: GitPython loads all of itself
        from git.exc import GitCommandNotFound
    except ImportError as error:  # GitPython's way to say that there is no git
        raise GitError(
            "git is not installed, or not on PATH: install it, and its rules are applied by itself"
        ) from error
    argv = [Git.GIT_PYTHON_GIT_EXECUTABLE or "git", "-C", os.path.abspath(folder), "--no-pager", *arguments]  # noqa: PTH100
    group = {} if os.name == "nt" else {"start_new_session": True}
    with _hidden_environment():
        try:
            # Started elsewhere: in FOLDER, a PATH with a relative folder would find the repository's own git.
            process = Git(os.sep).execute(argv, as_process=True, env=dict(environment), **group)
        except GitCommandNotFound as error:
            raise GitError("git is not on PATH: install it, and its rules are applied by itself") from error
        except OSError as error:
            raise GitError(f"git could not be started in {folder}: {error}") from error
    child = process.proc  # PROCESS stays referred to until the end: it kills its child when it goes
    assert child is not None
    try:
        out, err = child.communicate(timeout=timeout)
    except subprocess.TimeoutExpired as error:
        raise GitError(f"git {command} in {folder} took longer than {timeout:g} s and was stopped") from error
    finally:
        if child.returncode is None:
            _kill(child)
    if child.returncode not in ok:
        said = err.decode("utf-8", "replace").strip() or f"exit status {child.returncode}"
        raise GitError(f"git {command} in {folder}: {said}")
    return bytes(out)


def top_of(folder: str | Path) -> str | None:
    """Return the nearest folder, from FOLDER up, that holds a `.git`, or None: the top of the working tree."""
    here = Path(folder).absolute()
    return next((str(top) for top in (here, *here.parents) if os.path.lexists(top / ".git")), None)


def folders(top: str) -> tuple[str, str]:
    """Return the repository's own folder of the working tree at TOP, and the one that all its worktrees share."""
    own = Path(top, ".git")
    try:
        if own.is_file():
            own = Path(top, os.fsdecode(_line(own).removeprefix(b"gitdir: ")))
        shared = _line(own / "commondir")
    except OSError:
        return str(own), str(own)
    return str(own), os.path.normpath(own / os.fsdecode(shared))


def _line(file: Path) -> bytes:
    """Return the line that a small FILE of git's holds; one that is no regular file raises OSError."""
    with opened(file) as held:
        return held.read(8192).rstrip(b"\r\n")


def literal(path: str) -> str:
    """Return the pathspec that means exactly PATH, whatever characters it holds."""
    return f":(literal){path}"


def tracked_by_git(folder: Path) -> bool:
    """Tell whether git tracks FOLDER, or any file in it.

    Asked in the folder's parent, so that a repository inside FOLDER has no say. Upper and lower case count as the same:
    on a file system that does not tell them apart, a tracked `.CodeSearch/` is the folder too.

    Raises:
        GitError: git refused; whether the folder is tracked is unknown.
    """
    if top_of(folder.parent) is None:
        return False
    return bool(run(folder.parent, "ls-files", "-z", "--cached", "--", f":(literal,icase){folder.name}"))


@contextmanager
def _hidden_environment() -> Iterator[None]:
    """Take `GIT_*` variables out of the environment while a child is started: GitPython can only add some."""
    with _spawning:
        names = [name for name in os.environ if name.startswith("GIT_") and not name.startswith(_INHERITED)]
        hidden = {name: os.environ.pop(name) for name in names}
        try:
            yield
        finally:
            os.environ.update(hidden)


def _kill(child: subprocess.Popen[bytes]) -> None:
    """End git and whatever it started, so that no pipe stays open."""
    if os.name == "nt":
        child.kill()
    else:
        os.killpg(child.pid, signal.SIGKILL)
    child.communicate()
