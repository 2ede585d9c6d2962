"""What a request may say: each parameter is looked at once, here, and what is wrong is said in words.

Nothing of a request is trusted: unknown names, other types, numbers out of bounds, text that is no text and paths that
lead out of the root are refused before anything is done.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from codesearch.settings import parse_duration
from codesearch.types import Kind

MOST_RESULTS: Final = 200
"""More than anybody looks through, and still a message of a bounded size."""
_LONGEST_QUERY: Final = 20_000
"""Characters; a stack trace has some thousand."""
_LONGEST: Final = 4096
"""Characters of a path, a pattern or a name."""
_MOST_WORDS: Final = 100
"""Paths, patterns or names in one list."""
_LAST_LINE: Final = 10_000_000

Check = Callable[[str, Any], Any]
"""Given the name of a parameter and what was said, returns what is meant, or raises ParamsError."""


class ParamsError(Exception):
    """A parameter makes no sense."""


class OutsideError(ParamsError):
    """A path leads out of the root."""


def taken(params: object, known: Mapping[str, Check], needed: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return of PARAMS what is KNOWN, each checked; what is null counts as not said.

    Raises:
        ParamsError: PARAMS is no object, names what is not known, leaves out what is NEEDED, or a check fails.
    """
    if params is None:
        params = {}
    if not isinstance(params, dict):
        raise ParamsError("the parameters are to be an object, by name")
    for name in params:
        if name not in known:
            raise ParamsError(f"there is no parameter {str(name)[:40]!r}; known are: {', '.join(known) or 'none'}")
    said = {name: check(name, params[name]) for name, check in known.items() if params.get(name) is not None}
    for name in needed:
        if name not in said:
            raise ParamsError(f"{name} is missing")
    return said


def text(name: str, said: Any, longest: int = _LONGEST) -> str:
    """Return text of at most LONGEST characters."""
    if not isinstance(said, str):
        raise ParamsError(f"{name} is to be a string")
    if len(said) > longest:
        raise ParamsError(f"{name} has {len(said):,} characters; {longest:,} are taken")
    try:
        said.encode()
    except UnicodeEncodeError as error:  # halves of surrogate pairs
        raise ParamsError(f"{name} is no text that can be written in UTF-8") from error
    return said


def query(name: str, said: Any) -> str:
    """Return a question."""
    found = text(name, said, _LONGEST_QUERY)
    if not found.strip():
        raise ParamsError(f"{name} is empty: ask something")
    return found


def texts(name: str, said: Any) -> list[str]:
    """Return a list of texts."""
    if not isinstance(said, list):
        raise ParamsError(f"{name} is to be a list of strings")
    if len(said) > _MOST_WORDS:
        raise ParamsError(f"{name} has {len(said):,} entries; {_MOST_WORDS} are taken")
    return [text(f"{name}[{at}]", one) for at, one in enumerate(said)]


def kinds(name: str, said: Any) -> list[str]:
    """Return a list of kinds of chunks."""
    found = texts(name, said)
    for one in found:
        if one not in tuple(Kind):
            raise ParamsError(f"{name}: there is no kind {one[:40]!r}; known are: {', '.join(Kind)}")
    return found


def flag(name: str, said: Any) -> bool:
    """Return true or false."""
    if not isinstance(said, bool):
        raise ParamsError(f"{name} is to be true or false")
    return said


def whole(name: str, said: Any, least: int, most: int) -> int:
    """Return a whole number from LEAST to MOST."""
    if isinstance(said, bool) or not isinstance(said, int) or not least <= said <= most:
        raise ParamsError(f"{name} is to be a whole number from {least} to {most}")
    return said


def limit(name: str, said: Any) -> int:
    """Return how many results are wanted."""
    return whole(name, said, 1, MOST_RESULTS)


def line(name: str, said: Any) -> int:
    """Return the number of a line, from 1."""
    return whole(name, said, 1, _LAST_LINE)


def share(name: str, said: Any) -> float:
    """Return a number from 0 to 1."""
    if isinstance(said, bool) or not isinstance(said, (int, float)) or not 0 <= said <= 1:
        raise ParamsError(f"{name} is to be a number from 0 to 1")
    return float(said)


def duration(name: str, said: Any) -> float:
    """Return seconds; `10m` and the like are understood too."""
    if isinstance(said, (int, float)) and not isinstance(said, bool):
        said = format(said, "f").rstrip("0").rstrip(".")
    return parse_duration(text(name, said), name)


def inside(root: Path, called: Path, name: str, said: str) -> str:
    """Return the path SAID, absolute or relative to ROOT, relative to it with forward slashes; empty for ROOT itself.

    ROOT is a real path, and CALLED what it was called, which may lead there through links. Below it links are not
    followed: what lies behind one is not inside.

    Raises:
        OutsideError: it is not inside.
    """
    if "\0" in said:
        raise OutsideError(f"{name} is no path")
    where = Path(os.path.normpath(root / said))
    base = called if where.is_relative_to(called) else root
    try:
        found = where.relative_to(base)
    except ValueError as error:
        raise OutsideError(f"{name} is not in {root}: {said[:200]}") from error
    step = root
    for part in found.parts:
        step = step / part
        if step.is_symlink():
            raise OutsideError(f"{name} leads through a link: {said[:200]}")
    return "" if found == Path() else found.as_posix()
