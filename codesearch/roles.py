"""What part a file plays in its repository, told by its path alone: test, example, documentation, and so on.

Projects of all languages have come to the same few names, so one table serves them all. Nothing is certain about a
name: a role makes a file less or more likely to be meant, it never hides one.
"""

from __future__ import annotations

import re
from enum import StrEnum
from functools import lru_cache
from typing import Final


class Role(StrEnum):
    """A part that a file plays; it may play several, or none: then it is the project's code."""

    TEST = "test"
    EXAMPLE = "example"
    """Also benchmarks, demonstrations and the project's own site: they use what is looked for."""
    DOCUMENTATION = "documentation"
    INTERNAL = "internal"
    """Kept for compatibility, deprecated, or marked as an implementation detail."""
    VENDORED = "vendored"
    """Another project's code, copied in."""
    STUB = "stub"
    """Declares the types of code that is elsewhere."""
    INDEX = "index"
    """Stands for its folder: `mod.rs`, `__init__.py`, `index.ts`, `core.py`."""


_FOLDERS: Final = {
    Role.TEST: r"tests?|specs?|__tests__|testing|testdata|fixtures?|unittests?|[\w.-]*-tests?|\w+Tests?",
    Role.EXAMPLE: r"examples?|samples?|demos?|tutorials?|playground|bench(marks?)?|\w*Benchmarks?|sandbox|snippets?"
    r"|www|website|site",
    Role.DOCUMENTATION: r"docs?|documentation|changelogs?|man",
    Role.INTERNAL: r"_?(internal|impl|compat|deprecated|legacy|private)",
    Role.VENDORED: r"_?vendor(ed)?|third[_-]?party|3rd[_-]?party|node_modules|bower_components",
}
"""Expressions for the whole name of a folder."""
_NAMES: Final = {
    Role.TEST: r"test_.*|conftest\.\w+|.*(_test|_tests|_spec|\.test|\.spec|-test|Tests?|Spec|Suite)(\.\w+){1,2}",
    Role.EXAMPLE: r"\w*[Bb]enchmarks?\..*",
    Role.DOCUMENTATION: r"(?i:(readme|changes|changelog|history|contributing|license|news|todo|authors|code_of_conduct"
    r"|upgrading)([._-].*)?|.*\.(md|mdx|markdown|rst|adoc|txt|html|css|scss|svg))",
    Role.INTERNAL: r"_?(internal|impl|compat|deprecated|legacy|private)([._-].*)?",
    Role.STUB: r".*\.(pyi|rbi|d\.[cm]?ts)",
}
"""Expressions for the whole name of a file."""
_NONE: Final = r"(?!)"

_ROLES: Final = {
    role: re.compile(rf"(?:.*/)?(?:(?:{_FOLDERS.get(role, _NONE)})/.*|(?:{_NAMES.get(role, _NONE)}))", re.DOTALL)
    for role in _FOLDERS | _NAMES
}
_INDEXES: Final = frozenset("index mod __init__ lib main init package package-info all types root core base".split())


@lru_cache(1 << 14)
def roles(path: str) -> frozenset[Role]:
    """Return the roles of the file at PATH, relative to the root with forward slashes."""
    found = {role for role, expression in _ROLES.items() if expression.fullmatch(path)}
    if stem(path).lower() in _INDEXES:
        found.add(Role.INDEX)
    return frozenset(found)


def stem(path: str) -> str:
    """Return the name of the file at PATH up to its first dot; a name that begins with one is all stem."""
    name = path.rpartition("/")[2]
    return name.split(".", 1)[0] or name


def telling_name(path: str) -> str:
    """Return what the file at PATH is named after: its stem, or its folder's name where it stands for its folder."""
    name, folder = stem(path), path.rpartition("/")[0].rpartition("/")[2]
    return folder if folder and name.lower() in _INDEXES else name
