"""Work that goes on when the command has answered: the rest of a first index."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

_NICE: Final = 10

if TYPE_CHECKING:
    from codesearch.workspace import Workspace


def index(workspace: Workspace) -> None:
    """Go on indexing WORKSPACE in a process of its own, which outlives this one and its terminal."""
    settings = workspace.settings
    arguments = [
        "--no-train",
        f"--max-filesize={settings.max_filesize}",
        "--hidden" if settings.hidden else "--no-hidden",
        "--no-ignore" if settings.no_ignore else "--ignore",
    ]
    if settings.index_dir is not None:
        arguments.append(f"--index-dir={settings.index_dir.absolute()}")
    start("index", *arguments, "--", str(workspace.root))


def start(*arguments: str) -> None:
    """Run the command with ARGUMENTS, detached, in silence, at low priority: whoever asks meanwhile comes first."""
    apart: dict[str, Any] = {"start_new_session": True}
    if os.name == "nt":
        apart = {"creationflags": 0x00000008 | 0x00000200}  # DETACHED_PROCESS, CREATE_NEW_PROCESS_GROUP
    process = subprocess.Popen(
        # -P: nothing in a working directory is taken for a module. Nor does it stand in the repository, which may go.
        [sys.executable, "-P", "-m", "codesearch.cli", *arguments],
        cwd=Path(sys.executable).anchor,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        **apart,
    )
    if os.name == "posix":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, process.pid, _NICE)
