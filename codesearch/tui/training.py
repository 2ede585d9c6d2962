"""Adapting as the interface does it: in a thread that follows the training's process, and can give it up."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from contextlib import redirect_stderr
from pathlib import Path
from typing import Final

from codesearch.errors import CodesearchError
from codesearch.processes import spawning
from codesearch.settings import Settings
from codesearch.training import Adapter
from codesearch.tui.words import Adapted, Adapting, Told

_FAREWELL: Final = 6.0
"""Seconds to wait for the end of a training that was given up; it has five of them to clean up after itself."""


def allow_processes() -> None:
    """Make sure that processes can be started, here and wherever indexing does.

    Python hands standard error to the process that tracks its resources, and Textual's stand-in for it is no file; so
    the tracker is started with the real one.
    """
    with redirect_stderr(sys.__stderr__):
        spawning()


class _GivenUpError(Exception):
    """The training was stopped."""


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
        self._thread.join(_FAREWELL)

    def _follow(self) -> None:
        last = Adapted(None, "adapting was cancelled; nothing has changed")
        try:
            allow_processes()
            done = Adapter().train(
                self._root, self._settings, None, lambda event: self._tell(Adapting(event)), self._check
            )
            last = Adapted(done.accepted, f"{'adapted' if done.accepted else 'not adapted'}: {done.reason}")
        except _GivenUpError:
            pass
        except CodesearchError as error:
            last = Adapted(None, str(error))
        except Exception as error:
            last = Adapted(None, f"adapting failed: {type(error).__name__}: {error}")
        finally:
            self.alive = False
            self._tell(last)

    def _check(self) -> None:
        if self._stopped.is_set():
            raise _GivenUpError
