"""A file as the preview shows it: safe lines, the classes of its tokens, and the terms of the question in it.

Read and cut in a thread of its own, for the interface must not wait for a disk or a lexer; only the newest request
counts. A lexer is plain Python and slows down whatever else runs: a file of a thousand lines takes 0.1 s, in which an
answer takes five times as long. So first come the lines that a screen shows, and the others when nothing new is wanted.
Characters that steer terminals are made visible before anything else, and nothing is ever parsed as markup.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from codesearch.cli.visible import visible_line
from codesearch.types import Hit

BEFORE: Final = 400
"""Lines shown above a hit; who wants more opens the file."""
AFTER: Final = 600
"""Lines shown from its beginning on."""
_NEAR: Final = (12, 60)
"""Lines above a hit's beginning and below it that come first."""
_PAINTED: Final = 0.03
"""Seconds that the list has to be painted in, before this takes time from it."""
_RESTED: Final = 0.2
"""Seconds without another request after which the others come."""
WIDEST: Final = 400
"""Characters of a line; as in `snippet`."""
NAME: Final = "="
"""Before what is marked as a whole."""
_TAB: Final = 4
_KEPT: Final = 32
"""Files whose lines are remembered; one looks back and forth."""

Spans = tuple[tuple[int, int, str], ...]
"""Characters from and to, and the class of what is there."""


@dataclass(frozen=True, slots=True)
class Page:
    """The part of a file around a hit."""

    hit: Hit
    query: str
    """What is marked: its terms, or, with `=` in front, that very name."""
    start_line: int
    lines: tuple[str, ...]
    spans: tuple[Spans, ...]
    """Of each line, ascending, without overlap."""
    marks: dict[int, tuple[tuple[int, int], ...]]
    """By line number: characters from and to."""
    missing: bool = False
    """Whether the file can not be read any more; then these are no lines of it."""


class Reader:
    """Makes pages in a thread of its own."""

    def __init__(self, lines: Callable[[Hit], list[str] | None], tell: Callable[[Page], None]) -> None:
        """LINES gives those of the file that a hit is in, or None; it and TELL are called in that thread."""
        self._lines, self._tell = lines, tell
        self._wake = threading.Condition()
        self._wanted: tuple[Hit, str] | None = None
        self._closing = False
        self._busy = threading.Event()
        """Somebody types, so that only what a screen shows is made."""
        self._cut: OrderedDict[tuple[str, int, int, int], tuple[tuple[str, ...], tuple[Spans, ...]]] = OrderedDict()
        self._thread = threading.Thread(target=self._work, name="reader", daemon=True)
        self._thread.start()

    def show(self, hit: Hit, query: str) -> None:
        """Make the page of HIT, with what QUERY says marked, in place of one that still waits."""
        with self._wake:
            self._wanted = hit, query
            self._busy.clear()
            self._wake.notify()

    def rest(self) -> None:
        """Leave what nobody waits for: somebody types."""
        self._busy.set()

    def close(self) -> None:
        """End."""
        with self._wake:
            self._closing = True
            self._wake.notify()

    def _work(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._closing or self._wanted)
                wanted, self._wanted = self._wanted, None
            if self._closing or wanted is None:
                return
            if self._newer(_PAINTED):
                continue
            near = self.page(*wanted, near=True)
            self._tell(near)
            if self._newer(_RESTED):
                continue
            if not near.missing and not self._busy.is_set():
                with suppress(_InterruptedError):
                    self._tell(self.page(*wanted))

    def _newer(self, seconds: float) -> bool:
        """Wait for SECONDS, or for another request; return whether one came."""
        with self._wake:
            return bool(self._wake.wait_for(lambda: self._closing or self._wanted, seconds))

    def page(self, hit: Hit, query: str, *, near: bool = False) -> Page:
        """Return the page of HIT; what is NEAR it alone is coloured and marked, unless all of it was before."""
        lines = self._lines(hit)
        if lines is None:
            return Page(hit, query, 1, (), (), {}, missing=True)
        first = max(1, hit.span.start_line - BEFORE)
        last = max(hit.span.end_line, hit.span.start_line + AFTER)
        text = lines[first - 1 : last]
        key = (hit.place, first, last, hash(tuple(text)))
        at = hit.span.start_line - first
        if key in self._cut:
            self._cut.move_to_end(key)
            shown, spans = self._cut[key]
        else:
            shown = tuple(visible_line(line.rstrip("\r")).expandtabs(_TAB)[:WIDEST] for line in text)
            # A hit begins with a definition, mostly: a lexer can start there as at the beginning of a file.
            above, below = (max(0, at - _NEAR[0]), at + _NEAR[1]) if near else (0, len(shown))
            stop = None if near else self._busy
            coloured = (
                *_spans(shown[above:at], hit.language, stop),
                *_spans(shown[at:below], hit.language, stop),
            )
            spans = (*[()] * above, *coloured, *[()] * (len(shown) - above - len(coloured)))
            if not near:
                self._cut[key] = shown, spans
                while len(self._cut) > _KEPT:
                    self._cut.popitem(last=False)
        marked = range(max(0, at - _NEAR[0]), min(at + _NEAR[1], len(shown))) if near else range(len(shown))
        return Page(
            hit, query, first, shown, spans, _marks(shown[marked.start : marked.stop], first + marked.start, query)
        )


