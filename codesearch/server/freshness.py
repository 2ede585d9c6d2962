"""Which files can have changed since the index was last compared with them, told without looking at all of them again.

Comparing takes 60 ms for a thousand files, three times what an answer takes. It can be left out, but for the files that
events name, where all this holds:

- no folder below the root has come, gone or been changed itself. Each is watched (`inotify`) before it is listed, and
  all are before the files are compared, so a folder that appears meanwhile is either listed or an event;
- no file there has changed that decides about others;
- what decides about files from elsewhere is as it was: git's index, HEAD, configuration and excludes, and the ignore
  files above the root;
- the index is as that comparison left it, under the same settings;
- the comparison is not older than `_OLDEST`. Some changes make no event: those through memory maps, through another
  hard link or another mount of the same files; and not all that git's configuration includes is looked at.

Where a watch can not be relied on, files are compared every time, as without a server: on other systems than Linux, on
network file systems, where the root holds several file systems, where there are more folders than `_MOST`.
"""

# ruff: noqa: PTH111, PTH116, PTH118, PTH119, PTH120
# Paths are strings here: this is what an answer waits for.

from __future__ import annotations

import os
import time
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Final

from codesearch import git
from codesearch.errors import GitError
from codesearch.files import DECIDING
from codesearch.server.inotify import Inotify

if TYPE_CHECKING:
    from codesearch.paths import Layout
    from codesearch.settings import Settings

