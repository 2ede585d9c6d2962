"""Opening places in the editor of one's choice: $VISUAL, else $EDITOR, else what is there.

Every editor says in its own way that it should go to a line. Paths are absolute, so no name can pass for an option,
and none of them is ever part of an editor's command: a file may be called whatever it likes.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

Place = tuple[Path, int]
"""An absolute path, and a line."""

_VI: Final = frozenset({"vi", "vim", "nvim", "view", "vimdiff", "gvim", "mvim", "lvim"})
_CODE: Final = frozenset({"code", "code-insiders", "codium", "vscodium", "cursor", "windsurf", "positron", "trae"})
_COLON: Final = frozenset({"hx", "helix", "zed", "zeditor", "subl", "sublime_text", "micro", "lapce", "fleet"})
_JETBRAINS: Final = frozenset({"idea", "pycharm", "goland", "clion", "webstorm", "phpstorm", "rubymine", "rustrover"})
_WINDOWS: Final = (
    _CODE | _JETBRAINS | {"gvim", "mvim", "zed", "zeditor", "subl", "sublime_text", "lapce", "fleet", "gedit", "kate"}
)
"""Editors that open a window of their own, so that the terminal stays ours."""
_USUAL: Final = ("nvim", "vim", "vi", "nano", "emacs")


@dataclass(frozen=True, slots=True)
class Command:
    """What to run, and whether it takes the terminal over until it ends."""

    arguments: tuple[str, ...]
    terminal: bool


def chosen(setting: str = "", environ: Mapping[str, str] | None = None) -> list[str]:
    """Return the editor's command, which the SETTING `editor` says first, or nothing where there is none."""
    environ = os.environ if environ is None else environ
    for said in (setting, environ.get("VISUAL", ""), environ.get("EDITOR", "")):
        with suppress(ValueError):
            if words := shlex.split(said):
                return words
    return [found] if (found := next(filter(shutil.which, _USUAL), "")) else []


def command(editor: Sequence[str], places: Sequence[Place], several: Path | None = None) -> Command:
    """Return how EDITOR opens PLACES.

    Vi takes a line for one file only; more of them are a list of places, which the file SEVERAL holds (`listing`).
    """
    name = Path(editor[0]).name.lower().removesuffix(".exe")
    terminal = name not in _WINDOWS
    if name in _CODE:
        options = [] if {"-g", "--goto"} & {*editor[1:]} else ["-g"]
        return Command((*editor, *options, *(f"{path}:{line}" for path, line in places)), terminal)
    if name in _COLON:
        return Command((*editor, *(f"{path}:{line}" for path, line in places)), terminal)
    if name in _JETBRAINS:
        lines = [word for path, line in places for word in ("--line", str(line), str(path))]
        return Command((*editor, *lines), terminal)
    if name in _VI and several and len(places) > 1:
        return Command((*editor, "-q", str(several)), terminal)
    if name in _VI:
        return Command((*editor, f"+{places[0][1]}", *(str(path) for path, _ in places)), terminal)
    if name == "kate":
        return Command((*editor, "-l", str(places[0][1]), *(str(path) for path, _ in places)), terminal)
    if name == "emacsclient" and {"-n", "--no-wait"} & {*editor[1:]}:
        terminal = False
    # nano, emacs, kakoune, joe, mg, ne and most others, as vi once had it.
    return Command((*editor, *(word for path, line in places for word in (f"+{line}", str(path)))), terminal)


def listing(places: Sequence[Place]) -> str:
    """Return PLACES as vi's quickfix list reads them; a name that would be read as something else is left out."""
    return "".join(f"{path}:{line}: \n" for path, line in places if not {":", "\n"} & {*str(path)})


def run(editor: Sequence[str], places: Sequence[Place]) -> int:
    """Open PLACES in EDITOR and return its exit code; 0 where it has a window of its own, and is not waited for.

    Raises:
        OSError: it does not start.
    """
    with tempfile.TemporaryDirectory(prefix="codesearch-") as folder:
        several = Path(folder, "places")
        several.write_text(listing(places), encoding="utf-8", errors="surrogateescape")
        wanted = command(editor, places, several)
        if wanted.terminal:
            return subprocess.run(wanted.arguments).returncode
    nowhere = subprocess.DEVNULL
    subprocess.Popen(wanted.arguments, stdin=nowhere, stdout=nowhere, stderr=nowhere, start_new_session=True)
    return 0


def takes_the_terminal(editor: Sequence[str]) -> bool:
    """Tell whether EDITOR works in the terminal, which must be handed over then."""
    return command(editor, [(Path("/"), 1)]).terminal
