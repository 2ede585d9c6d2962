"""A disk that fills up, and one that can not be written, for real: on a small file system in a namespace of its own.

`python -m tests.faults.full FOLDER` mounts it on FOLDER, where it is allowed to, and prints as JSON how indexing was
refused, and what went wrong.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from codesearch.errors import StorageError
from codesearch.types import Stale
from codesearch.workspace import Workspace
from tests.faults import world
from tests.index.conftest import age, contents

_SIZE: Final = 64 << 20
"""Bytes of the disk: the index takes 17 MB, its successor as much."""
_EVERY: Final = "FAULTS_EVERY" in os.environ
"""Whether each of what follows is tried, and not two of each."""
_FIRST: Final = (200 << 10, (16 << 20) + (300 << 10), *((0, 15 << 20) if _EVERY else ()))
"""Bytes that are left when an index is built first: not enough for the model, or not for what follows it."""
_REFRESH: Final = (0, 40 << 10, *((16 << 10, 80 << 10) if _EVERY else ()))
"""And when it is brought up to date."""


def enter() -> list[str] | None:
    """Return the command that gives a program a mount namespace of its own, or None where that is not allowed."""
    for command in (["unshare", "-m"], ["unshare", "-Urm"]):
        try:
            if subprocess.run([*command, "mount", "-t", "tmpfs", "x", "/mnt"], capture_output=True).returncode == 0:
                return command
        except OSError:
            return None
    return None


def _fill(disk: Path, left: int) -> None:
    """Leave so many bytes of DISK."""
    ballast = disk / "ballast"
    ballast.unlink(missing_ok=True)
    status = os.statvfs(disk)
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(status.f_bavail * status.f_frsize - left, 1))


refusals: list[str] = []


def _refused(root: Path, *, answers: bool) -> Iterator[str]:
    """Yield what is wrong when ROOT is indexed with little room, or none; ANSWERS says that it was indexed before."""
    with Workspace.open(root) as workspace:
        try:
            world.finish(workspace.index(workers=0))
        except StorageError as error:
            refusals.append(str(error))
            if "disk space" not in str(error):
                yield f"no advice: {error}"
        except Exception as error:
            yield f"{type(error).__name__}: {error}"
    if answers:
        with Workspace.open(root) as workspace:
            answer = workspace.ask("count the parcel", min_score=0)
            if not answer.hits or answer.state not in (Stale.FRESH, Stale.FILES):
                yield f"then the old index found {len(answer.hits)} and called itself {answer.state}"


def _mended(root: Path, elsewhere: Path) -> Iterator[str]:
    """Yield what is wrong when there is room again."""
    with Workspace.open(root) as workspace:
        world.finish(workspace.index(workers=0))
        copy = shutil.copytree(root, elsewhere, ignore=shutil.ignore_patterns(".codesearch"), dirs_exist_ok=True)
        with Workspace.open(copy) as fresh:
            world.finish(fresh.index(workers=0, rebuild=True))
            wanted, has = contents(fresh), contents(workspace)
        shutil.rmtree(copy)
        yield from (f"its {part} differ afterwards" for part in wanted if wanted[part] != has[part])
        yield from world.leftovers(workspace)


def _filling(disk: Path, elsewhere: Path) -> Iterator[str]:
    root = disk / "repository"
    world.found(root)
    for left in _FIRST:
        shutil.rmtree(root / ".codesearch", ignore_errors=True)
        _fill(disk, left)
        yield from (f"first index, {left:,} bytes left: {wrong}" for wrong in _refused(root, answers=False))
        (disk / "ballast").unlink()
        yield from (f"first index, {left:,} bytes left: {wrong}" for wrong in _mended(root, elsewhere))
    for number, left in enumerate(_REFRESH):
        world.edit(root, random.Random(number))
        _fill(disk, left)
        yield from (f"refresh, {left:,} bytes left: {wrong}" for wrong in _refused(root, answers=True))
        (disk / "ballast").unlink()
        yield from (f"refresh, {left:,} bytes left: {wrong}" for wrong in _mended(root, elsewhere))
    _fill(disk, 0)
    code, said = _command("index", str(root), "--rebuild", "--no-train")
    if code != 2 or "disk space" not in said or "Traceback" in said:
        yield f"the command ended with {code} on a full disk: {said}"
    (disk / "ballast").unlink()


def _read_only(disk: Path) -> Iterator[str]:
    root = disk / "repository"
    age(root)
    with Workspace.open(root) as workspace:
        world.finish(workspace.index(workers=0))
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    yield from (f"read-only, fresh: {wrong}" for wrong in _refused(root, answers=True))
    code, said = _command("index", str(root), "--rebuild", "--no-train")
    if code != 2 or "permission" not in said or "Traceback" in said:
        yield f"the command ended with {code} on a read-only disk: {said}"
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    world.edit(root, random.Random(99))
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    yield from (f"read-only, stale: {wrong}" for wrong in _refused(root, answers=True))
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)


def _command(*arguments: str) -> tuple[int, str]:
    done = subprocess.run([sys.executable, "-m", "codesearch.cli", *arguments], capture_output=True, text=True)
    return done.returncode, done.stderr


def main() -> None:
    """Fill the disk on the folder that is named, and print what went wrong."""
    disk = Path(sys.argv[1])
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_SIZE}", "tmpfs", str(disk)], check=True)
    elsewhere = disk.with_name("elsewhere")
    wrong = [*_filling(disk, elsewhere), *_read_only(disk)]
    print(json.dumps({"refusals": refusals, "wrong": wrong}))


if __name__ == "__main__":
    main()
