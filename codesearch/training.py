"""Adapting the retriever in a process of its own: what it reports, and what comes of it, come through a pipe.

A child keeps torch out of the process that answers, which torch's threads and Python's lock would hold up, can be made
polite (`nice`) without making that one so, and gives its memory back. The interface and the servers train like this.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from codesearch.adaptation import Adaptation
from codesearch.errors import CodesearchError, ExtraMissingError, IndexBusyError
from codesearch.events import Event
from codesearch.processes import spawning

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess

    from codesearch.settings import Settings

_NEEDED: Final = ("torch", "transformers", "safetensors", "onnx")
_PATIENCE: Final = 5.0
"""Seconds that a cancelled training has to clean up after itself; what it leaves then, the next one removes."""
_POLL: Final = 0.1


def missing() -> list[str]:
    """Return what of the extra `train` is not installed; nothing of it is loaded."""
    return [name for name in _NEEDED if importlib.util.find_spec(name) is None]


def need_extra() -> None:
    """Raise ExtraMissingError where the extra `train` is not installed."""
    if missing():
        raise ExtraMissingError(
            "training needs torch and transformers. Install codesearch with its extra `train`, as in '.[train]'."
        )


class Adapter:
    """Trains for one request at a time."""

    def __init__(self) -> None:
        self._one = threading.Lock()

    @property
    def busy(self) -> bool:
        """Whether the retriever is being adapted."""
        return self._one.locked()

    def train(
        self,
        root: Path,
        settings: Settings,
        budget: float | None,
        tell: Callable[[Event], None],
        check: Callable[[], None],
    ) -> Adaptation:
        """Adapt the retriever to ROOT and return what came of it; stops, and leaves nothing, where CHECK raises.

        Raises:
            ExtraMissingError: the extra `train` is not installed.
            IndexBusyError: it is being adapted.
        """
        need_extra()
        if not self._one.acquire(blocking=False):
            raise IndexBusyError("the retriever is being adapted already. Wait until it is done, or cancel it.")
        try:
            return _trained(root, settings, budget, tell, check)
        finally:
            self._one.release()


def _trained(
    root: Path, settings: Settings, budget: float | None, tell: Callable[[Event], None], check: Callable[[], None]
) -> Adaptation:
    context = spawning()
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_train, args=(theirs, root, settings, budget), name="adapting")
    child.start()
    theirs.close()
    try:
        while True:
            check()
            if not ours.poll(_POLL):
                continue
            told = ours.recv()
            if isinstance(told, Adaptation):
                child.join(_PATIENCE)
                return told
            if isinstance(told, str):
                raise CodesearchError(told)
            tell(told)
    except EOFError as error:
        raise CodesearchError("adapting ended without a word. `codesearch train` says why.") from error
    finally:
        ours.close()
        _end(child)


def _end(child: SpawnProcess) -> None:
    if child.exitcode is None:
        child.terminate()
    child.join(_PATIENCE)
    if child.is_alive():
        child.kill()
        child.join()


def _train(pipe: Connection, root: Path, settings: Settings, budget: float | None) -> None:
    """Train, in the child."""
    # What libraries print is nobody's answer; a stopped child leaves by way of its `finally`s.
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        from codesearch.workspace import Workspace
        from revela_train.config import AdaptConfig
        from revela_train.workspace import train

        with Workspace.open(root, settings) as workspace, closing(train(workspace, AdaptConfig(budget=budget))) as work:
            while True:
                try:
                    pipe.send(next(work))
                except StopIteration as end:
                    pipe.send(end.value)
                    break
    except CodesearchError as error:
        pipe.send(str(error))
    except OSError:
        pass  # the server has gone
    except Exception as error:
        pipe.send(f"adapting failed: {type(error).__name__}: {error}")
    finally:
        with suppress(OSError):
            pipe.close()


def _leave(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(1)
