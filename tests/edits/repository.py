"""A real git repository, and the ways in which a person, an editor or git change one.

Whatever is in the way of a change goes first, and what git refuses stays as it was: every change can be made at any
time. Nothing here depends on chance, on the clock, or on how git is configured on this machine.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

HERMETIC: Final = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_EDITOR": "true",
    "GIT_AUTHOR_NAME": "A. Uthor",
    "GIT_AUTHOR_EMAIL": "author@example.org",
    "GIT_AUTHOR_DATE": "2024-01-01T00:00:00Z",
    "GIT_COMMITTER_NAME": "C. Ommitter",
    "GIT_COMMITTER_EMAIL": "committer@example.org",
    "GIT_COMMITTER_DATE": "2024-01-01T00:00:00Z",
}
"""What git is told, so that it does the same everywhere."""

_OPTIONS: Final = (
    "core.fsync=none",
    "core.hooksPath=/dev/null",
    "gc.auto=0",
    "init.defaultBranch=main",
    "protocol.file.allow=always",  # submodules of the folder next door
)
OLD: Final = 1_000_000_000 * 10**9
"""A date, in nanoseconds, that is believed: no file that has it is young."""


class Repository:
    """A repository in ROOT; what it links to, or has as a submodule, is in the folder OUTSIDE."""

    def __init__(self, root: Path, outside: Path) -> None:
        self.root = root
        self.outside = outside
        root.mkdir()
        outside.mkdir()
        (outside / "stranger.py").write_text("def stranger():\n    return 'not of this repository'\n")
        library = outside / "library"
        library.mkdir()
        (library / "lib.py").write_text("def library():\n    return 1\n")
        for folder in (library, root):
            self.git("init", "--quiet", folder=folder)
        self.git("add", ".", folder=library)
        self.git("commit", "--quiet", "--message=library", folder=library)

    def git(self, *arguments: str, folder: Path | None = None) -> bool:
        """Run git in FOLDER, by default ROOT; tell whether it did what it was told."""
        options = [word for option in _OPTIONS for word in ("-c", option)]
        command = ["git", "-C", str(folder or self.root), *options, *arguments]
        done = subprocess.run(command, env=os.environ | HERMETIC, capture_output=True, timeout=60)
        return done.returncode == 0

    # What there is. Paths are relative to ROOT.

    def _walk(self) -> Iterator[os.DirEntry[str]]:
        folders = [str(self.root)]
        while folders:
            with os.scandir(folders.pop()) as entries:
                for entry in sorted(entries, key=lambda entry: entry.name):
                    if entry.name in (".git", ".codesearch"):
                        continue
                    yield entry
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)

    def _those(self, wanted: Callable[[os.DirEntry[str]], bool]) -> list[str]:
        return sorted(os.path.relpath(entry.path, self.root) for entry in self._walk() if wanted(entry))

    def files(self) -> list[str]:
        """Return the regular files."""
        return self._those(lambda entry: entry.is_file(follow_symlinks=False))

    def folders(self) -> list[str]:
        """Return the folders."""
        return self._those(lambda entry: entry.is_dir(follow_symlinks=False))

    def everything(self) -> list[str]:
        """Return whatever has a name."""
        return self._those(lambda _: True)

    # Files.

    def write(self, path: str, content: bytes) -> None:
        """Let there be a file with CONTENT."""
        self._room_for(path).write_bytes(content)

    def keeping_date_and_size(self, path: str, change: Callable[[bytes], bytes]) -> None:
        """Change a file as a copy that preserves dates would: size and date of modification stay."""
        file = self.root / path
        status, content = file.stat(), file.read_bytes()
        changed = change(content)
        assert len(changed) == len(content)
        file.write_bytes(changed)
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))

    def move(self, source: str, target: str) -> None:
        """Rename what is called SOURCE to TARGET, unless one lies in the other."""
        if not _nested(source, target):
            (self.root / source).rename(self._room_for(target))

    def copy(self, source: str, target: str) -> None:
        """Copy a file or folder, with its dates."""
        if _nested(source, target):
            return
        original, copied = self.root / source, self._room_for(target)
        if original.is_dir():
            ours = shutil.ignore_patterns(".git", ".codesearch")
            shutil.copytree(original, copied, symlinks=True, ignore=ours, copy_function=_copied)
        else:
            _copied(str(original), str(copied))

    def remove(self, path: str) -> None:
        """Remove a file, a link or a folder with all in it."""
        _remove(self.root / path)

    def link(self, path: str, target: str) -> None:
        """Let there be a symbolic link to TARGET, which need not exist."""
        self._room_for(path).symlink_to(target)

    def pipe(self, path: str) -> None:
        """Let there be a named pipe, which nobody writes to."""
        os.mkfifo(self._room_for(path))

    def age(self) -> None:
        """Date every file back, so that its date is believed from now on."""
        for path in self.files():
            os.utime(self.root / path, ns=(OLD, OLD))

    def _room_for(self, path: str) -> Path:
        """Return where PATH is, with folders around it and nothing there."""
        at = self.root
        *parents, name = path.split("/")
        for parent in parents:
            at /= parent
            if at.is_symlink() or (at.exists() and not at.is_dir()):
                at.unlink()
            at.mkdir(exist_ok=True)
        _remove(at / name)
        return at / name

    # Git.

    def commit(self, *options: str) -> None:
        """Commit all there is."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message=all there is", *options)

    def settle(self) -> None:
        """Give up the merge or rebase that stopped at a conflict."""
        for command in ("merge", "rebase", "cherry-pick"):
            self.git(command, "--abort")

    def nest(self, path: str) -> None:
        """Let a folder be a repository of its own, that tracks what is in it."""
        folder = self.root / path
        self.git("init", "--quiet", folder=folder)
        self.git("add", "--all", folder=folder)
        self.git("commit", "--quiet", "--allow-empty", "--message=nested", folder=folder)


def _nested(source: str, target: str) -> bool:
    """Tell whether a path is another, or above or below it."""
    return f"{target}/".startswith(f"{source}/") or f"{source}/".startswith(f"{target}/")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _copied(source: str, target: str) -> None:
    """Copy a file with its dates; a pipe, which has no content to copy, not at all."""
    if os.path.isfile(source):  # noqa: PTH113
        shutil.copy2(source, target)
