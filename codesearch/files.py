"""Which files of a folder are worth searching, and how their bytes are read safely.

ROOT is the scope, never its git root: git supplies facts about the files in ROOT, which may be a repository, a folder
of one, a worktree, or a folder of many.

- In a repository, `git ls-files` says which files git would not ignore: nested `.gitignore`, `.git/info/exclude`, the
  person's global excludes. A tracked file that matches a `.gitignore` is wanted, as it is by git (ripgrep drops it).
- Then `.ignore`, then `.codesearchignore`, each able to take back with `!` what the ones before it drop, as in ripgrep,
  from the file's folder up to the top of the file system.
- Outside repositories, `.gitignore` files from ROOT downwards are respected all the same (ripgrep does not).
- Repositories inside ROOT are walked, each by its own rules, except submodules, and second worktrees of a repository
  that is in scope already. Where git refuses (another owner's repository, a damaged one) the rules are read without it,
  and the scan says so. A ROOT that its own repository ignores was still asked for: it is walked like a folder outside.
- Hidden names stay out unless asked for, or taken back by `.ignore` or `.codesearchignore`. Folders that tools fill
  with packages stay out unless taken back. Never indexed, whatever anybody says: version control's own folders,
  indexes, symbolic links (what one points to in ROOT is judged where it lies), what is not a regular file, secrets,
  binaries, minified and generated files, files over the limit.

`scan` looks at names and sizes only, for it runs before every answer; what only content can tell is for `read`.
"""

# ruff: noqa: PTH100, PTH110, PTH111, PTH112, PTH114, PTH116, PTH118, PTH120, PTH206
# Paths are strings here: a Path for each of 10,000 entries costs more than listing them all.

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from codesearch import git
from codesearch.errors import GitError, RootError
from codesearch.ignore import MAX_BYTES, IgnoreFile, Pattern
from codesearch.paths import INDEX_FOLDER, index_folder
from codesearch.settings import Settings
from codesearch.why import QUIET, Why, by_content, by_name

_IGNORE_FILES = (".codesearchignore", ".ignore", ".gitignore")
"""Who decides first; the last is left to git where git answers."""

_GIT = _IGNORE_FILES.index(".gitignore")

_VERSION_CONTROL = frozenset({".git", ".hg", ".svn", ".jj", ".bzr"})

_INSTALLED = frozenset({"node_modules", "bower_components", "__pycache__", "__pypackages__", "site-packages"})

DECIDING = frozenset({*_IGNORE_FILES, ".git", "CACHEDIR.TAG", "pyvenv.cfg"})
"""Names that say something about the folder that holds them."""

_CACHE_SIGNATURE = b"Signature: 8a477f597d28d172789f06886806bc55"
"""How CACHEDIR.TAG begins in a folder whose content can be made again: cargo, pytest, mypy (https://bford.info/cachedir)."""


class FileEntry(NamedTuple):
    """A file to index, as its folder describes it; a named tuple, for there are thousands before every answer."""

    path: str
    """Relative to the root, with forward slashes; bytes that are not UTF-8 are surrogate escapes."""
    root: str
    """The root's absolute path, without symbolic links."""
    size: int
    """Bytes."""
    mtime_ns: int
    """When its content was changed, as it says itself: a copy or an archive may have set it."""
    ctime_ns: int = 0
    """When anything about it was changed, as the system says; nobody can set it. On Windows, when it was created."""

    @property
    def absolute(self) -> Path:
        """Where the file is."""
        return Path(self.root, self.path)


@dataclass(frozen=True, slots=True)
class Skip:
    """A file or folder that is not indexed, and why."""

    path: str
    """Relative to the root; `.` is the root itself."""
    why: Why
    detail: str = ""
    """What decided it, such as the line of an ignore file; may be empty."""

    @property
    def reason(self) -> str:
        """The reason on one line, without the path."""
        return f"{self.why}: {self.detail}" if self.detail else str(self.why)


