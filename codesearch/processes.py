"""How worker processes are begun in a folder that a stranger has written.

Python looks for modules in the working directory first when it is started with -c, as it is for a worker, and for the
process that tracks what workers share. One does stand in a stranger's repository, and a folder there that is called
`multiprocessing` would be run. PYTHONSAFEPATH tells Python not to; it is set while one of ours is started, and not
longer, for in others that this process starts, `python -m` is to do what it always does.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any, Final

_VARIABLE: Final = "PYTHONSAFEPATH"
_setting: Final = threading.RLock()
"""Servers start processes in several threads; none may take the variable away while another needs it."""


def spawning() -> Spawning:
    """Return how worker processes are begun, as `multiprocessing` and process pools take it."""
    if os.name == "posix":
        from multiprocessing import resource_tracker

        with _safely():
            resource_tracker.ensure_running()
    return Spawning()


@contextmanager
def _safely() -> Iterator[None]:
    with _setting:
        before = os.environ.get(_VARIABLE)
        os.environ[_VARIABLE] = "1"
        try:
            yield
        finally:
            if before is None:
                os.environ.pop(_VARIABLE, None)
            else:
                os.environ[_VARIABLE] = before


class _Process(SpawnProcess):
    @staticmethod
    def _Popen(process_obj: Any) -> Any:
        with _safely():
            return SpawnProcess._Popen(process_obj)


class Spawning(SpawnContext):
    """Begins processes, and remembers which."""

    def __init__(self) -> None:
        super().__init__()
        self.begun: list[SpawnProcess] = []

    def Process(self, *args: Any, **named: Any) -> SpawnProcess:  # type: ignore[override]
        """Return a process that is ready to be begun."""
        process = _Process(*args, **named)
        self.begun.append(process)
        return process

    def end(self) -> None:
        """Kill those that still run."""
        for process in self.begun:
            if process.is_alive():
                process.kill()
