"""What string is embedded for a chunk and for a query, and how identifiers become words and terms.

The trainer and the index share this file, so they can not drift apart. Two forms of text leave it:

- *words*, for the encoder: every identifier split at camelCase, snake_case and digits, lower-cased, without
  punctuation. A static retriever averages pieces, so punctuation would only dilute it, and words tokenise cheaply.
- *terms*, for full-text search and its statistics: the stems of those words, and each compound identifier whole.

Splitting and stemming are pure functions of one identifier and identifiers repeat: both are cached, which makes them
about thirty times cheaper than running the expressions over the text.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from functools import lru_cache
from hashlib import blake2b
from itertools import chain
from typing import TYPE_CHECKING, Final

import Stemmer

if TYPE_CHECKING:
    from codesearch.types import Chunk

TEXT_VERSION: Final = 4
"""Raised when the same chunk would give another document or other terms; makes an index stale (reason CHUNKER).

1. Path, symbol and source as words; stems and whole identifiers as terms.
2. Each term between two blanks; the word `s` is a term, where its stem was empty.
3. The terms of a chunk's documentation stand behind the others.
4. A chunk's heading is embedded by itself as well.
"""

_IDENTIFIER: Final = re.compile(r"\w+")
_PART: Final = re.compile(
    r"[A-Z]{2,}s(?![a-z])"  # URLs
    r"|[A-Z]+(?=[A-Z][a-z])"  # HTTP in HTTPServer
    r"|[A-Z]?[a-z]+"
    r"|[A-Z]+"
    r"|[0-9]+"
)
_FOREIGN_PART: Final = re.compile(r"[^\W\d_]+|[0-9]+")
"""Words with letters beyond ASCII are prose more often than identifiers: `naïve` stays whole."""
_LONGEST_WORD: Final = 40
"""Characters; longer runs are hashes and encoded data, which no one asks for."""

_CACHE: Final = 1 << 15
"""Distinct identifiers remembered by each cache; four times as many saved no time, and cost 50 MB a process."""

_STOP_WORDS: Final = frozenset(
    "a an and are as at be been but by can could did do does for from get had has have how i if in into is it its"
    " may might must of on or our should so some such than that the their them then there these they this those to"
    " was we were what when where which while who why will with would you your".split()
)
"""Dropped from natural-language queries only; in code, `is`, `not` or `from` are looked for."""

TOLD: Final = "\n"
"""Stands like a term between a chunk's other terms and those of its documentation, where it has any; whatever splits
terms at white space passes it over."""

_porter: Final = Stemmer.Stemmer("porter", 0).stemWord
"""Without a cache of its own, for there is one below."""


@lru_cache(_CACHE)
def _stem(word: str) -> str:
    return _porter(word) or word  # of `s` it leaves nothing


class _Remembered(dict[str, tuple[str, ...]]):
    """What a function gives for each identifier, found in half the time that `lru_cache` needs to keep its order."""

    def __init__(self, of: Callable[[str], tuple[str, ...]]) -> None:
        self._of = of

    def __missing__(self, identifier: str) -> tuple[str, ...]:
        if len(self) >= _CACHE:
            self.clear()
        found = self[identifier] = self._of(identifier)
        return found


def _parts(identifier: str) -> tuple[str, ...]:
    pattern = _PART if identifier.isascii() else _FOREIGN_PART
    return tuple([part.lower() for part in pattern.findall(identifier) if len(part) <= _LONGEST_WORD])


_words_of: Final = _Remembered(_parts).__getitem__


def split(identifier: str) -> tuple[str, ...]:
    """Return the lower-cased words of one identifier: `parseHTTPResponse_v2` gives parse, http, response, v, 2."""
    return _words_of(identifier)


def _stems_and_whole(identifier: str) -> tuple[str, ...]:
    parts = _words_of(identifier)
    stems = tuple(map(_stem, parts))
    whole = identifier.lower().strip("_")
    if len(parts) > 1 and len(whole) <= 2 * _LONGEST_WORD:
        return (*stems, whole)
    return stems


_terms_of: Final = _Remembered(_stems_and_whole).__getitem__


def identifiers(text: str) -> list[str]:
    """Return the identifiers of TEXT in order, as they stand there; a word of prose is one too."""
    return _IDENTIFIER.findall(text)


def is_stop_word(word: str) -> bool:
    """Tell whether WORD says nothing about what a question asks for."""
    return word.lower() in _STOP_WORDS


def words(text: str) -> list[str]:
    """Return the words of TEXT in order."""
    return list(chain.from_iterable(map(_words_of, _IDENTIFIER.findall(text))))


def bag(text: str) -> str:
    """Return the distinct words of TEXT in order of first occurrence, joined by blanks: what a static encoder reads.

    A word counts once however often it stands there: a mean that counts repetitions is drowned by loop variables.
    """
    return bag_of(_IDENTIFIER.findall(text))


def bag_of(names: Iterable[str]) -> str:
    """Return the `bag` of a text with the identifiers NAMES."""
    return " ".join(dict.fromkeys(chain.from_iterable(map(_words_of, dict.fromkeys(names)))))


def terms(text: str) -> list[str]:
    """Return the terms of TEXT in order: stems of its words, and each compound identifier whole after its stems."""
    return list(chain.from_iterable(map(_terms_of, _IDENTIFIER.findall(text))))


def query_terms(query: str) -> list[str]:
    """Return the terms of a query without its stop words; all of them where nothing else is left."""
    wanted = [t for w in identifiers(query) if not is_stop_word(w) for t in _terms_of(w)]
    return wanted or terms(query)


def counted(names: Iterable[str]) -> Counter[str]:
    """Return the terms of a text with the identifiers NAMES, and how often each stands there."""
    return Counter(chain.from_iterable(map(_terms_of, names)))


def joined(terms: Counter[str]) -> str:
    """Return TERMS as the index keeps them: sorted, each between two blanks of its own, to be found whole in bytes."""
    return "".join([f" {term} " * terms[term] for term in sorted(terms)])


def told_last(terms: Counter[str], doc: Counter[str]) -> str:
    """Return TERMS joined, those that DOC accounts for behind the others and TOLD, where there is a DOC."""
    if not doc:
        return joined(terms)
    told = doc & terms
    rest = terms.copy()
    rest.subtract(told)
    return f"{joined(rest)} {TOLD} {joined(told)}"


def heading(chunk: Chunk) -> str:
    """Return what a chunk is called: its path and qualified name, and for later parts of a definition its header."""
    parts = [chunk.path, chunk.symbol]
    if chunk.part:
        parts.append(chunk.signature)
    return "\n".join(filter(None, parts))


def document(chunk: Chunk) -> str:
    """Return the string that is embedded for CHUNK: its heading, then its source."""
    return f"{heading(chunk)}\n{chunk.text}"


def content_hash(document: str) -> str:
    """Return the key under which a document's vector is kept: 16 bytes of BLAKE2b as hexadecimal."""
    return blake2b(document.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
