"""One request: the command that a client typed, run in this process as if it ran in the client's."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from codesearch.cli.surroundings import Surroundings, within
from codesearch.server import protocol
from codesearch.server.streams import Line, stream
from codesearch.server.warm import DeclinedError, Pool

if TYPE_CHECKING:
    from codesearch.settings import Settings
    from codesearch.workspace import Workspace

COMMANDS: Final = frozenset({"ask", "related", "status"})

_OURS: Final = (
    "HOME",
    "USERPROFILE",
    "CODESEARCH_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_STATE_HOME",
    "LOCALAPPDATA",
)
_OF_GIT: Final = ("GIT_CONFIG_", "GIT_EXEC_PATH", "GIT_CEILING_DIRECTORIES", "GIT_DISCOVERY_ACROSS_FILESYSTEM")
"""Variables that decide which files count and where the index is, and that git and others read from this process. A
client with other ones is not served."""


@cache
def _command() -> Any:
    import typer.main

    from codesearch.cli.app import app

    return typer.main.get_command(app)


def answer(line: Line, request: Mapping[str, Any], pool: Pool) -> int:
    """Run what REQUEST says, its output going to LINE; return the exit code.

    Raises:
        DeclinedError: the client should run it.
        Exception: anything that went wrong; the client should run it, too.
    """
    argv = [str(word) for word in request["argv"]]
    environ = {str(name): str(value) for name, value in request["environ"].items()}
    if not argv or argv[0] not in COMMANDS:
        raise DeclinedError("command")
    if _places(environ) != _places(os.environ):
        raise DeclinedError("environment")
    columns, lines = request["size"]
    out = stream(line, protocol.OUT, request["stdout"])
    err = stream(line, protocol.ERR, request["stderr"])
    around = Surroundings(
        Path(request["cwd"]), environ, out, err, (int(columns), int(lines)), _opener(pool), line.check
    )
    with within(around):
        code = _command().main(args=argv, prog_name="codesearch", standalone_mode=False)
        if not line.gone:
            out.flush()
            err.flush()
    return code if isinstance(code, int) else 0


def _opener(pool: Pool) -> Callable[[Path, Settings], Workspace]:
    return pool.open


def _places(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if name in _OURS or name.startswith(_OF_GIT)}