def scan(root: Path, settings: Settings, paths: Collection[str] | None = None) -> Iterator[FileEntry | Skip]:
    """Yield the files below ROOT that are worth indexing, and what a person would wonder about missing, sorted by path.

    PATHS, relative to ROOT, are judged one by one where they are given, and nothing else is looked at.

    Raises:
        RootError: ROOT is missing, not a folder, or unreadable.
    """
    found = _Scope(root, settings).walk() if paths is None else (look(root, path, settings) for path in sorted(paths))
    return (one for one in found if isinstance(one, FileEntry) or one.why not in QUIET)


def look(root: Path, path: str | Path, settings: Settings) -> FileEntry | Skip:
    """Judge PATH (absolute, or relative to ROOT) as `scan` would, without listing the rest.

    Raises:
        RootError: ROOT is missing, not a folder, or unreadable.
    """
    return _Scope(root, settings).one(path)


def explain(root: Path, path: str | Path, settings: Settings) -> FileEntry | Skip:
    """Judge PATH as `scan` and then `read` would: the file that is indexed, or why it is not.

    Raises:
        RootError: ROOT is missing, not a folder, or unreadable.
    """
    found = look(root, path, settings)
    if isinstance(found, FileEntry):
        content = read(found, settings)
        return content if isinstance(content, Skip) else found
    return found


def read(entry: FileEntry, settings: Settings) -> bytes | Skip:
    """Return the content of a file that `scan` found, or why it is not indexed after all.

    The file is opened without following a symbolic link anywhere below the root and without waiting for a named pipe,
    whatever has become of it since the scan.
    """
    try:
        content = _read(entry.root, entry.path, settings.max_filesize + 1)
    except _NotRegularError:
        return Skip(entry.path, Why.SPECIAL)
    except FileNotFoundError:
        return Skip(entry.path, Why.MISSING)
    except OSError as error:
        return Skip(entry.path, Why.UNREADABLE, error.strerror or str(error))
    if len(content) > settings.max_filesize:
        return Skip(entry.path, Why.TOO_LARGE, f"the limit is {settings.max_filesize:,} bytes")
    unwanted = by_name(entry.path) or by_content(entry.path, content)
    return Skip(entry.path, *unwanted) if unwanted else content


def is_ours(folder: Path) -> bool:
    """Tell whether the index in FOLDER may be loaded: it is a real folder, and git tracks nothing of it.

    Anyone can commit a `.codesearch/`, so one that comes with a repository counts as missing. Where git refuses to say,
    only a folder of this user's own will do.
    """
    try:
        status = folder.lstat()
    except OSError:
        return False
    if not stat.S_ISDIR(status.st_mode):
        return False
    try:
        return not git.tracked_by_git(folder)
    except GitError:
        return not hasattr(os, "geteuid") or status.st_uid == os.geteuid()


Rules = tuple[tuple[IgnoreFile, ...], ...]
"""For each of `_IGNORE_FILES`, those that hold in a folder, from the deepest up."""


@dataclass(frozen=True, slots=True)
class _Listing:
    """What git says about one repository; the paths are relative to ROOT."""

    top: str
    """The repository's folder; ROOT may lie below it."""
    files: frozenset[str]
    """What is tracked or could be added: files, symbolic links, submodules."""
    folders: frozenset[str]
    """The folders that hold any of them."""
    repositories: frozenset[str]
    """Folders with a repository of their own, not ignored."""


class _Folder(NamedTuple):
    """A folder on the way down, and what decides about the entries in it."""

    absolute: str
    prefix: str
    """Its path relative to ROOT, ending in a slash; empty for ROOT."""
    rules: Rules
    listing: _Listing | None
    """None where `.gitignore` is among the rules instead: outside repositories, or where git has nothing to say."""
    taken_back: bool = False
    """An ignore file asks for it with `!`."""


