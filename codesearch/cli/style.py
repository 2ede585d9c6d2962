"""How output may look: whether in colours, how wide, with which links. Decided once, from flags and environment.

`--color always` and `never` outrank everything; then NO_COLOR; then CLICOLOR_FORCE and FORCE_COLOR; then CLICOLOR=0 and
TERM=dumb; then whether the output is a terminal. Empty variables, and 0 for the forcing ones, say nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from codesearch.cli.surroundings import here

if TYPE_CHECKING:
    from rich.console import Console

NARROWEST: Final = 40
WIDEST: Final = 200
"""Columns that a page uses; beyond, the eye does not find the next line."""


class Color(StrEnum):
    """When to use colours; `auto` is on a terminal, unless NO_COLOR is set."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


def colored(wanted: Color, terminal: bool, environ: Mapping[str, str]) -> bool:
    """Tell whether to use colours on what is a TERMINAL or not."""
    if wanted is not Color.AUTO:
        return wanted is Color.ALWAYS
    if environ.get("NO_COLOR"):
        return False
    if any(environ.get(name, "0") not in ("", "0") for name in ("CLICOLOR_FORCE", "FORCE_COLOR")):
        return True
    return terminal and environ.get("CLICOLOR") != "0" and environ.get("TERM") != "dumb"


def console(color: str, *, stderr: bool = False) -> Console:
    """Return what prints to one of the streams, coloured as asked; on standard error `always` means as `auto`."""
    wanted = Color(color)
    around = here()
    terminal = (around.stderr if stderr else around.stdout).isatty()
    if stderr and wanted is Color.ALWAYS:
        wanted = Color.AUTO
    use = colored(wanted, terminal, around.environ)
    # Where a terminal does not say how many colours it has, the sixteen that all have are enough.
    system = None if not use else "auto" if terminal and around.environ.get("TERM") != "dumb" else "standard"
    made = around.console(stderr=stderr, color_system=system, force_terminal=True if use and not stderr else None)
    made.no_color = not use
    made.width = min(max(made.width, NARROWEST), WIDEST)
    return made
