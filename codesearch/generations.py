"""The life of generations: which one answers, how the next is begun and takes over, and when an old one goes.

A generation (`gen-<n>`) is a store, a model and a manifest that belong together. One answers at a time: the one that
`CURRENT` names. A new one grows beside it and takes over by one atomic rename of `CURRENT`, so a reader sees the old
or the new, never half. Whoever reads a generation holds a shared lock on its `held` file; whoever writes removes those
that nobody holds. Where the platform has no such locks, readers meet a missing file instead, and begin again at
`CURRENT`.

Only one process writes an index folder: the one that holds `lock`. A folder that does not bear this user's seal is
neither read nor written.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from codesearch.errors import IndexBusyError, IndexDamagedError, IndexFormatError, StorageError, UsageError
from codesearch.paths import Generation, Layout
from codesearch.seal import SEAL, seal, sealed

if TYPE_CHECKING:
    from types import TracebackType

try:
    import fcntl
except ImportError:  # Windows, where an open file can not be removed anyway
    fcntl = None  # type: ignore[assignment]

Seen = TypeVar("Seen")

UNFINISHED: Final = ".tmp"
"""How the name of a file begins that LanceDB is writing."""

HINT: Final = "latest_version_hint.json"
"""A file that LanceDB writes anew, in its place, with each commit, and does without: it is longer with version 10 than
with 9, and empty after a commit for which the disk had no room."""

_NAME: Final = re.compile(r"gen-([1-9][0-9]{0,9})")
_IGNORE: Final = ".gitignore"
_DOOMED: Final = "old-"
"""Prefix of a generation that is being removed; a removal that was cut short is finished by the next."""
_OURS: Final = re.compile(
    r"CURRENT(\.new)?|(old-)?gen-\d+|adaptation\.(json|new)|model-\w+(\.partial)?|work-.*|training|lock|log"
    rf"|\.gitignore|{SEAL}(\.\w+)?"
)
"""Names of what `paths` describes."""
_BLANK: Final = re.compile(rf"\.gitignore|{SEAL}(\.\w+)?")
"""Of those, what is there before anything is indexed."""
_TRIES: Final = 10
"""Switches that may happen while one reader opens; each takes an index run, so that even two are unheard of."""

_DAMAGE_ERRNOS: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP})
"""Something is not there, or is something else; whatever else the system refuses says nothing about the index."""
_STORAGE_WORDS: Final = re.compile(
    "no space left|disk is full|disk quota|quota exceeded|read-?only|permission denied|access is denied"
    "|file too large|unable to open database|i/o error|input/output error|too many open files|cannot allocate memory"
    "|can't start new thread",
    re.IGNORECASE,
)
"""How SQLite and LanceDB, which pass no errno on, say that the disk or the system is the matter."""
_LANCE_NOISE: Final = re.compile(r"^lance error: |LanceError\(\w+\): |, \S+\.rs:\d+:\d+")
"""What LanceDB says to its own developers."""


@contextmanager
def explained(folder: Path, damage: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Turn what the operating system, SQLite and LanceDB raise about FOLDER into StorageError or IndexDamagedError.

    DAMAGE names the exceptions, beyond SQLite's, that mean a damaged index unless they speak of the disk.
    """
    try:
        yield
    except (OSError, sqlite3.Error, *damage) as error:  # type: ignore[misc]
        said = str(error) or type(error).__name__
        refused = isinstance(error, OSError) and error.errno and error.errno not in _DAMAGE_ERRNOS
        if refused or _STORAGE_WORDS.search(said):
            raise StorageError(
                f"the index in {folder} can not be read or written: {_first_line(said)}. Free some disk space, "
                "give yourself permission or have the disk checked, then run the same command again; nothing that was "
                "indexed is lost."
            ) from error
        if isinstance(error, sqlite3.OperationalError) and "locked" in said:
            raise IndexBusyError(f"the index in {folder} is being written; try again in a moment.") from error
        raise IndexDamagedError(folder, _first_line(said)) from error


def _first_line(said: str) -> str:
    return _LANCE_NOISE.sub("", said.splitlines()[0]).rstrip(". ")[:300]


def current(layout: Layout) -> Generation | None:
    """Return the generation that answers, or None where there is none, or it can not be told which it is."""
    with explained(layout.folder):
        try:
            name = layout.current.read_bytes()[:64].decode("ascii", "replace").strip()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
    generation = layout.generation(name)
    return generation if _NAME.fullmatch(name) and generation.folder.is_dir() else None