class _Scope:
    """ROOT, and what decides about everything in it."""

    def __init__(self, root: Path, settings: Settings) -> None:
        self._settings = settings
        self._given = os.path.abspath(root)
        self._root = _checked(root)
        self._top = git.top_of(self._root)
        self._index = _below(self._root, os.path.realpath(index_folder(Path(self._root), settings.index_dir)))
        self._notices: list[Skip] = []
        self._only = ""
        """The one path that is judged, relative to ROOT: git is asked about nothing else."""
        self._rules_of_git: dict[str, tuple[IgnoreFile, ...]] = {}

    def walk(self) -> Iterator[FileEntry | Skip]:
        """See `scan`."""
        stack: list[Iterator[_Folder | FileEntry | Skip]] = [iter((self._start(),))]
        while stack:
            found = next(stack[-1], None)
            if found is None:
                stack.pop()
            elif isinstance(found, _Folder):
                opened = self._open(found)
                yield from self._notices
                self._notices.clear()
                if isinstance(opened, Skip):
                    yield opened
                else:
                    stack.append(map(partial(self._judge, opened[0]), opened[1]))
            else:
                yield found

    def one(self, path: str | Path) -> FileEntry | Skip:
        """See `look`."""
        asked = self._relative(path)
        if asked is None:
            return Skip(os.fspath(path), Why.OUTSIDE, f"the root is {self._root}")
        if not asked:
            return Skip(".", Why.FOLDER)
        self._only = asked
        if not os.path.lexists(os.path.join(self._root, asked)):
            return Skip(asked, Why.MISSING)
        found: _Folder | FileEntry | Skip = self._start()
        for name in asked.split("/"):
            if not isinstance(found, _Folder):
                return Skip(asked, Why.MISSING)
            opened = self._open(found)
            if isinstance(opened, Skip):
                return Skip(asked, opened.why, opened.detail)
            folder, entries = opened
            entry = next((entry for entry in entries if entry.name == name), None)
            if entry is None:
                return Skip(asked, Why.MISSING)
            found = self._judge(folder, entry)
            if isinstance(found, Skip):
                return self._told(folder, asked, found)
        if not isinstance(found, _Folder):
            return found
        opened = self._open(found)
        return Skip(asked, opened.why, opened.detail) if isinstance(opened, Skip) else Skip(asked, Why.FOLDER)

    def _start(self) -> _Folder:
        """Return ROOT with the rules that hold in it from above."""
        if self._settings.no_ignore:
            return _Folder(self._root, "", ((),) * len(_IGNORE_FILES), None)
        above = os.path.dirname(self._root)
        rules = [self._upwards(above, "", name) if above != self._root else () for name in _IGNORE_FILES[:_GIT]]
        listing = None
        git_rules: tuple[IgnoreFile, ...] = ()
        if self._top is not None:
            listing, git_rules = self._repository(self._root, "", self._top)
        return _Folder(self._root, "", (*rules, git_rules), listing)

    def _open(self, folder: _Folder) -> tuple[_Folder, list[os.DirEntry[str]]] | Skip:
        """Return FOLDER with the rules that its own files add, and its entries in the order of their paths."""
        path = folder.prefix.rstrip("/")
        try:
            with os.scandir(folder.absolute) as opened:
                entries = list(opened)
            entries.sort(key=_in_path_order)
        except OSError as error:
            return Skip(path or ".", Why.UNREADABLE, error.strerror or str(error))
        names = DECIDING.intersection(entry.name for entry in entries)
        if not names:
            return folder, entries
        listing, rules = folder.listing, folder.rules
        if path and not folder.taken_back and not self._settings.no_ignore:
            mark = (
                "pyvenv.cfg" if "pyvenv.cfg" in names else self._cache_tag(folder) if "CACHEDIR.TAG" in names else None
            )
            if mark is not None:
                return Skip(path, Why.INSTALLED, f"it holds {mark}")
        if path and ".git" in names:
            elsewhere = self._elsewhere(folder)
            if elsewhere is not None:
                return Skip(path, *elsewhere)
            if listing is None and not self._settings.no_ignore:
                listing, git_rules = self._repository(folder.absolute, folder.prefix, folder.absolute)
                rules = (*rules[:_GIT], git_rules)
        if not self._settings.no_ignore:
            for kind, name in enumerate(_IGNORE_FILES):
                if name in names and (kind != _GIT or listing is None):
                    file = self._ignore_file(folder.absolute, name)
                    rules = (*rules[:kind], (*file, *rules[kind]), *rules[kind + 1 :])
        return _Folder(folder.absolute, folder.prefix, rules, listing, folder.taken_back), entries

    def _judge(self, folder: _Folder, entry: os.DirEntry[str]) -> _Folder | FileEntry | Skip:
        """Decide about one ENTRY of FOLDER."""
        name = entry.name
        path = folder.prefix + name
        try:
            is_folder = entry.is_dir(follow_symlinks=False)
            taken_back = False
            pattern = _decisive(folder.rules[:_GIT], path, name, is_folder)
            if pattern is not None:
                if not pattern.negated:
                    return Skip(path, Why.IGNORED, pattern.where)
                taken_back = True
            hidden = name[0] == "."
            if hidden and name.lower() in _VERSION_CONTROL:
                return Skip(path, Why.HIDDEN, "version control's own")
            if is_folder and (name == INDEX_FOLDER or path == self._index):
                return Skip(path, Why.INDEX)
            if not taken_back:
                if hidden and not self._settings.hidden:
                    return Skip(path, Why.HIDDEN)
                if folder.listing is None or path not in folder.listing.files:
                    dropped = self._dropped(folder, entry, path, is_folder)
                    if dropped is not None:
                        return dropped
            if is_folder:
                return self._enter(folder, entry, path, taken_back)
            status = entry.stat(follow_symlinks=False)
            if not stat.S_ISREG(status.st_mode):
                return self._link(entry, path) if stat.S_ISLNK(status.st_mode) else Skip(path, Why.SPECIAL)
        except OSError as error:
            return Skip(path, Why.UNREADABLE, error.strerror or str(error))
        unwanted = by_name(path)
        if unwanted is not None:
            return Skip(path, *unwanted)
        if status.st_size > self._settings.max_filesize:
            return Skip(path, Why.TOO_LARGE, _limit(self._settings, status.st_size))
        return FileEntry(path, self._root, status.st_size, status.st_mtime_ns, status.st_ctime_ns)

    def _dropped(self, folder: _Folder, entry: os.DirEntry[str], path: str, is_folder: bool) -> Skip | None:
        """Ask git, or the rules of `.gitignore` where git does not answer, whether the entry is ignored."""
        listing = folder.listing
        if listing is None:
            pattern = _decisive(folder.rules[_GIT:], path, entry.name, is_folder)
            return Skip(path, Why.IGNORED, pattern.where) if pattern is not None and not pattern.negated else None
        if is_folder and (path in listing.folders or path in listing.repositories):
            return None
        # In a folder of which git lists nothing, something may be taken back, or be there that git could not see.
        if not is_folder or not (
            self._only
            or any(file.negates for kind in folder.rules[:_GIT] for file in kind)
            or any(os.path.lexists(os.path.join(entry.path, name)) for name in _IGNORE_FILES[:_GIT])
            or not _can_list(entry.path)
        ):
            return Skip(path, Why.IGNORED)
        pattern = _decisive((self._git_rules(folder.absolute, listing.top),), path, entry.name, is_folder)
        return Skip(path, Why.IGNORED, pattern.where) if pattern is not None and not pattern.negated else None

    def _enter(self, folder: _Folder, entry: os.DirEntry[str], path: str, taken_back: bool) -> _Folder | Skip:
        """Return the folder ENTRY with the rules it inherits."""
        listing, git_rules = folder.listing, folder.rules[_GIT]
        if listing is not None and path in listing.files:
            return Skip(path, Why.SUBMODULE)
        if entry.name in _INSTALLED and not taken_back and not self._settings.no_ignore:
            return Skip(path, Why.INSTALLED)
        if listing is not None:
            if path in listing.repositories:
                listing = None
            elif taken_back and path not in listing.folders:
                git_rules = self._git_rules(folder.absolute, listing.top)
                listing = None
        return _Folder(entry.path, path + "/", (*folder.rules[:_GIT], git_rules), listing, taken_back)

    def _link(self, entry: os.DirEntry[str], path: str) -> Skip:
        target = os.path.realpath(entry.path)
        if not os.path.exists(target):
            return Skip(path, Why.BROKEN)
        inside = _below(self._root, target)
        return Skip(path, Why.OUTSIDE, f"leads to {target}") if inside is None else Skip(path, Why.LINK, f"to {inside}")

    def _repository(self, absolute: str, prefix: str, top: str) -> tuple[_Listing | None, tuple[IgnoreFile, ...]]:
        """Ask git about the repository at TOP, seen from the folder ABSOLUTE, or read its rules where git refuses."""
        try:
            return self._list(absolute, prefix, top), ()
        except GitError as error:
            self._notices.append(Skip(prefix.rstrip("/") or ".", Why.GIT, " ".join(str(error).split())))
            above = self._upwards(os.path.dirname(absolute), top, ".gitignore") if absolute != top else ()
            return None, (*above, *self._excludes(top))

    def _list(self, absolute: str, prefix: str, top: str) -> _Listing | None:
        """Return what git lists below ABSOLUTE, or None where git ignores that folder itself.

        Raises:
            GitError: git refused.
        """
        if absolute != top and git.run(absolute, "check-ignore", "--no-index", "--", ".", ok=(0, 1)):
            return None
        within = ("--", git.literal(self._reach(prefix))) if self._only else ()
        listed = git.run(absolute, "ls-files", "-z", "--cached", "--others", "--exclude-standard", *within)
        files: set[str] = set()
        folders: set[str] = set()
        repositories: set[str] = set()
        for name in listed.decode("utf-8", "surrogateescape").split("\0"):
            path = prefix + name
            if name.endswith("/"):
                path = path[:-1]
                repositories.add(path)
            elif name:
                files.add(path)
            while (slash := path.rfind("/", len(prefix))) > 0 and (path := path[:slash]) not in folders:
                folders.add(path)
        return _Listing(top, frozenset(files), frozenset(folders), frozenset(repositories))

    def _reach(self, prefix: str) -> str:
        """Return the one path that is judged, relative to PREFIX, as far as the repository there goes."""
        parts = self._only[len(prefix) :].split("/")
        for end in range(1, len(parts)):
            absolute = os.path.join(self._root, prefix, *parts[:end])
            if os.path.islink(absolute) or os.path.lexists(os.path.join(absolute, ".git")):
                return "/".join(parts[:end])
        return "/".join(parts)

    def _git_rules(self, folder: str, top: str) -> tuple[IgnoreFile, ...]:
        """Read what git would in FOLDER of the repository at TOP: `.gitignore` upwards, then what holds everywhere."""
        if folder not in self._rules_of_git:
            self._rules_of_git[folder] = (*self._upwards(folder, top, ".gitignore"), *self._excludes(top))
        return self._rules_of_git[folder]

    def _excludes(self, top: str) -> tuple[IgnoreFile, ...]:
        """Read the ignore files that hold everywhere in the repository at TOP: its own, then the person's."""
        try:
            said = git.run(top, "config", "--type=path", "core.excludesFile", ok=(0, 1))
        except GitError:
            said = b""
        configured = said.decode("utf-8", "surrogateescape").removesuffix("\n")
        home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
        excludes = os.path.join(_common_folder(top), "info", "exclude")
        everywhere = configured or os.path.join(home, "git", "ignore")
        return (*self._ignore_file(top, excludes), *self._ignore_file(top, everywhere))

    def _upwards(self, folder: str, top: str, name: str) -> tuple[IgnoreFile, ...]:
        """Read the ignore files called NAME in FOLDER and above, up to TOP or the top of the file system."""
        found: tuple[IgnoreFile, ...] = ()
        while True:
            found += self._ignore_file(folder, name)
            above = os.path.dirname(folder)
            if folder in (top, above):
                return found
            folder = above

    def _ignore_file(self, folder: str, name: str) -> tuple[IgnoreFile, ...]:
        """Read the ignore file NAME in FOLDER, or NAME for FOLDER where that is an absolute path; it may not exist."""
        path = os.path.join(folder, name)
        inside = _below(self._root, path)
        try:
            content = _read_any(path, MAX_BYTES + 1) if inside is None else _read(self._root, inside, MAX_BYTES + 1)
        except (OSError, _NotRegularError):
            return ()
        if len(content) > MAX_BYTES:
            self._notices.append(
                Skip(inside or path, Why.TOO_LARGE, f"not applied: more than {MAX_BYTES:,} bytes of rules")
            )
            return ()
        below = _below(self._root, folder)
        if below is not None:
            return (IgnoreFile(content, inside or path, base=below + "/" if below else ""),)
        above = os.path.relpath(self._root, folder).replace(os.sep, "/")
        return (IgnoreFile(content, path, above=above + "/"),)

    def _cache_tag(self, folder: _Folder) -> str | None:
        name = "CACHEDIR.TAG"
        try:
            return name if _read(self._root, folder.prefix + name, 100).startswith(_CACHE_SIGNATURE) else None
        except (OSError, _NotRegularError):
            return None

    def _elsewhere(self, folder: _Folder) -> tuple[Why, str] | None:
        """Tell a submodule and a second worktree, whose `.git` is a file, from a repository that is only here."""
        pointed = _git_file(folder.absolute)
        if pointed is None:
            return None
        parts = pointed.split(os.sep)
        if "modules" in parts and parts[parts.index("modules") - 1] == ".git":
            return Why.SUBMODULE, ""
        common = os.path.realpath(_common_folder(folder.absolute))
        if common == os.path.realpath(pointed):
            return None
        ours = self._top is not None and common == os.path.realpath(_common_folder(self._top))
        return (Why.WORKTREE, f"of {os.path.dirname(common)}") if ours or _below(self._root, common) else None

    def _relative(self, path: str | Path) -> str | None:
        """Return PATH relative to ROOT with forward slashes, or None where it leads out."""
        absolute = os.path.normpath(os.path.join(self._given, path))
        for root in (self._given, self._root):
            if (inside := _below(root, absolute)) is not None:
                return inside
        folder, name = os.path.split(absolute)
        return _below(self._root, os.path.join(os.path.realpath(folder), name))

    def _told(self, folder: _Folder, asked: str, found: Skip) -> Skip:
        """Return FOUND for the path ASKED about, as fully as a person wants it who asks about that one."""
        detail = found.detail
        if found.why in (Why.HIDDEN, Why.IGNORED):
            by = by_name(asked)
            if by is not None and by[0] is Why.SECRET:
                return Skip(asked, *by)
        if found.why is Why.IGNORED and not detail and folder.listing is not None:
            detail = self._git_pattern(folder.listing, asked)
        if not detail and found.path != asked:
            detail = found.path
        return Skip(asked, found.why, detail)

    def _git_pattern(self, listing: _Listing, path: str) -> str:
        """Return the line by which git ignores PATH, or nothing where none does."""
        try:
            absolute = os.path.join(self._root, path)
            said = git.run(listing.top, "check-ignore", "--verbose", "--no-index", "--", absolute, ok=(0, 1))
        except GitError:
            return ""
        source, _, line = os.fsdecode(said).rpartition("\t")[0].partition(":")
        if not source:
            return ""
        number, _, pattern = line.partition(":")
        file = os.path.join(listing.top, source)
        return f"{_below(self._root, file) or file}:{number}: {pattern}"


