"""What `serve` does: run the server of a folder here, end the one that runs, or say how it does."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Final

from codesearch.cli.visible import visible
from codesearch.errors import StorageError, UsageError
from codesearch.server import protocol
from codesearch.server.client import control
from codesearch.server.protocol import Place

_PATIENCE: Final = 15.0
"""Seconds for a server to complete what it is at, and end."""
_NONE: Final = "no server runs for {}; the next `codesearch ask` starts one"


def place(root: Path, index_dir: str) -> Place:
    """Return where the server of ROOT, a real path, is met."""
    return Place(str(root), os.path.abspath(index_dir) if index_dir else "", os.environ.get("CODESEARCH_HOME", ""))  # noqa: PTH100


def run(root: Path, index_dir: str, idle: str) -> None:
    """Serve ROOT until Ctrl-C, or until nothing was asked for IDLE."""
    from codesearch.server.daemon import IDLE, Daemon
    from codesearch.settings import parse_duration
    from codesearch.workspace import Workspace

    Workspace.open(root)  # says what is wrong with it
    seconds = parse_duration(idle, "--idle") if idle else IDLE
    where = os.path.abspath(index_dir) if index_dir else ""  # noqa: PTH100
    daemon = Daemon(root, where, seconds, log_file=sys.stderr)
    try:
        serves = daemon.run()
    except OSError as error:
        raise StorageError(f"no server can be met in {daemon.place.folder}: {error}.") from error
    if not serves:
        raise UsageError(f"a server runs for {root} already; `codesearch serve --stop` ends it.")


def stop(root: Path, index_dir: str) -> bool:
    """End the server of ROOT; return whether there was one."""
    met = place(root, index_dir)
    said = control(met, protocol.STATUS)
    if said is None or control(met, protocol.STOP) is None:
        print(_NONE.format(visible(str(root))), file=sys.stderr)
        return False
    deadline = time.monotonic() + _PATIENCE
    while met.read().get("pid") == said.get("pid") and time.monotonic() < deadline:
        time.sleep(0.02)
    print(f"stopped the server of {visible(str(root))}", file=sys.stderr)
    return True


def status(root: Path, index_dir: str, *, as_json: bool) -> bool:
    """Say how the server of ROOT does; return whether there is one."""
    said = control(place(root, index_dir), protocol.STATUS)
    if as_json:
        print(json.dumps({"version": 1, "running": said is not None, **(said or {})}, indent=1))
    elif said is None:
        print(_NONE.format(visible(str(root))), file=sys.stderr)
    else:
        same = said["code"] == protocol.fingerprint()
        print(f"root      {visible(str(said['root']))}")
        print(f"process   {said['pid']}, for {_time(said['seconds'])}, {said['bytes'] / 1e6:,.0f} MB")
        print(f"answered  {said['answered']:,}, the last {_time(said['idle'])} ago")
        if not same:
            print("version   another than this; the next question replaces it")
    return said is not None


def _time(seconds: float) -> str:
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"
