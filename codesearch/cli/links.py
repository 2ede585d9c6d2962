"""File names on a terminal that can be clicked: OSC 8 links, their formats called as ripgrep calls them."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote

from codesearch.errors import UsageError

ALIASES: Final[Mapping[str, str]] = {
    "cursor": "cursor://file{path}:{line}:{column}",
    "default": "file://{host}{path}",
    "file": "file://{host}{path}",
    "grep+": "grep+://{path}:{line}",
    "kitty": "file://{host}{path}#{line}",
    "macvim": "mvim://open?url=file://{path}&line={line}&column={column}",
    "none": "",
    "textmate": "txmt://open?url=file://{path}&line={line}&column={column}",
    "vscode": "vscode://file{path}:{line}:{column}",
    "vscode-insiders": "vscode-insiders://file{path}:{line}:{column}",
    "vscodium": "vscodium://file{path}:{line}:{column}",
}
_VARIABLES: Final = frozenset({"path", "line", "column", "host", "wslprefix"})
_VARIABLE: Final = re.compile(r"\{([^{}]*)\}")
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


class Links:
    """Makes the link of a place in a file, in one format."""

    def __init__(self, wanted: str) -> None:
        """Take the name of a format, or a format; raise UsageError for what is neither."""
        self._format = ALIASES.get(wanted, wanted)
        if not self._format:
            return
        unknown = set(_VARIABLE.findall(self._format)) - _VARIABLES
        if unknown or not _SCHEME.match(self._format) or "{path}" not in self._format or not self._format.isprintable():
            raise UsageError(
                f"--hyperlink-format {wanted!r} is neither one of {', '.join(ALIASES)} nor a format: write a URL with "
                "{path}, and {line}, {column} or {host} where you want them."
            )

    def to(self, file: Path, line: int) -> str:
        """Return the link to LINE of FILE, which is absolute; empty where there are to be none."""
        if not self._format:
            return ""
        path = quote(os.fsencode(file.as_posix()), safe="/:~")
        values = {
            "path": path if path.startswith("/") else f"/{path}",
            "line": str(line),
            "column": "1",
            "host": quote(socket.gethostname()),
            "wslprefix": f"wsl$/{distro}" if (distro := os.environ.get("WSL_DISTRO_NAME")) else "",
        }
        return _VARIABLE.sub(lambda found: values[found[1]], self._format)
