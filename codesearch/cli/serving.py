"""What `serve` does: run the server of a folder or a store here, end the one that runs, or say how it does."""

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
from codesearch.server.served import Folder, Served

_PATIENCE: Final = 15.0
"""Seconds for a server to complete what it is at, and end."""
_NONE: Final = "no server runs for {}; the next `codesearch ask` starts one"


def folder(root: Path, index_dir: str) -> Folder:
    """Return ROOT, a real path, as what is served."""
    return Folder(root, os.path.abspath(index_dir) if index_dir else "")  # noqa: PTH100


def run(served: Served, idle: str) -> None:
    """Serve what is SERVED until Ctrl-C, or until nothing was asked for IDLE."""
    from codesearch.server.daemon import IDLE, Daemon
    from codesearch.settings import parse_duration

    served.inspect()
    seconds = parse_duration(idle, "--idle") if idle else IDLE
    daemon = Daemon(served, seconds, log_file=sys.stderr)
    try:
        serves = daemon.run()
    except OSError as error:
        raise StorageError(f"no server can be met in {daemon.place.folder}: {error}.") from error
    if not serves:
        raise UsageError(f"a server runs for {served.name} already; `codesearch serve --stop` ends it.")


def stop(served: Served) -> bool:
    """End the server of what is SERVED; return whether there was one."""
    met = served.place
    said = control(met, protocol.STATUS)
    if said is None or control(met, protocol.STOP) is None:
        print(_NONE.format(visible(served.name)), file=sys.stderr)
        return False
    deadline = time.monotonic() + _PATIENCE
    while met.read().get("pid") == said.get("pid") and time.monotonic() < deadline:
        time.sleep(0.02)
    print(f"stopped the server of {visible(served.name)}", file=sys.stderr)
    return True


def status(served: Served, *, as_json: bool) -> bool:
    """Say how the server of what is SERVED does; return whether there is one."""
    said = control(served.place, protocol.STATUS)
    if as_json:
        print(json.dumps({"version": 1, "running": said is not None, **(said or {})}, indent=1))
    elif said is None:
        print(_NONE.format(visible(served.name)), file=sys.stderr)
    else:
        same = said["code"] == protocol.fingerprint()
        print(f"{'store' if 'store' in said else 'root':9} {visible(served.name)}")
        if "store" in said:
            print(f"shows     {_shown(said['visibility'], said['allowed'])}")
        print(f"process   {said['pid']}, for {_time(said['seconds'])}, {said['bytes'] / 1e6:,.0f} MB")
        print(f"answered  {said['answered']:,}, the last {_time(said['idle'])} ago")
        if not same:
            print("version   another than this; the next question replaces it")
    return said is not None


def _shown(visibility: list[str] | None, allowed: int | None) -> str:
    if visibility is None and allowed is None:
        return "all of it"
    by_name = [] if allowed is None else [f"{allowed:,} repositories by name"]
    return visible(", ".join([*(visibility or []), *by_name]))


def _time(seconds: float) -> str:
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"