class _NotRegularError(Exception):
    """A folder, named pipe, socket or device where a file was expected."""


def _checked(root: Path) -> str:
    """Return ROOT's real path."""
    try:
        real = os.path.realpath(root, strict=True)
        is_folder = os.path.isdir(real)
    except OSError as error:
        if not os.path.lexists(root):
            raise RootError(f"{root} does not exist: give the folder to search, such as `.`") from error
        raise RootError(f"{root} cannot be read ({error.strerror}): check its permissions") from error
    if not is_folder:
        raise RootError(f"{root} is a file: give the folder it is in, {os.path.dirname(real)}")
    if not _can_list(real):
        raise RootError(
            f"{root} cannot be read (no permission): check it with `ls -ld`, or run as the user who owns it"
        )
    return real


def _decisive(rules: Rules, path: str, name: str, is_folder: bool) -> Pattern | None:
    """Return the first file's last word on an entry."""
    for kind in rules:
        for file in kind:
            pattern = file.match(path, name, is_folder)
            if pattern is not None:
                return pattern
    return None


def _in_path_order(entry: os.DirEntry[str]) -> str:
    return entry.name + "/" if entry.is_dir(follow_symlinks=False) else entry.name


def _limit(settings: Settings, size: int) -> str:
    return f"{size:,} bytes, the limit is {settings.max_filesize:,}"


