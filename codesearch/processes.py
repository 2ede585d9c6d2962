"""How processes of ours are begun in a folder that a stranger has written."""

from __future__ import annotations

import multiprocessing
import os
from multiprocessing.context import SpawnContext


def spawning() -> SpawnContext:
    """Return how worker processes are begun.

    Python looks for modules in the working directory first when it is started with -c, as it is for a worker. One does
    stand in a stranger's repository, and a folder there called `multiprocessing` would be run; so this tells Python not
    to. The variable stays, as workers, and the process that tracks what they share, may be begun at any time.
    """
    os.environ["PYTHONSAFEPATH"] = "1"
    return multiprocessing.get_context("spawn")
