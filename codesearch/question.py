"""What a question asks for, read from its words alone: terms, identifiers, phrases, places, and the roles it wants.

People type four kinds of question: a name (`ResponseWriter`, `Cart.total`), a sentence that may hold names, a place
(`src/cart.py:31`), or an error with its stack trace, which is a sentence with places. They are not told apart by a
classifier that could be wrong: each kind is evidence of its own, and a question may give several.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Final

from codesearch.roles import Role
from codesearch.text import identifiers, is_stop_word, query_terms, split

_NAME: Final = re.compile(r"[\w$]+(?:(?:\.|::|#|->|/)[\w$]+)*[!?]?(?:\(\))?")
_QUALIFIER: Final = re.compile(r"\.|::|#|->|/")
_PLACE: Final = re.compile(
    r"""((?:[\w.@+-]+[/\\])*[\w@+-][\w.@+-]*\.[A-Za-z]\w{0,9})(?:(?::|["'],\s*line\s+|\()(\d+))?"""
)
_MOST_PLACES: Final = 8
"""Of a stack trace; what lies deeper is seldom what is meant."""

_WANTED: Final = {
    Role.TEST: re.compile(r"\b(tests?|testing|specs?|mock\w*|fixtures?)\b", re.IGNORECASE),
    Role.EXAMPLE: re.compile(r"\b(examples?|samples?|demos?|benchmarks?)\b", re.IGNORECASE),
    Role.DOCUMENTATION: re.compile(r"\b(docs?|documentation|readme|changelog|guides?|tutorials?)\b", re.IGNORECASE),
    Role.INTERNAL: re.compile(r"\b(internal\w*|deprecat\w*|legacy|private|compat\w*)\b", re.IGNORECASE),
    Role.VENDORED: re.compile(r"\b(vendor\w*|third[ -]party|bundled)\b", re.IGNORECASE),
    Role.STUB: re.compile(r"\b(stubs?|declarations?|typings?)\b", re.IGNORECASE),
}


@dataclass(frozen=True, slots=True)
class Place:
    """A file that a question names, with the line if it names one."""

    path: str
    line: int | None


@dataclass(frozen=True)
class Question:
    """A question and what can be read from it."""

    text: str

    @cached_property
    def terms(self) -> tuple[str, ...]:
        """Its distinct terms, stop words left out."""
        return tuple(dict.fromkeys(filter(None, query_terms(self.text))))

    @cached_property
    def words(self) -> frozenset[str]:
        """Its words as typed, lower-cased."""
        return frozenset(word.lower() for word in identifiers(self.text))

    @cached_property
    def name(self) -> tuple[str, ...]:
        """The qualified name that is the whole question, in its parts; empty if it is more, or something else."""
        typed = self.text.strip()
        if not _NAME.fullmatch(typed):
            return ()
        return tuple(filter(None, _QUALIFIER.split(typed.removesuffix("()"))))

    @cached_property
    def names(self) -> frozenset[str]:
        """What in a sentence can only be, or looks like, an identifier: compounds, and words with a capital."""
        if self.name:
            return frozenset()
        wanted = (w for w in identifiers(self.text) if not is_stop_word(w))
        return frozenset(w for w in wanted if len(split(w)) > 1 or w[:1].isupper())

    @cached_property
    def phrases(self) -> tuple[tuple[str, str], ...]:
        """Each two neighbouring words as the compounds that code makes of them: `requestcontext`, `request_context`.

        So a phrase is found where it was made a name, without knowing where in a chunk a term stands.
        """
        words = [w.lower() for w in identifiers(self.text) if not is_stop_word(w)]
        return tuple(dict.fromkeys((a + b, f"{a}_{b}") for a, b in pairwise(words)))

    @cached_property
    def counted(self) -> frozenset[str]:
        """What ranking wants to know the frequencies of: its terms, and the compounds of its phrases."""
        return frozenset(self.terms).union(*self.phrases)

    @cached_property
    def places(self) -> tuple[Place, ...]:
        """The files it names, as an error message, a stack trace or a person does."""
        found = (
            Place(path.replace("\\", "/").removeprefix("./"), int(line) if line else None)
            for path, line in _PLACE.findall(self.text)
        )
        return tuple(dict.fromkeys(found))[:_MOST_PLACES]

    @cached_property
    def wanted(self) -> frozenset[Role]:
        """The roles it asks for, which then count nothing against a file."""
        return frozenset(role for role, expression in _WANTED.items() if expression.search(self.text))