def _can_list(folder: str) -> bool:
    return os.access(folder, os.R_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids)


def _below(root: str, path: str) -> str | None:
    """Return PATH relative to ROOT with forward slashes (empty for ROOT itself), or None where it lies elsewhere."""
    if path == root:
        return ""
    inside = root if root.endswith(os.sep) else root + os.sep
    return path[len(inside) :].replace(os.sep, "/") if path.startswith(inside) else None


def _git_file(folder: str) -> str | None:
    """Return the absolute path that FOLDER's `.git` points to, where that is a file, as in worktrees and submodules."""
    try:
        content = _read_any(os.path.join(folder, ".git"), 8192)
    except (OSError, _NotRegularError):
        return None
    if not content.startswith(b"gitdir: "):
        return None
    pointed = os.fsdecode(content.removeprefix(b"gitdir: ").rstrip(b"\r\n"))
    return os.path.normpath(os.path.join(folder, pointed))


def _common_folder(top: str) -> str:
    """Return the folder that keeps what all worktrees of the repository at TOP share."""
    own = _git_file(top)
    if own is None:
        return os.path.join(top, ".git")
    try:
        shared = os.fsdecode(_read_any(os.path.join(own, "commondir"), 8192).rstrip(b"\r\n"))
    except (OSError, _NotRegularError):
        return own
    return os.path.normpath(os.path.join(own, shared))


