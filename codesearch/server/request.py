"""One request: the command that a client typed, run in this process as if it ran in the client's."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from codesearch.cli.surroundings import Surroundings, within
from codesearch.server import protocol
from codesearch.server.served import DeclinedError, Served
from codesearch.server.streams import Line, stream


@cache
def _command() -> Any:
    import typer.main

    from codesearch.cli.app import app

    return typer.main.get_command(app)


def answer(line: Line, request: Mapping[str, Any], served: Served) -> int:
    """Run what REQUEST says about what is SERVED, its output going to LINE; return the exit code.

    Raises:
        DeclinedError: the client should run it.
        Exception: anything that went wrong; the client should run it, too.
    """
    argv = [str(word) for word in request["argv"]]
    environ = {str(name): str(value) for name, value in request["environ"].items()}
    if not argv or argv[0] not in served.commands:
        raise DeclinedError("command")
    if _of(environ, served.variables) != _of(os.environ, served.variables):
        raise DeclinedError("environment")
    columns, lines = request["size"]
    out = stream(line, protocol.OUT, request["stdout"])
    err = stream(line, protocol.ERR, request["stderr"])
    size = int(columns), int(lines)
    around = Surroundings(Path(request["cwd"]), environ, out, err, size, check=line.check, **served.openers)
    with within(around):
        code = _command().main(args=argv, prog_name="codesearch", standalone_mode=False)
        if not line.gone:
            out.flush()
            err.flush()
    return code if isinstance(code, int) else 0


def _of(environ: Mapping[str, str], variables: tuple[str, ...]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if name.startswith(variables)}