def ours(layout: Layout) -> bool:
    """Tell whether what is in the index folder is this user's own work: it is sealed, or nothing of an index yet."""
    try:
        return (
            sealed(layout.folder)
            or not any(
                _OURS.fullmatch(entry.name) and not _is_blank(entry, layout) for entry in layout.folder.iterdir()
            )
            or sealed(layout.folder)  # another process may just have done it, and begun an index
        )
    except FileNotFoundError:
        return True  # another process removed it
    except OSError:
        return False


def _is_blank(entry: Path, layout: Layout) -> bool:
    """Tell whether ENTRY says nothing of an index: it is of any such folder, or a lock that leads nowhere.

    Locks are all that a clearing leaves that is killed at its very end, and all there is when a folder was removed, and
    is made again by those who waited.
    """
    if _BLANK.fullmatch(entry.name):
        return True
    try:
        status = entry.lstat()
    except FileNotFoundError:
        return True
    return entry in (layout.lock, layout.training) and stat.S_ISREG(status.st_mode) and not status.st_size


def prepare(layout: Layout) -> None:
    """Create the index folder, for this user alone and out of git's sight.

    Raises:
        StorageError: that is not possible.
        UsageError: it is a folder of other things, which would vanish from git's sight, or another's index.
    """
    with explained(layout.folder):
        while True:
            layout.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with suppress(FileNotFoundError):  # another process removed it since, with all that was in it
                if _holds_other_things(layout):
                    raise UsageError(f"{layout.folder} holds other things than an index. Name an empty or new folder.")
                if not ours(layout):
                    raise UsageError(
                        f"{layout.folder} holds an index that you have not made here. Remove it, or name another."
                    )
                _claim(layout)
                return


def _holds_other_things(layout: Layout) -> bool:
    """Tell whether the folder is none of an index, by the lock that each has; another process may just be making it."""
    return (
        not layout.lock.exists()
        and not all(_OURS.fullmatch(entry.name) for entry in layout.folder.iterdir())
        and not layout.lock.exists()
    )


def _claim(layout: Layout) -> None:
    """Seal the folder, which is ours, mark it by its lock as an index's, and keep it out of git's sight."""
    if not sealed(layout.folder):
        seal(layout.folder)
    if not layout.lock.exists():
        layout.lock.touch()
    ignore = layout.folder / _IGNORE
    if not ignore.exists() or not ignore.stat().st_size:  # whoever began it may have been killed
        ignore.write_text("*\n", encoding="utf-8")


def writable(layout: Layout) -> bool:
    """Tell whether the index folder, which is there, may be written."""
    return os.access(layout.folder, os.W_OK, effective_ids=os.access in os.supports_effective_ids)


@contextmanager
def writing(layout: Layout, patience: float) -> Iterator[None]:
    """Be the one process that writes LAYOUT's folder; wait up to PATIENCE seconds, then raise IndexBusyError."""
    busy = (
        f"another process is writing the index in {layout.folder}. Wait until it is done, or stop it, and try again; "
        "searching works meanwhile."
    )
    with _alone(layout, layout.lock, patience, busy):
        yield


@contextmanager
def training(layout: Layout) -> Iterator[None]:
    """Be the one process that trains for LAYOUT's folder, or raise IndexBusyError."""
    with _alone(layout, layout.training, 0, "another process is training for this folder; wait until it is done."):
        yield


@contextmanager
def _alone(layout: Layout, file: Path, patience: float, busy: str) -> Iterator[None]:
    """Hold the lock FILE in LAYOUT's folder; wait up to PATIENCE seconds, then raise IndexBusyError, which says BUSY.

    It may be removed by who holds it: the others, who wait for one that has no name any more, begin again.
    """
    from filelock import FileLock, Timeout  # 20 ms, and readers do without

    lock = FileLock(file, thread_local=False)
    while True:
        with explained(layout.folder):
            try:
                lock.acquire(timeout=patience, poll_interval=0.05)
                break
            except Timeout:
                raise IndexBusyError(busy) from None
            except FileNotFoundError:
                if layout.folder.is_dir():
                    raise
        prepare(layout)  # another process removed the whole folder
    try:
        with explained(layout.folder):
            if ours(layout):
                _claim(layout)  # whoever removed the index since the folder was prepared took seal and all
        yield
    finally:
        lock.release()