_READ_ONLY = os.O_RDONLY | sum(getattr(os, flag, 0) for flag in ("O_CLOEXEC", "O_NOCTTY", "O_NONBLOCK", "O_BINARY"))
_NO_LINK: int = getattr(os, "O_NOFOLLOW", 0)
_STEP: int = getattr(os, "O_PATH", os.O_RDONLY) | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0) | _NO_LINK


def _read(root: str, path: str, limit: int) -> bytes:
    """Return the first LIMIT bytes of the regular file PATH below ROOT, following no symbolic link below ROOT.

    Raises:
        OSError: as opening and reading do; a symbolic link is one.
        _NotRegularError: it is something else, or leads upwards.
    """
    if ".." in path.split("/"):
        raise _NotRegularError
    if os.open not in os.supports_dir_fd:
        absolute = os.path.join(root, *path.split("/"))
        if os.path.realpath(absolute) != os.path.normpath(absolute):
            raise _NotRegularError
        return _read_any(absolute, limit)
    *folders, name = path.split("/")
    at = os.open(root, _STEP & ~_NO_LINK)
    try:
        for folder in folders:
            below = os.open(folder, _STEP, dir_fd=at)
            os.close(at)
            at = below
        if not stat.S_ISREG(os.stat(name, dir_fd=at, follow_symlinks=False).st_mode):
            raise _NotRegularError  # without opening it: that alone can have effects on a device
        return _content(os.open(name, _READ_ONLY | _NO_LINK, dir_fd=at), limit)
    finally:
        os.close(at)


def _read_any(path: str, limit: int) -> bytes:
    """Return the first LIMIT bytes of a regular file, following symbolic links; raises as `_read` does."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise _NotRegularError
    return _content(os.open(path, _READ_ONLY), limit)


def _content(descriptor: int, limit: int) -> bytes:
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise _NotRegularError
        return file.read(limit)
