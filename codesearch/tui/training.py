"""Adapting, in a process of its own: what it reports comes through a pipe.

Torch wants both cores and holds Python's lock for long; in this process keys would wait for it. A child also gives its
memory back, can be made polite (`nice`) without making the interface so, and keeps torch out of the search's process.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import closing, redirect_stderr, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from codesearch.errors import CodesearchError
from codesearch.processes import spawning
from codesearch.settings import Settings
from codesearch.tui.words import Adapted, Adapting, Told

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

NEEDED: Final = ("torch", "transformers", "safetensors", "onnx")
MISSING: Final = "adapting needs torch and transformers: install codesearch with its extra `train`, as in '.[train]'."
_PATIENCE: Final = 5.0
"""Seconds that a cancelled training has to clean up after itself; what it leaves then, the next one removes."""


def allow_processes() -> None:
    """Make sure that processes can be started, here and wherever indexing does.

    Python hands standard error to the process that tracks its resources, and Textual's stand-in for it is no file; so
    the tracker is started with the real one.
    """
    with redirect_stderr(sys.__stderr__):
        spawning()


class Training:
    """A training under way."""

    def __init__(self, root: Path, settings: Settings, tell: Callable[[Told], None]) -> None:
        """Start it; TELL is called in a thread of its own, at last with `Adapted`."""
        self._root, self._settings, self._tell = root, settings, tell
        self._stopped = threading.Event()
        self.alive = True
        self._thread = threading.Thread(target=self._follow, name="adapting", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Give it up; `Adapted` says when nothing of it is left."""
        self._stopped.set()

    def wait(self) -> None:
        """Wait for its end."""
        self._thread.join(_PATIENCE + 1)

    def _follow(self) -> None:
        last = Adapted(None, "adapting was cancelled; nothing has changed")
        try:
            if all(importlib.util.find_spec(name) for name in NEEDED):
                last = self._run() or last
            else:
                last = Adapted(None, MISSING)
        except Exception as error:
            last = Adapted(None, f"adapting failed: {type(error).__name__}: {error}")
        finally:
            self.alive = False
            self._tell(last)

    def _run(self) -> Adapted | None:
        allow_processes()
        context = spawning()
        ours, theirs = context.Pipe(duplex=False)
        child = context.Process(target=_train, args=(theirs, self._root, self._settings), name="adapting")
        child.start()
        theirs.close()
        said: Adapted | None = None
        try:
            while not self._stopped.is_set() and said is None:
                if ours.poll(0.1):
                    told = ours.recv()
                    if isinstance(told, Adapted):
                        said = told
                    else:
                        self._tell(told)
        except EOFError:
            said = Adapted(None, "adapting ended without a word; `codesearch train` says why")
        if self._stopped.is_set():
            child.terminate()
        child.join(_PATIENCE)
        if child.is_alive():
            child.kill()
            child.join()
        ours.close()
        return said


def _train(pipe: Connection, root: Path, settings: Settings) -> None:
    """Train, in the child."""
    # What libraries print would stand across the interface; a stopped child leaves by way of its `finally`s.
    with Path(os.devnull).open("w") as nowhere:
        for stream in (sys.__stdout__, sys.__stderr__):
            if stream is not None:
                os.dup2(nowhere.fileno(), stream.fileno())
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        from codesearch.workspace import Workspace
        from revela_train.config import AdaptConfig
        from revela_train.workspace import train

        with Workspace.open(root, settings) as workspace, closing(train(workspace, AdaptConfig())) as work:
            pipe.send(Adapted(*_followed(work, pipe)))
    except CodesearchError as error:
        pipe.send(Adapted(None, str(error)))
    except Exception as error:
        pipe.send(Adapted(None, f"adapting failed: {type(error).__name__}: {error}"))
    finally:
        with suppress(OSError):
            pipe.close()


def _followed(work: Any, pipe: Connection) -> tuple[bool, str]:
    while True:
        try:
            event = next(work)
        except StopIteration as end:
            which = "adapted" if end.value.accepted else "not adapted"
            return end.value.accepted, f"{which}: {end.value.reason}"
        pipe.send(Adapting(event))


def _leave(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(1)