def create(layout: Layout) -> Generation:
    """Return the next generation, an empty folder with its `held` file."""
    with explained(layout.folder):
        if current(layout) is None:  # the name of one that is gone must not come to mean the one that is begun
            remove(layout.current)
        numbers = [int(m[1]) for p in layout.folder.iterdir() if (m := _NAME.fullmatch(p.name))]
        generation = layout.generation(f"gen-{max(numbers, default=0) + 1}")
        generation.folder.mkdir(mode=0o700)
        generation.held.touch()
    return generation


def half_built(layout: Layout) -> list[Generation]:
    """Return the generations that do not answer, newest first: begun and not finished, or on their way out."""
    named = {}
    with suppress(FileNotFoundError, NotADirectoryError):
        named = {int(m[1]): p for p in layout.folder.iterdir() if (m := _NAME.fullmatch(p.name))}
    answering = current(layout)
    return [Generation(named[n]) for n in sorted(named, reverse=True) if Generation(named[n]) != answering]


def switch(layout: Layout, generation: Generation) -> None:
    """Let GENERATION answer from now on; it is either wholly so or not at all, even through a power cut."""
    fresh = _next(layout)
    with explained(layout.folder):
        _sync_tree(generation.folder)
        with fresh.open("w", encoding="ascii") as file:
            file.write(generation.folder.name + "\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(layout.current)
        _sync(layout.folder)


def _next(layout: Layout) -> Path:
    """Return where the name of the generation that takes over is written first."""
    return layout.current.with_suffix(".new")


def contents(generation: Generation) -> dict[str, int]:
    """Return what GENERATION consists of beside its manifest: the size of each file, by its path in the folder."""
    found = {generation.held.name: 0}
    with explained(generation.folder.parent):
        for part in (generation.store, generation.model):
            for folder, _, names in os.walk(part):
                at = os.path.relpath(folder, generation.folder)
                # What LanceDB has not finished when it is killed is no part of it, and goes.
                whole = (name for name in names if not name.startswith(UNFINISHED) and name != HINT)
                found |= {f"{at}/{name}": os.stat(f"{folder}/{name}").st_size for name in whole}  # noqa: PTH116
    return found


def lacks(generation: Generation, contents: dict[str, int]) -> bool:
    """Tell whether any of CONTENTS, as `contents` gives them, is gone from GENERATION, or of another size."""
    with explained(generation.folder.parent):
        try:
            # Some hundred files before every answer, so no Path for each.
            return any(os.stat(f"{generation.folder}/{path}").st_size != size for path, size in contents.items())  # noqa: PTH116
        except (FileNotFoundError, NotADirectoryError):
            return True


def set_aside(layout: Layout, generation: Generation) -> bool:
    """Take GENERATION, which turned out to be damaged, out of use, if it answers and nobody writes; tell whether it is.

    Whoever indexes next then builds another.
    """
    with suppress(OSError, IndexBusyError, StorageError), writing(layout, 0):
        if current(layout) == generation:
            layout.current.unlink()
            generation.folder.rename(generation.folder.with_name(_DOOMED + generation.folder.name))
            return True
    return False


def remove(path: Path) -> None:
    """Remove the file or folder at PATH as far as that is possible; what a stranger's link leads to stays."""
    with suppress(OSError):
        if path.is_symlink() or not path.is_dir():
            path.unlink()
    shutil.rmtree(path, ignore_errors=True)


def sweep(layout: Layout) -> None:
    """Remove every generation that does not answer and that no reader holds; what can not go now goes next time.

    And what a switch that was killed has left.
    """
    remove(_next(layout))
    for generation in half_built(layout):
        with _free(generation) as free, suppress(OSError):
            if free:
                generation.folder.rename(generation.folder.with_name(_DOOMED + generation.folder.name))
    for folder in layout.folder.glob(f"{_DOOMED}*"):
        shutil.rmtree(folder, ignore_errors=True)


def clear(layout: Layout, patience: float) -> int:
    """Remove the index in LAYOUT's folder, with all it has learnt, and nothing else; return its bytes.

    The folder goes too, unless something else lies in it. A reader that is still answering keeps its open files.

    Raises:
        IndexBusyError: another process is writing it, or training for it.
        StorageError: that is not allowed.
        UsageError: there is no index.
    """
    if layout.folder.is_symlink() or not layout.lock.is_file():
        raise UsageError(f"there is no index in {layout.folder}.")
    with writing(layout, patience), training(layout), explained(layout.folder):
        layout.current.unlink(missing_ok=True)  # first, so that nobody begins to read what is going
        removed = _remove_contents(layout.folder, but=(layout.lock.name, SEAL))
        # The lock last, and while it is held: once it is free, it is another's who may be building here. The seal goes
        # when nothing is left that it would be asked for.
        with suppress(OSError):
            (layout.folder / SEAL).unlink(missing_ok=True)
            layout.lock.unlink()
            layout.folder.rmdir()
    return removed


def discard(folder: Path) -> int:
    """Remove what is called as in an index from FOLDER, which is not ours, and FOLDER unless more lies in it.

    Nothing in it is opened, locked or followed. Returns its bytes.

    Raises:
        StorageError: that is not allowed.
    """
    with explained(folder):
        removed = _remove_contents(folder)
        with suppress(OSError):
            folder.rmdir()
    return removed


def _remove_contents(folder: Path, but: tuple[str, ...] = ()) -> int:
    removed = 0
    for entry in folder.iterdir():
        if not _OURS.fullmatch(entry.name) or entry.name in but:
            continue
        if entry.is_dir() and not entry.is_symlink():
            removed += sum(f.stat().st_size for f in entry.rglob("*") if f.is_file() and not f.is_symlink())
            shutil.rmtree(entry)
        else:
            removed += entry.lstat().st_size
            entry.unlink()
    return removed


def identity(generation: Generation) -> tuple[int, int]:
    """Return what tells GENERATION from another of its name: an index may be removed, and built again from `gen-1`."""
    try:
        status = generation.held.stat()
    except OSError:
        return 0, 0
    return status.st_dev, status.st_ino


def steadily(layout: Layout, look: Callable[[], Seen]) -> Seen:
    """Return what LOOK reads of the generation that answers; again where that was replaced or removed meanwhile."""
    while True:
        before = _which(layout)
        try:
            return look()
        except (IndexFormatError, StorageError):
            if _which(layout) == before:
                raise


def _which(layout: Layout) -> tuple[Generation | None, tuple[int, int]]:
    generation = current(layout)
    return generation, identity(generation) if generation else (0, 0)


class Hold:
    """A shared lock on a generation: while it is held the generation stays, even when another takes over."""

    __slots__ = ("_descriptor", "generation")

    def __init__(self, layout: Layout, unfinished: Generation | None = None) -> None:
        """Hold the generation that answers, or, while there is none, the UNFINISHED one.

        Raises:
            IndexFormatError: there is neither.
        """
        for _ in range(_TRIES):
            generation = current(layout) or unfinished
            if generation is None:
                break
            self.generation = generation
            try:
                self._descriptor = os.open(generation.held, os.O_RDONLY)
            except FileNotFoundError:
                continue  # it was removed since CURRENT was read
            try:
                if fcntl:
                    fcntl.flock(self._descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
                if (current(layout) or unfinished) == generation:
                    return
            except BlockingIOError:
                pass  # it is being removed
            except OSError as error:
                if error.errno in (errno.ENOLCK, errno.ENOTSUP, errno.EINVAL):
                    return  # a file system without locks: the reader starts again if files go missing
                raise
            self.release()
        raise IndexFormatError(f"there is no usable index in {layout.folder}. Run `codesearch index` to build it.")

    @property
    def identity(self) -> tuple[int, int]:
        """Which generation of its name it is; see `identity`. While it is held, no other can have the same."""
        status = os.fstat(self._descriptor)
        return status.st_dev, status.st_ino

    def release(self) -> None:
        """Let the generation go."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Hold:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def __del__(self) -> None:
        with suppress(AttributeError, OSError):
            self.release()


@contextmanager
def _free(generation: Generation) -> Iterator[bool]:
    """Tell whether nobody holds GENERATION, and keep it so within."""
    if not fcntl:
        yield True
        return
    try:
        descriptor = os.open(generation.held, os.O_RDWR)
    except OSError:
        yield True  # begun, and stopped before it could be held
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(descriptor)


def _sync(path: Path) -> None:
    """Bring a file or folder to the disk, where the platform can; raise OSError where the disk fails."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno in (errno.EIO, errno.ENOSPC, errno.EDQUOT):
            raise


def _sync_tree(folder: Path) -> None:
    for parent, _, names in os.walk(folder):
        for name in names:
            _sync(Path(parent, name))
        _sync(Path(parent))
