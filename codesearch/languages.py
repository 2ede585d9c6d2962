"""Which language a path holds, and for each language its grammar, its query and what the query can not say.

One table a language: a row of `LANGUAGES` here and the definitions in `queries/<name>.scm`, our own. A query captures

    @function   a function with a body; a method when the nearest container below says so
    @method     always a method
    @class      class, interface, trait, struct, enum: its functions are methods, its other lines are its outline
    @module     an outline whose functions are functions (a module of Elixir)
    @extension  more members for a type defined elsewhere (`impl` of Rust): lends its name, needs no outline
    @namespace  lends its name only
    @type       a type without functions; one of a line or two is left-over code
    @name       what a definition is called; @owner what it belongs to, where that is not a node around it (Go)
    @keyword    a word to be looked up in the row's `keywords`, where a grammar has calls for definitions (Elixir)
    @body       where the signature ends
    @lead       what belongs to the definition below it when it stands directly above: comments, decorators, attributes
    @file       what the comments above document the file at (a `package` clause), or a docstring of the file

Queries hold no predicates: py-tree-sitter 0.26 reads the source for them, which a tree parsed through a callback (the
only way to a time limit) does not keep, and it crashes.

Grammars are imported one at a time, when a file in that language comes: each costs some milliseconds and megabytes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import tree_sitter

TEXT: Final = "text"
"""The language of a file that is readable and nothing more is known about."""


@dataclass(frozen=True, slots=True)
class Language:
    """What is known about one language beside its query."""

    name: str
    grammar: str
    """Name of the grammar's Python module."""
    entry: str = "language"
    """The function of that module that returns the grammar."""
    query: str = ""
    """Name of the query file, where it is not the language's own."""
    comments: tuple[str, ...] = ("//", "/*", "*")
    """What a line that is only comment begins with."""
    keywords: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """For each capture that has a @keyword beside it, the words that make it a definition."""
    renames: tuple[tuple[re.Pattern[str], str], ...] = ()
    """Replacements that turn a name as written into a qualified name with dots."""
    docstring: re.Pattern[str] | None = None
    """Matches the documentation at the beginning of a body; the group `doc` is its text."""


_PYTHON_DOCSTRING: Final = re.compile(
    r"""\s*[rRuU]?(?:\"\"\"(?P<doc>.*?)\"\"\"|'''(?P<doc2>.*?)'''|"(?P<doc3>[^"\n]*)"|'(?P<doc4>[^'\n]*)')""", re.DOTALL
)

LANGUAGES: Final[Mapping[str, Language]] = {
    language.name: language
    for language in (Language("python", "tree_sitter_python", comments=("#",), docstring=_PYTHON_DOCSTRING),)
}
"""Every language that is cut at its definitions, but Markdown, which has its own reader in `chunk.py`."""

_EXTENSIONS: Final[Mapping[str, str]] = {
    extension: language
    for language, extensions in {
        "python": "py pyi pyw",
        "markdown": "md markdown mdx",
    }.items()
    for extension in extensions.split()
}


def language_of(path: str, head: bytes) -> str | None:
    """Return the language of the file at PATH that begins with HEAD; None where neither says."""
    name = PurePosixPath(path).name
    extension = name.rpartition(".")[2].lower()
    return _EXTENSIONS.get(extension)


@dataclass(frozen=True, slots=True)
class Grammar:
    """A language ready to parse with: compiled once a process."""

    language: Language
    parser: tree_sitter.Parser
    query: tree_sitter.Query


@cache
def grammar(name: str) -> Grammar:
    """Return the compiled grammar and query of the language called NAME.

    Errors: `KeyError` for a name that is not in `LANGUAGES`.
    """
    import tree_sitter

    language = LANGUAGES[name]
    loaded = tree_sitter.Language(getattr(import_module(language.grammar), language.entry)())
    source = (Path(__file__).parent / "queries" / f"{language.query or name}.scm").read_text(encoding="utf-8")
    return Grammar(language, tree_sitter.Parser(loaded), tree_sitter.Query(loaded, source))
