"""Where the answer is, in a line or two: the best hit's name, what its documentation says, who calls it, its test.

Everything in it stands in the code: a sentence is the author's, a caller is a chunk that says the name and calls it.
Nothing is made up, so where there is nothing to say there is no gist.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

from codesearch.chunk import chunk
from codesearch.related import Code, Relation, related
from codesearch.types import Hit, Kind, Span

SURE: Final = 0.5
"""Confidence from which the first hit is taken for the answer; below, a page of hits is all that is known."""
_LONGEST: Final = 200
"""Characters of a sentence; more is not read at a glance."""
_SENTENCE: Final = re.compile(r"(.+?[.!?:])(?:\s|$)", re.DOTALL)
_MARKUP: Final = re.compile(r"^\s*(?:#+\s.*|[-=*_~`]{3,}.*|\|.*|!\[.*|\[!\[.*|<[^>]*>\s*)$", re.MULTILINE)
_TAG: Final = re.compile(r"^\s*(?:@\w+|:\w+.*?:|\\\w+|Args:|Parameters\b)", re.MULTILINE)
_ROLE: Final = re.compile(r"(?::[\w+.-]+)+:`[~!]?([^`<>]*)`")
"""A reference of Sphinx: what it names is what a reader sees."""
_CALLERS: Final = 5
"""Looked at for the two that are told: some only say the name."""
_CALLS: Final = "calls it"
_OWNER: Final = "says what it belongs to"
_HERE: Final = "in its file"
_NAMED: Final = "named after its file"


@dataclass(frozen=True, slots=True)
class Gist:
    """What is known of the best hit."""

    hit: Hit
    line: int
    """Where what the hit is or is a part of begins."""
    says: str = ""
    """First sentence of its documentation, or of the section that it is."""
    callers: tuple[Hit, ...] = ()
    tests: tuple[Hit, ...] = ()


def gist(code: Code, hit: Hit) -> Gist | None:
    """Return what is known of HIT, which is of CODE, or None where that is no more than its place."""
    line, doc = _documentation(code, hit)
    says = _sentence(doc)
    if hit.kind in (Kind.SECTION, Kind.MODULE) or not hit.symbol:
        return Gist(hit, line, says) if says else None
    _, found = related(code, hit.path, hit.span.start_line, _CALLERS)
    callers = tuple(one for one in found[Relation.CALLER] if _surely(hit, one))
    tests = tuple(one for one in found[Relation.TEST] if _surely(hit, one, test=True))
    return Gist(hit, line, says, tuple(map(_from_name, callers[:2])), tuple(map(_from_name, tests[:1])))


def _from_name(hit: Hit) -> Hit:
    """Return HIT from the line on that says its name: imports and comments above may belong to a chunk."""
    name = hit.symbol.rpartition(".")[2]
    says = re.search(rf"(?<!\w){re.escape(name)}(?!\w)", hit.text) if name else None
    line = hit.span.start_line + hit.text.count("\n", 0, says.start()) if says else hit.span.start_line
    return replace(hit, span=Span(line, max(line, hit.span.end_line)))


def _surely(subject: Hit, other: Hit, *, test: bool = False) -> bool:
    """Tell whether OTHER, which says the name of SUBJECT, means it: what else is called so is not known here.

    It calls it and is not itself called so, and where SUBJECT belongs to something, that is said too, or both are in
    one file.
    """
    if other.symbol.rpartition(".")[2] == subject.symbol.rpartition(".")[2]:
        return False
    reasons = {name for name, _ in other.reasons}
    owned = "." in subject.symbol
    near = {_OWNER, _HERE} | ({_NAMED} if test else set())
    return _CALLS in reasons and (not owned or bool(reasons & near))


def _documentation(code: Code, hit: Hit) -> tuple[int, str]:
    """Return the line on which what HIT is a part of begins, and what is said of it there, as the file is now."""
    line, doc = hit.span.start_line, ""
    if hit.kind is Kind.SECTION:
        return line, hit.text.partition("\n")[2]
    for one in chunk(hit.path, code.text(hit.path)):
        if one.span.start_line > hit.span.start_line:
            break
        if one.part == 0 and one.symbol == hit.symbol:  # the last that begins no later is it
            whole = replace(hit, text=one.text, span=one.span)
            line, doc = _from_name(whole).span.start_line, one.doc
    return line, doc


def _sentence(doc: str) -> str:
    """Return the first sentence of DOC on one line, without what is markup."""
    plain = _MARKUP.sub("", doc)
    if tag := _TAG.search(plain):
        plain = plain[: tag.start()]
    paragraph = next((part for part in re.split(r"\n\s*\n", plain) if part.strip()), "")
    text = _ROLE.sub(r"\1", " ".join(paragraph.split())).replace("``", "`")
    if not any(letter.isalpha() for letter in text):
        return ""
    first = _SENTENCE.match(text)
    text = first[1] if first else text
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1].rsplit(' ', 1)[0]} …"