def _marks(lines: tuple[str, ...], first: int, query: str) -> dict[int, tuple[tuple[int, int], ...]]:
    from codesearch.snippet import snippet

    if query.startswith(NAME):
        name = re.compile(rf"(?<!\w){re.escape(query.removeprefix(NAME))}(?!\w)")
        spans = {
            number: tuple(match.span() for match in name.finditer(line)) for number, line in enumerate(lines, first)
        }
        return {number: where for number, where in spans.items() if where}
    found: dict[int, list[tuple[int, int]]] = {}
    for mark in snippet("\n".join(lines), first, query, max(1, len(lines))).marks if query else ():
        found.setdefault(mark.line, []).append((mark.start, mark.end))
    return {line: tuple(marks) for line, marks in found.items()}


class _InterruptedError(Exception):
    """Nobody waits for this any more."""


def _spans(lines: tuple[str, ...], language: str, stop: threading.Event | None = None) -> list[Spans]:
    """Return the classes of the tokens of LINES, or none where no lexer knows LANGUAGE; give up on STOP."""
    from pygments.lexers import get_lexer_by_name
    from pygments.util import ClassNotFound

    if not lines:
        return []
    try:
        lexer = get_lexer_by_name(language, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return [()] * len(lines)
    spans: list[list[tuple[int, int, str]]] = [[] for _ in lines]
    line = column = 0
    for token, value in lexer.get_tokens("\n".join(lines)):
        if stop and stop.is_set():
            raise _InterruptedError
        name = _class_of(token)
        for i, piece in enumerate(value.split("\n")):
            if i:
                line, column = line + 1, 0
            if name and piece and line < len(spans):
                spans[line].append((column, column + len(piece), name))
            column += len(piece)
    return [tuple(those) for those in spans]


@cache
def _class_of(token: Any) -> str:
    return next((name for kind, name in _classes() if token in kind), "")


def _classes() -> Iterator[tuple[Any, str]]:
    from pygments.token import Comment, Keyword, Name, Number, Operator, Punctuation, String

    yield Comment, "comment"
    yield String, "string"
    yield Number, "number"
    yield Keyword.Type, "type"
    yield Keyword, "keyword"
    yield Operator.Word, "keyword"
    yield Name.Function, "name"
    yield Name.Class, "name"
    yield Name.Decorator, "type"
    yield Name.Builtin, "type"
    yield Name.Tag, "keyword"
    yield Operator, "operator"
    yield Punctuation, "operator"


CLASSES: Final = ("comment", "string", "number", "keyword", "name", "type", "operator")
"""What a span may be."""