_OLDEST: Final = 60.0
"""Seconds."""
_MOST: Final = 10_000
"""Folders; each takes a kilobyte of the kernel's memory and one of the user's watches, which editors want too."""
_FEW: Final = 8
"""Files; each takes 6 ms to be looked at by itself, so that with more of them all are soon cheaper."""
_AGAIN: Final = 300.0
"""Seconds until watching is tried again where it was not possible."""
_LOCAL: Final = frozenset(
    {"bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "jfs", "overlay", "ramfs", "reiserfs", "tmpfs", "xfs", "zfs"}
)
"""File systems that nobody changes but by way of this kernel."""
_VERSION_CONTROL: Final = frozenset({".git", ".hg", ".svn", ".jj", ".bzr"})
"""Never searched, and busy; of git's, single files are looked at."""
_IGNORE_FILES: Final = (".gitignore", ".ignore", ".codesearchignore", ".git")

Stamp = tuple[tuple[int, int, int] | None, ...]
"""Of files: date, size and inode, or None for one that is not there."""


class Freshness:
    """What is known of one root since its last comparison; used by one thread at a time."""

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._inotify: Inotify | None = None
        self._not_before = 0.0
        """When watching may be tried again."""
        self._clean = False
        """Whether nothing is different but, perhaps, `_pending`."""
        self._pending: set[str] = set()
        """Files that may have changed, relative to the root."""
        self._compared = 0.0
        self._elsewhere: list[str] = []
        self._stamp: Stamp = ()
        self._index: object = None

    def changed(self, layout: Layout, settings: Settings) -> frozenset[str] | None:
        """Return the files, relative to the root, in which alone the index of LAYOUT may differ from those there are.

        None means that only a comparison under SETTINGS can tell. They are returned again until they are `done`.
        """
        if self._inotify is None or not self._clean:
            return None
        changed = self._inotify.changed()
        self._clean = not (
            changed is None
            or time.monotonic() - self._compared > _OLDEST
            or _stamp(self._elsewhere) != self._stamp
            or _index(layout, settings) != self._index
            or any(os.path.basename(path) in DECIDING for path in changed)
        )
        if not self._clean or changed is None:
            return None
        self._pending |= {path.removeprefix(self._root).lstrip("/") for path in changed}
        if len(self._pending) > _FEW or any(self._elsewhere_too(path) for path in self._pending):
            return None
        return frozenset(self._pending)

    def _elsewhere_too(self, path: str) -> bool:
        """Tell whether the file at PATH has another name, of which an event says nothing."""
        try:
            return os.lstat(os.path.join(self._root, path)).st_nlink > 1
        except OSError:
            return False

    def elsewhere(self) -> Stamp:
        """Return what is different when git's view of the root may be; empty while nothing is watched."""
        return _stamp(self._elsewhere) if self._inotify is not None else ()

    def begin(self, layout: Layout) -> None:
        """Watch, because files are about to be compared."""
        self._clean = False
        self._pending.clear()
        self._compared = time.monotonic()
        if self._inotify is None and self._compared < self._not_before:
            return
        try:
            if self._inotify is None:
                if not _local(self._root):
                    raise OSError("not a local file system")
                self._inotify = Inotify()
            self._inotify.restart()  # all that is known so far is about to be found out anyway
            repositories = self._watch(str(layout.folder))
        except OSError:
            self.close()
            self._not_before = self._compared + _AGAIN
            return
        self._elsewhere = _elsewhere(self._root, repositories)
        self._stamp = _stamp(self._elsewhere)

    def done(self, layout: Layout, settings: Settings, paths: Collection[str] = ()) -> None:
        """Take note that the index is up to date with the comparison that was begun, or with the files PATHS."""
        self._pending.difference_update(paths)
        self._index = _index(layout, settings)
        self._clean = self._index is not None

    def _watch(self, index: str) -> list[str]:
        """Watch the root and all folders below; return those that hold a `.git`.

        Raises:
            OSError: there are too many, or one is on another file system.
        """
        assert self._inotify is not None
        repositories = []
        device = os.stat(self._root).st_dev
        folders = [self._root]
        count = 0
        while folders:
            folder = folders.pop()
            count += 1
            if count > _MOST:
                raise OSError("too many folders")
            try:
                self._inotify.watch(folder)  # first, so that nothing appears between
                with os.scandir(folder) as opened:
                    entries = list(opened)
            except (FileNotFoundError, NotADirectoryError, PermissionError):
                if folder == self._root:
                    raise
                continue  # its parent is watched, and tells when that changes
            for entry in entries:
                if entry.name == ".git":
                    repositories.append(folder)
                if entry.name in _VERSION_CONTROL or not entry.is_dir(follow_symlinks=False) or entry.path == index:
                    continue
                if os.lstat(entry.path).st_dev != device:
                    raise OSError("several file systems")
                folders.append(entry.path)
        return repositories

    def close(self) -> None:
        """Stop watching."""
        if self._inotify is not None:
            self._inotify.close()
            self._inotify = None


def _elsewhere(root: str, repositories: list[str]) -> list[str]:
    """Return the files outside the folders that are watched that have a say in which files count."""
    found = []
    above = os.path.dirname(root)
    while True:
        found += [os.path.join(above, name) for name in _IGNORE_FILES]
        if above == os.path.dirname(above):
            break
        above = os.path.dirname(above)
    top = git.top_of(root)
    for repository in {*repositories, *([top] if top else [])}:
        own, common = git.folders(repository)
        found += [os.path.join(own, name) for name in ("HEAD", "index", "config.worktree", "commondir")]
        found += [os.path.join(common, name) for name in ("config", os.path.join("info", "exclude"))]
    home = os.path.expanduser("~")
    of_git = os.path.join(os.environ.get("XDG_CONFIG_HOME") or os.path.join(home, ".config"), "git")
    found += [os.path.join(of_git, "config"), os.path.join(of_git, "ignore"), os.path.join(home, ".gitconfig")]
    found += ["/etc/gitconfig", os.environ.get("GIT_CONFIG_GLOBAL", ""), os.environ.get("GIT_CONFIG_SYSTEM", "")]
    if top:
        try:
            said = git.run(top, "config", "--type=path", "core.excludesFile", ok=(0, 1))
        except GitError:
            said = b""
        found.append(os.fsdecode(said.removesuffix(b"\n")))
    return [path for path in found if path]


def _stamp(paths: list[str]) -> Stamp:
    return tuple(map(_stamp_of, paths))


def _stamp_of(path: str) -> tuple[int, int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _index(layout: Layout, settings: Settings) -> object:
    """Return what is different when anybody has written the index, or None where there is none."""
    try:
        current = layout.current.read_bytes()
        manifest = layout.generation(current.decode("ascii").strip()).manifest
        with manifest.open("rb") as file:
            header = file.read(100)  # counts the changes of the database
    except (OSError, ValueError):
        return None
    return current, header, _stamp_of(str(manifest)), _stamp_of(str(layout.adaptation)), settings


def _local(root: str) -> bool:
    """Tell whether ROOT is on a file system that only this kernel changes."""
    longest = found = ""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as mounts:  # noqa: PTH123
        for line in mounts:
            words = line.split()
            kind = words[words.index("-") + 1]
            where = words[4].replace(r"\040", " ")
            # The last of the longest covers the others.
            if f"{root}/".startswith(where.rstrip("/") + "/") and len(where) >= len(longest):
                longest, found = where, kind
    return found in _LOCAL
